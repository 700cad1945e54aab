"""``mnist-tui export``: a run in the formats of other programs."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli.exported_run import ExportedRun
from tui_trainer.cli.moved_paths import DataPath, ModelPath, MovedPaths
from tui_trainer.cli.options import option
from tui_trainer.cli.saved import RunName, saved_run
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.reference import model_name
from tui_trainer.text.fmt import count, one_line, printable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tui_trainer.export.comparison import Comparison
    from tui_trainer.models.input_spec import InputSize


def _csv(source: ExportedRun, path: Path) -> str:
    from tui_trainer.export import curves

    curves.write_steps_csv(source.events, path)
    epochs = path.with_name("epochs.csv")
    curves.write_epochs_csv(source.events, epochs)
    return f"one row per step; {epochs.name}: one row per epoch"


def _tensorboard(source: ExportedRun, path: Path) -> str:
    from tui_trainer.export import curves

    curves.write_tensorboard(source.events, path)
    return f"open it with: tensorboard --logdir {printable(shlex.quote(str(path)))}"


def _picture(source: ExportedRun, path: Path) -> str:
    from tui_trainer.export import curves

    curves.write_picture(source.events, path)
    return ""


def _weights(source: ExportedRun, path: Path) -> str:
    from tui_trainer.export import model_files
    from tui_trainer.export.targets import replacing

    metadata = source.found.metadata
    new, model = source.new_model(), source.model()
    with replacing(path) as part, source.custom_code():
        model_files.write_weights(model, part)
        words = model_files.check_weights(model, part, new, source.input_size)
    return f"{model_name(metadata['model'])}, step {count(metadata['step'])}; {words}"


def _onnx(source: ExportedRun, path: Path) -> str:
    from tui_trainer.export import model_files

    return _write_program(source, path, model_files.write_onnx, model_files.compare_onnx)


def _torch(source: ExportedRun, path: Path) -> str:
    from tui_trainer.export import model_files

    return _write_program(
        source, path, model_files.write_torch_export, model_files.compare_torch_export
    )


def _python(source: ExportedRun, path: Path) -> str:
    from tui_trainer.cli.program import write_program

    return write_program(source, path)


def _write_program(
    source: ExportedRun,
    path: Path,
    write: Callable[[nn.Module, InputSize, Path], str],
    compare: Callable[[nn.Module, Path, Tensor], Comparison],
) -> str:
    """Write the model as a program; keep the file only if its outputs equal the model's."""
    from tui_trainer.export.targets import replacing

    model, (images, kind, shortage) = source.model(), source.images
    with replacing(path) as part, source.custom_code():
        note = write(model, source.input_size, part)
        result = replace(compare(model, part, images), image_kind=kind)
        if result.is_wrong:
            raise InputError(f"its outputs differ from the model's: {result.words}")
    return "; ".join(filter(None, (note, result.words, shortage, source.input_form)))


FORMATS: dict[str, tuple[str, Callable[[ExportedRun, Path], str]]] = {
    "weights": ("weights.safetensors", _weights),
    "onnx": ("model.onnx", _onnx),
    "torch": ("model.pt2", _torch),
    "python": ("train.py", _python),
    "csv": ("steps.csv", _csv),
    "tensorboard": ("tensorboard", _tensorboard),
    "svg": ("curves.svg", _picture),
    "png": ("curves.png", _picture),
}
"""The formats: the file or folder of each, and the function that writes it."""


def export(
    run: RunName = None,
    formats: Annotated[
        str, option(f"Formats, separated by commas: {', '.join(FORMATS)}", "--as")
    ] = "",
    to: Annotated[
        Path | None, option("Output folder (exports/ in the run's folder)", "--to")
    ] = None,
    checkpoint: Annotated[
        str, option("Checkpoint to export: last, best or epoch-N (last)")
    ] = "last",
    model: ModelPath = None,
    data_dir: DataPath = None,
) -> None:
    """Export a run's weights, model and curves for other programs.

    An exported model is compared with the run's model and deleted if its outputs differ. If a
    format
    fails, the others are still written, and the exit code is 2.
    """
    selected = _selected_formats(formats)
    found = saved_run(run, checkpoint, moved=MovedPaths(model, data_dir), checked=False)
    folder = to or found.folder.path / "exports"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--to {printable(folder)}: cannot be created: {reason(error)}") from None
    source = ExportedRun(found, checkpoint, data_dir)
    console = Console(sys.stderr, time.monotonic)
    out, failures = standard_output(console), 0
    for name in selected:
        file, write = FORMATS[name]
        path = folder / file
        try:
            words = write(source, path)
        except Exception as error:  # the other formats are still written
            failures += 1
            why = one_line(_reason(error, found.config.model))
            console.print(f"mnist-tui: error: {path.name}: not written: {why}")
        else:
            out.line(f"{printable(path)}{words and f': {words}'}")
    if failures:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _reason(error: Exception, model: str) -> str:
    """Return why a format cannot be written; an error of the model comes with its line."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    from tui_trainer.models.build import custom_model_error

    return str(custom_model_error(error, model) or f"{type(error).__name__}: {error}")


def _selected_formats(formats: str) -> list[str]:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    known = ", ".join(FORMATS)
    if not names:
        raise InputError(f"--as: names no format; choose {known}")
    for name in names:
        if name not in FORMATS:
            raise InputError(f"--as: unknown format {name!r}; choose {known}")
    return list(dict.fromkeys(names))
