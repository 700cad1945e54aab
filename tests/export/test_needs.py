"""The packages that an export loads, and its messages if they are missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.export.facts import short_run
from tui_trainer.export import curves, model_files, svg_picture
from tui_trainer.protocol.errors import InputError

HEAVY = {"torch", "numpy", "matplotlib", "tensorboardX", "onnx", "onnxruntime", "safetensors"}

EXPORTS: dict[str, Callable[[Path], object]] = {
    "onnx": lambda folder: model_files.write_onnx(nn.Flatten(), 28, folder / "a.onnx"),
    "comparison": lambda folder: model_files.compare_onnx(
        nn.Flatten(), folder / "a.onnx", torch.zeros(1, 1, 28, 28)
    ),
    "weights": lambda folder: model_files.write_weights(nn.Flatten(), folder / "a.safetensors"),
    "picture": lambda folder: curves.write_picture(short_run(), folder / "a.png"),
    "svg": lambda folder: svg_picture.write_png("<svg/>", folder / "a.png"),
    "log": lambda folder: curves.write_tensorboard(short_run(), folder),
}


def test_the_curves_load_nothing_heavy_until_it_is_called_for() -> None:
    code = (
        "import json, sys, tui_trainer.export.curves;"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout))

    assert "tui_trainer" in loaded
    assert not loaded & HEAVY


def test_tables_are_made_without_torch(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, tests.export.facts as f, tui_trainer.export.curves as c;"
        "p = pathlib.Path(sys.argv[1]); run = f.short_run();"
        "c.write_steps_csv(run, p / 's.csv'); c.write_epochs_csv(run, p / 'e.csv');"
        "assert not {'torch', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)

    assert sorted(os.listdir(tmp_path)) == ["e.csv", "s.csv"]


@pytest.mark.parametrize(
    ("package", "export"),
    [
        ("onnx", "onnx"),
        ("onnxscript", "onnx"),
        ("onnxruntime", "comparison"),
        ("safetensors", "weights"),
        ("matplotlib", "picture"),
        ("resvg_py", "svg"),
        ("matplotlib", "svg"),
        ("tensorboardX", "log"),
    ],
)
def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, export: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(InputError) as caught:
        EXPORTS[export](tmp_path)

    message = str(caught.value)
    assert f'needs {package}, which is not installed: pip install "mnist-tui[export]"' in message
    assert "\n" not in message
    assert os.listdir(tmp_path) == []
