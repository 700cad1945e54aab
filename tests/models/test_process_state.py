"""What custom code changes in the process is restored."""

from __future__ import annotations

import gc
import io
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tui_trainer.models.build import build_model

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, images):
        return self.fc(images.flatten(1))
"""

CHANGES: dict[str, tuple[str, Callable[[], object]]] = {
    "folder": ("os.chdir('/')", os.getcwd),
    "environment": ("os.environ.update(COLUMNS='7', LINES='')", lambda: dict(os.environ)),
    "arguments": ("sys.argv.append('--epochs')", lambda: list(sys.argv)),
    "path": ("sys.path.insert(0, '/nowhere')", lambda: list(sys.path)),
    "stdout": ("sys.stdout = io.TextIOWrapper(io.BytesIO())", lambda: sys.stdout),
    "stderr": ("sys.stderr = open(os.devnull, 'w')", lambda: sys.stderr),
    "stdin": ("sys.stdin = None", lambda: sys.stdin),
    "excepthook": ("sys.excepthook = print", lambda: sys.excepthook),
    "thread hook": ("threading.excepthook = print", lambda: threading.excepthook),
    "warnings": ("warnings.filterwarnings('ignore')", lambda: list(warnings.filters)),
    "logging": ("logging.basicConfig(level=1)", lambda: list(logging.getLogger().handlers)),
    "log level": ("logging.getLogger().setLevel(1)", lambda: logging.getLogger().level),
    "log limit": ("logging.disable()", lambda: logging.getLogger().manager.disable),
    "signals": (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)",
        lambda: signal.getsignal(signal.SIGINT),
    ),
    "alarm": ("signal.signal(signal.SIGALRM, print)", lambda: signal.getsignal(signal.SIGALRM)),
    "garbage": ("gc.disable()", gc.isenabled),
    "processes": (
        "multiprocessing.set_start_method('spawn')",
        lambda: multiprocessing.get_start_method(allow_none=True),
    ),
    "dtype": ("torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
    "device": ("torch.set_default_device('meta')", torch.get_default_device),
    "threads": ("torch.set_num_threads(3)", torch.get_num_threads),
    "gradient": ("torch.set_grad_enabled(False)", torch.is_grad_enabled),
    "anomaly": ("torch.autograd.set_detect_anomaly(True)", torch.is_anomaly_enabled),
    "deterministic": (
        "torch.use_deterministic_algorithms(True)",
        torch.are_deterministic_algorithms_enabled,
    ),
    "precision": (
        "torch.set_float32_matmul_precision('medium')",
        torch.get_float32_matmul_precision,
    ),
    "benchmark": ("torch.backends.cudnn.benchmark = True", lambda: torch.backends.cudnn.benchmark),
    "numpy": ("np.seterr(all='raise')", np.geterr),
    "torch's seed": ("torch.manual_seed(7)", lambda: torch.rand(3).tolist()),
    "NumPy's seed": ("np.random.seed(7)", lambda: np.random.rand(3).tolist()),
    "Python's seed": ("random.seed(7)", random.random),
}
HEAD = (
    "import gc, io, logging, multiprocessing, os, random, signal, sys, threading, warnings\n"
    "import numpy as np\nimport torch\n"
)


def built(tmp_path: Path, text: str) -> nn.Module:
    path = tmp_path / "net.py"
    path.write_text(text + NET, encoding="utf-8")
    return build_model(f"{path}:Net", image_size=28, classes=10)


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.sampled(2)
def test_what_a_file_changes_at_import_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    change, seen = CHANGES[what]
    monkeypatch.setattr(sys, "argv", ["mnist-tui", "--model", "net.py:Net"])
    # An earlier test of this process may have set one, and it can be set only once.
    multiprocessing.set_start_method(None, force=True)

    def after(text: str) -> object:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        built(tmp_path, text)
        return seen()

    # As after a file that changes nothing: the draws for its initial weights count.
    assert after(HEAD) == after(HEAD + change + "\n") == after(HEAD + change + "\n")


def test_it_finds_what_python_would_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parser at module level must not read the options of mnist-tui."""
    monkeypatch.setattr(sys, "argv", ["mnist-tui", "--lr", "x"])
    text = (
        "import argparse, sys\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\n"
        "assert p.parse_args().lr is None\nassert sys.argv == [__file__], sys.argv\n"
        "if __name__ == '__main__':\n    raise SystemExit\nassert __file__.endswith('net.py')\n"
    )
    assert isinstance(built(tmp_path, text), nn.Module)


def test_a_stream_that_wraps_ours_does_not_close_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sys.stdout = TextIOWrapper(sys.stdout.buffer)`` is common on Windows."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="utf-8"))
    text = "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n"
    built(tmp_path, text)
    built(tmp_path, text)
    gc.collect()
    print("after", file=sys.stderr, flush=True)

    assert raw.getvalue().endswith(b"after\n")


def test_a_figure_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    text = "import os\nassert os.environ['MPLBACKEND'] == 'Agg'\n"
    built(tmp_path, text)
    assert "MPLBACKEND" not in os.environ


def test_it_can_be_built_by_another_thread(tmp_path: Path) -> None:
    found: list[nn.Module] = []
    thread = threading.Thread(target=lambda: found.append(built(tmp_path, "")))
    thread.start()
    thread.join()
    assert len(found) == 1
