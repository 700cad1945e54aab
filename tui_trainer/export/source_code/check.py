"""Run a written program in another process, and compare its logits with the model's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.export.comparison import Comparison, compare
from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import clip, one_line

BATCH = 128
"""Images in a batch."""

LONGEST_REASON = 200

_RUNNER = """
import importlib.util, json, sys
script, build, weights, images, logits, threads, blocked = json.loads(sys.argv[1])
import torch
torch.set_num_threads(threads)
with open(script, encoding="utf-8") as file:
    if "torchvision" in file.read():  # its operators may not match the installed torch
        from tui_trainer.models.torchvision_compat import import_torchvision
        import_torchvision()
for name in [name for name in sys.modules if name.partition(".")[0] == "tui_trainer"]:
    del sys.modules[name]
sys.modules.update(dict.fromkeys(blocked))
spec = importlib.util.spec_from_file_location("train", script)
program = importlib.util.module_from_spec(spec)
sys.modules["train"] = program
spec.loader.exec_module(program)
model = eval(build, vars(program))
model.load_state_dict(torch.load(weights, weights_only=True))
model.eval()
with torch.no_grad():
    batches = torch.load(images, weights_only=True).split(%d)
    torch.save(torch.cat([model(batch) for batch in batches]), logits)
"""


def compare_program(
    model: nn.Module,
    script: Path,
    build: str,
    weights: Path,
    images: Tensor,
    blocked: Sequence[str] = (),
) -> Comparison:
    """Compare a program's model with the run's, on the same prepared images (N, ...).

    The program runs in a new Python process that cannot import mnist-tui.

    Args:
        model: The model of the run; not changed.
        script: The program.
        build: The expression that builds its model.
        weights: The weights that it loads.
        images: The input of the model.
        blocked: Other modules that it cannot import: the files of the model itself.

    Raises:
        InputError: If the program fails; its last line says why.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-tui-") as name:
        folder = Path(name)
        torch.save(images.to("cpu").contiguous(), folder / "images.pt")
        paths = [str(path) for path in (weights.absolute(), folder / "images.pt")]
        given = [str(script.absolute()), build, *paths, str(folder / "logits.pt")]
        arguments = [*given, torch.get_num_threads(), ["tui_trainer", *blocked]]
        done = subprocess.run(
            [sys.executable, "-B", "-c", _RUNNER % BATCH, json.dumps(arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise InputError(f"the program fails: {clip(one_line(lines[-1]), LONGEST_REASON)}")
        logits = torch.load(folder / "logits.pt", weights_only=True)
    return compare(model, _Logits(logits), images, BATCH)


class _Logits:
    """Returns computed logits, batch by batch."""

    def __init__(self, logits: Tensor) -> None:
        self._logits, self._done = logits, 0

    def __call__(self, images: Tensor) -> Tensor:
        start, self._done = self._done, self._done + len(images)
        return self._logits[start : self._done]
