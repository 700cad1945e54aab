"""``mnist-tui export``: a run in the formats of other programs."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli.exported_run import ExportedRun
from tui_trainer.cli.hand_in import HAND_IN, Assignment
from tui_trainer.cli.moved_paths import DataPath, ModelPath, MovedPaths
from tui_trainer.cli.options import option
from tui_trainer.cli.saved import RunNames, saved_run
from tui_trainer.cli.targets import LAST, check_targets
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
        model_files.write_weights(model, part, source.about)
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
    write: Callable[[nn.Module, InputSize, Path, Mapping[str, str]], str],
    compare: Callable[[nn.Module, Path, Tensor], Comparison],
) -> str:
    """Write the model as a program; keep the file only if its outputs equal the model's."""
    from tui_trainer.export.targets import replacing

    model, (images, kind, shortage) = source.model(), source.images
    with replacing(path) as part, source.custom_code():
        note = write(model, source.input_size, part, source.about)
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
    names: RunNames = None,
    formats: Annotated[
        str, option(f"Formats, separated by commas: {', '.join((*FORMATS, *HAND_IN))}", "--as")
    ] = "",
    to: Annotated[
        Path | None, option("Output folder (exports/ in the folder of the first run)", "--to")
    ] = None,
    checkpoint: Annotated[
        str, option("Checkpoint to export: last, best or epoch-N (last)")
    ] = "last",
    targets: Annotated[
        list[str] | None,
        option(
            "Target of a step of an assignment: an accuracy (99.4) or words; once for all runs, or "
            "once for each",
            "--target",
        ),
    ] = None,
    model: ModelPath = None,
    data_dir: DataPath = None,
) -> None:
    """Export runs for other programs and people: weights, model, curves; or an assignment.

    assignment, html and notebook take several runs, each of which is a step. A step has its target,
    result, a draft of its analysis, layer table, log, curves and mistakes. The other formats take
    one run; an exported model is compared with the run's model and deleted if its outputs differ.
    If a format fails, the others are still written, and the exit code is 2.
    """
    selected, moved = _selected_formats(formats), MovedPaths(model, data_dir)
    _check_options(selected, names or [], targets or [], checkpoint, moved)
    runs = [
        ExportedRun(saved_run(name, checkpoint, moved=moved, checked=False), checkpoint, data_dir)
        for name in (names or (None,))
    ]
    folder = to or runs[0].found.folder.path / "exports"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--to {printable(folder)}: cannot be created: {reason(error)}") from None
    assignment = Assignment(runs, targets or [])
    console = Console(sys.stderr, time.monotonic)
    out, failures = standard_output(console), 0
    for name in selected:
        file, write = _writer(name, runs[0], assignment)
        path = folder / file
        try:
            words = write(path)
        except Exception as error:  # the other formats are still written
            failures += 1
            why = one_line(_reason(error, [run.found.config.model for run in runs]))
            console.print(f"mnist-tui: error: {path.name}: not written: {why}")
        else:
            out.line(f"{printable(path)}{words and f': {words}'}")
    if failures:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _writer(
    name: str, run: ExportedRun, assignment: Assignment
) -> tuple[str, Callable[[Path], str]]:
    """Return the file of a format, and the function that writes it."""
    if name in HAND_IN:
        file, write_assignment = HAND_IN[name]
        return file, lambda path: write_assignment(assignment, path)
    file, write = FORMATS[name]
    return file, lambda path: write(run, path)


def _check_options(
    selected: Sequence[str],
    names: Sequence[str],
    targets: Sequence[str],
    checkpoint: str,
    moved: MovedPaths,
) -> None:
    """Check that the options fit together, before a run is read.

    Raises:
        InputError: If not.
    """
    handed_in = [name for name in selected if name in HAND_IN]
    single = [name for name in selected if name not in HAND_IN]
    if len(names) > 1 and single:
        raise InputError(
            f"--as {single[0]}: takes one run, not {len(names)}; export each by itself"
        )
    if len(names) > 1 and (moved.model is not None or moved.data_dir is not None):
        option_name = "--model" if moved.model is not None else "--data-dir"
        raise InputError(f"{option_name}: takes one run, not {len(names)}")
    if targets and not handed_in:
        raise InputError(f"--target: belongs to an assignment; add --as {next(iter(HAND_IN))}")
    if handed_in and checkpoint != LAST:
        raise InputError(
            f"--checkpoint {printable(checkpoint)}: --as {handed_in[0]} reports the last one; the "
            "best epoch is picked by the validation images"
        )
    check_targets(targets, max(1, len(names)))


def _reason(error: Exception, models: Sequence[str]) -> str:
    """Return why a format cannot be written; an error of the model comes with its line."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    from tui_trainer.models.build import custom_model_error

    found = next(filter(None, (custom_model_error(error, model) for model in models)), None)
    return str(found or f"{type(error).__name__}: {error}")


def _selected_formats(formats: str) -> list[str]:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    known = ", ".join((*FORMATS, *HAND_IN))
    if not names:
        raise InputError(f"--as: names no format; choose {known}")
    for name in names:
        if name not in FORMATS and name not in HAND_IN:
            raise InputError(f"--as: unknown format {name!r}; choose {known}")
    return list(dict.fromkeys(names))
