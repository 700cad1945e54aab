"""``mnist-tui export``: what a run leaves for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tui_trainer.cli.moved import DataPlace, ModelPlace, Moved
from tui_trainer.cli.options import option
from tui_trainer.cli.saved import RunName, SavedRun, saved_run
from tui_trainer.headless.streams import standard_output
from tui_trainer.run.errors import InputError
from tui_trainer.run.text import count, model_name, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMATS = {
    "weights": "weights.safetensors",
    "onnx": "network.onnx",
    "torch": "network.pt2",
    "csv": "steps.csv",
    "tensorboard": "tensorboard",
    "svg": "curves.svg",
    "png": "curves.png",
}
"""What can be written, and the file or folder that it goes to."""

NEED_MODEL = {"weights", "onnx", "torch"}
"""The formats that the model is built for, and tried on the data."""


def export(
    run: RunName = None,
    formats: Annotated[
        str, option(f"What to write, with commas between: {', '.join(FORMATS)}", "--as")
    ] = "",
    to: Annotated[
        Path | None, option("Folder to write to (exports, in the run's own)", "--to")
    ] = None,
    checkpoint: Annotated[str, option("Whose weights: last, best, epoch-N (last)")] = "last",
    model: ModelPlace = None,
    data_dir: DataPlace = None,
) -> None:
    """Write a run for other programs: weights, networks, curves."""
    wanted = _wanted(formats)
    moved = Moved(model, data_dir) if NEED_MODEL & {*wanted} else None
    found = saved_run(run, checkpoint, moved=moved)
    folder = to or found.folder.path / "exports"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--to {printable(folder)}: cannot be made: {reason}") from None
    out = standard_output()
    for name in wanted:
        path = folder / FORMATS[name]
        told = _WRITERS[name](found, path)
        out.line(f"{path}{told and f': {told}'}")


def _wanted(formats: str) -> list[str]:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    known = ", ".join(FORMATS)
    if not names:
        raise InputError(f"--as: say what to write: {known}")
    for name in names:
        if name not in FORMATS:
            raise InputError(f"--as: unknown format {name!r}; choose {known}")
    return list(dict.fromkeys(names))


def _csv(found: SavedRun, path: Path) -> str:
    from tui_trainer.export import curves

    curves.write_steps_csv(found.past, path)
    epochs = path.with_name("epochs.csv")
    curves.write_epochs_csv(found.past, epochs)
    return f"a row a step; {epochs.name}: a row an epoch"


def _tensorboard(found: SavedRun, path: Path) -> str:
    from tui_trainer.export import curves

    curves.write_tensorboard(found.past, path)
    return f"look at it with: tensorboard --logdir {path}"


def _picture(found: SavedRun, path: Path) -> str:
    from tui_trainer.export import curves

    curves.write_picture(found.past, path)
    return ""


def _weights(found: SavedRun, path: Path) -> str:
    from tui_trainer.export import networks

    networks.write_weights(_network(found), path)
    return f"of {model_name(found.facts['model'])}, step {count(found.facts['step'])}"


def _onnx(found: SavedRun, path: Path) -> str:
    from tui_trainer.export import networks

    network = _network(found)
    networks.write_onnx(network, found.facts["image_size"], path)
    images, input_form = _test_images(found)
    return f"{networks.compare_onnx(network, path, images).words}; {input_form}"


def _torch(found: SavedRun, path: Path) -> str:
    from tui_trainer.export import networks

    network = _network(found)
    networks.write_torch_export(network, found.facts["image_size"], path)
    images, input_form = _test_images(found)
    return f"{networks.compare_torch_export(network, path, images).words}; {input_form}"


_WRITERS: dict[str, Callable[[SavedRun, Path], str]] = {
    "weights": _weights,
    "onnx": _onnx,
    "torch": _torch,
    "csv": _csv,
    "tensorboard": _tensorboard,
    "svg": _picture,
    "png": _picture,
}


def _network(found: SavedRun) -> nn.Module:
    """Return the checkpoint's network."""
    from tui_trainer.engine.snapshots import network_of

    return network_of(found.checkpoint, found.config.model)


def _test_images(found: SavedRun) -> tuple[Tensor, str]:
    """Return the run's test images as the network takes them, and how they were made.

    Scores are compared on them, never counted: that is no look at the test set.
    """
    import torch

    from tui_trainer.engine.data import load

    loading = load(found.config, torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as done:
            data = done.value
            break
    form = f"its input is (pixel / 255 - {data.mean:.6g}) / {data.std:.6g}"
    return data.prepare(data.test.open().images), form
