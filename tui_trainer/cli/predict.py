"""``mnist-tui predict``: the digit in each picture, predicted by a run's model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli.moved_paths import ModelPath, MovedPaths, check_model_path, with_current_paths
from tui_trainer.cli.options import Debug, choice, option
from tui_trainer.cli.saved import checkpoint_of
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import find_run
from tui_trainer.text.fmt import clip, printable

if TYPE_CHECKING:
    from tui_trainer.headless.prediction_text import ModelWarning, Prediction
    from tui_trainer.lab.views.checkpoint_models import SavedModel

AUTO, DARK, LIGHT = "auto", "dark", "light"
INKS = (AUTO, DARK, LIGHT)


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(help="Pictures of one digit each, or folders of them", metavar="IMAGE"),
    ],
    run: Annotated[str | None, option("Run name or folder; default: the last run", "--run")] = None,
    checkpoints: Annotated[
        list[str] | None,
        option(
            "Checkpoint: last, best or epoch-N (last); repeat it to compare several",
            "--checkpoint",
            metavar="NAME",
        ),
    ] = None,
    model: ModelPath = None,
    ink: Annotated[str, option(choice("Ink color (auto: from the border)", INKS), "--ink")] = AUTO,
    raw: Annotated[
        bool,
        option("Only resize: do not center the digit or repair its strokes", "--raw"),
    ] = False,
    shows: Annotated[bool, option("Show each digit as the model's input", "--show")] = False,
    as_json: Annotated[bool, option("Print one JSON object per picture", "--json")] = False,
    debug: Debug = False,
) -> None:
    """Predict the digit in each picture.

    Any size and format, dark on light or light on dark. Paper on a table is cut out; frames, ruled
    lines and stains are removed. If a picture cannot be used, the others are still predicted, and
    the exit code is 2.
    """
    if ink not in INKS:
        raise InputError(f"--ink {clip(printable(ink), 40)}: choose {', '.join(INKS)}")
    folder = find_run(run)
    names = list(dict.fromkeys(checkpoints or ["last"]))
    files = {name: checkpoint_of(folder, name) for name in names}
    if read_metadata(files[names[0]]).get("script"):
        raise InputError(
            f"{folder.name}: its script prepares its own images, and how it does is not recorded; "
            "predict pictures with the script, or export the model: mnist-tui export "
            f"{folder.name} --as torch"
        )
    config = with_current_paths(folder.read_config(), folder, MovedPaths(model))
    check_model_path(config)
    from tui_trainer.headless.prediction_text import print_predictions

    predictions = _predictions(images, files, config.model, ink=ink, is_raw=raw)
    raise typer.Exit(print_predictions(predictions, names, as_json=as_json, shows=shows))


def _predictions(
    images: Sequence[Path], files: dict[str, Path], model: str, *, ink: str, is_raw: bool
) -> Iterator[Prediction | ModelWarning | InputError]:
    """Yield each picture's predictions, or why it cannot be used; first the models' warnings.

    Raises:
        InputError: If a checkpoint cannot be used.
    """
    import torch

    from tui_trainer.data.image_files import files_of
    from tui_trainer.headless.prediction_text import ModelWarning
    from tui_trainer.lab.views.checkpoint_models import saved_model_of

    torch.set_num_threads(1)  # for one small image, two threads only wait for each other
    saved_models = {name: saved_model_of(file, model) for name, file in files.items()}
    for name, saved_model in saved_models.items():
        yield from (ModelWarning(f"{name}: {caution}") for caution in saved_model.cautions)
    for place in images:
        try:
            paths = files_of(place)
        except InputError as error:
            yield error
            continue
        for path in paths:
            try:
                yield _prediction(path, saved_models, ink=ink, is_raw=is_raw)
            except InputError as error:
                yield error


def _prediction(
    path: Path, saved_models: dict[str, SavedModel], *, ink: str, is_raw: bool
) -> Prediction:
    from tui_trainer.data.image_files import read_ink
    from tui_trainer.data.ink import as_digit, as_it_lies
    from tui_trainer.data.segmentation import picture_warnings
    from tui_trainer.headless.prediction_text import Prediction

    found = read_ink(path, ink, is_whole=is_raw)
    probabilities = {}
    first = None
    for name, saved_model in saved_models.items():
        side = saved_model.image_size
        digit = as_it_lies(found, side) if is_raw else as_digit(found, side)
        if digit is None:  # read_ink raises first
            raise InputError(f"{printable(path)}: no ink found")
        if saved_model.is_dark_on_light:
            digit = 255 - digit
        probabilities[name] = saved_model.probabilities(digit)
        first = digit if first is None else first
    assert first is not None
    grays = tuple(first.flatten().tolist())
    return Prediction(str(path), probabilities, len(first), grays, tuple(picture_warnings(found)))
