"""``mnist-tui predict``: the class of each picture, predicted by a run's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_trainer.cli.moved_paths import ModelPath, MovedPaths, check_model_path, with_current_paths
from tui_trainer.cli.options import Debug, choice, option
from tui_trainer.cli.report_file import check_report, write_report
from tui_trainer.cli.saved import checkpoint_of
from tui_trainer.protocol.config import FITS, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RunFolder, find_run
from tui_trainer.text.fmt import clip, printable

if TYPE_CHECKING:
    from torch import Tensor

    from tui_trainer.data.image_files import PictureFile
    from tui_trainer.headless.prediction_text import Predictions
    from tui_trainer.headless.predictions import Prediction
    from tui_trainer.lab.views.checkpoint_models import SavedModel

AUTO, DARK, LIGHT = "auto", "dark", "light"
INKS = (AUTO, DARK, LIGHT)

INK, PICTURE = "ink", "picture"
FORMS = (AUTO, INK, PICTURE)
"""How pictures are read: as ink on paper, or as pictures."""

NO_INK = ("fashion-mnist",)
"""The datasets of one channel, other than folders of data, whose images are not ink."""


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(help="Pictures, or folders of them", metavar="IMAGE"),
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
    form: Annotated[
        str,
        option(
            choice("How pictures are read (auto: digits as ink, other data as pictures)", FORMS),
            "--read-as",
        ),
    ] = AUTO,
    ink: Annotated[str, option(choice("Ink color (auto: from the border)", INKS), "--ink")] = AUTO,
    raw: Annotated[
        bool,
        option("Of ink: only resize, do not center the digit or repair its strokes", "--raw"),
    ] = False,
    fit: Annotated[
        str | None,
        option(
            choice(
                "How pictures of other sizes are brought to the model's (that of the run)", FITS
            ),
            "--fit",
        ),
    ] = None,
    shows: Annotated[bool, option("Show each picture as the model's input", "--show")] = False,
    as_json: Annotated[bool, option("Print one JSON object per picture", "--json")] = False,
    csv: Annotated[Path | None, option("Also write CSV", "--csv", metavar="FILE")] = None,
    debug: Debug = False,
) -> None:
    """Predict the class of each picture.

    A model of digits reads ink: of any size and color, dark on light or light on dark. Paper on a
    table is cut out; frames, ruled lines and stains are removed. Other models read pictures as
    those that they were trained on. Pictures in folders with the names of classes also give an
    accuracy. If a picture cannot be used, the others are still predicted, and the exit code is 2.
    """
    _check(ink=ink, form=form, fit=fit)
    if csv is not None:
        check_report(csv, "--csv")
    folder = find_run(run)
    names = list(dict.fromkeys(checkpoints or ["last"]))
    files = {name: checkpoint_of(folder, name) for name in names}
    metadata = read_metadata(files[names[0]])
    if metadata.get("script"):
        raise InputError(
            f"{folder.name}: its script prepares its own images, and how it does is not recorded; "
            "predict pictures with the script, or export the model: mnist-tui export "
            f"{folder.name} --as torch"
        )
    config = with_current_paths(folder.read_config(), folder, MovedPaths(model))
    check_model_path(config)
    is_ink = _is_ink(config, metadata) if form == AUTO else form == INK
    reading = Reading(ink if is_ink else None, raw, fit or metadata.get("fit") or FITS[0])
    _check_reading(reading, metadata, form=form, ink=ink, raw=raw, fit=fit)
    from tui_trainer.headless.prediction_text import print_predictions
    from tui_trainer.headless.predictions import csv_text

    predictions = _predictions(images, files, config, folder, reading)
    kept: list[Prediction] = []
    code = print_predictions(
        predictions, names, as_json=as_json, shows=shows, keep=None if csv is None else kept
    )
    if csv is not None:
        write_report(csv, csv_text(kept), "CSV")
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class Reading:
    """How pictures are read.

    Attributes:
        ink: The color of ink, one of :data:`INKS`; None to read pictures as pictures.
        is_raw: Whether ink is only resized.
        fit: How pictures of other sizes are brought to the model's.
    """

    ink: str | None
    is_raw: bool
    fit: str


def _check(*, ink: str, form: str, fit: str | None) -> None:
    """Check the words of the options.

    Raises:
        InputError: If one is unknown.
    """
    for name, value, words in (
        ("--ink", ink, INKS),
        ("--read-as", form, FORMS),
        ("--fit", fit or FITS[0], FITS),
    ):
        if value not in words:
            raise InputError(f"{name} {clip(printable(value), 40)}: choose {', '.join(words)}")


def _is_ink(config: RunConfig, metadata: Mapping[str, Any]) -> bool:
    """Return whether a model was trained on digits or other characters: bright ink on black.

    Images in folders of classes, in color or with named classes are pictures.
    """
    if "fit" in metadata or "input" in metadata:
        return False
    if config.data_dir is None:
        return config.dataset not in NO_INK
    return not metadata.get("class_names")


def _check_reading(
    reading: Reading,
    metadata: Mapping[str, Any],
    *,
    form: str,
    ink: str,
    raw: bool,
    fit: str | None,
) -> None:
    """Check that the options fit to how pictures are read.

    Raises:
        InputError: If not.
    """
    if reading.ink is not None:
        if "input" in metadata:
            raise InputError(f"--read-as {form}: the model takes color images, and ink has none")
        if fit is not None:
            raise InputError(f"--fit {fit}: ink is centered; leave it out, or --read-as picture")
        return
    given = [*([f"--ink {ink}"] if ink != AUTO else []), *(["--raw"] if raw else [])]
    if given:
        raise InputError(
            f"{given[0]}: pictures are read as pictures here, not as ink; leave it out"
        )


def _predictions(
    images: Sequence[Path],
    files: dict[str, Path],
    config: RunConfig,
    folder: RunFolder,
    reading: Reading,
) -> Predictions:
    """Yield each picture's predictions, or why it cannot be used; first the models' warnings.

    Raises:
        InputError: If a checkpoint cannot be used.
    """
    import torch

    from tui_trainer.data.image_files import files_of
    from tui_trainer.headless.prediction_text import Warned
    from tui_trainer.lab.views.checkpoint_models import saved_model_of

    torch.set_num_threads(1)  # for one small image, two threads only wait for each other
    saved_models = {name: saved_model_of(file, config.model) for name, file in files.items()}
    for name, saved_model in saved_models.items():
        yield from (Warned(f"{name}: {caution}") for caution in saved_model.cautions)
    number_of = next(iter(saved_models.values())).class_number
    for place in images:
        try:
            found = files_of(place, number_of)
        except InputError as error:
            yield error
            continue
        is_known = _is_inside(place, config.data_dir)
        if is_known and any(picture.label is not None for picture in found):
            yield Warned(
                f"{printable(place)}: pictures of the data of the run, so no accuracy: see "
                f"mnist-tui evaluate {folder.name}; with --test it counts as a test evaluation"
            )
        for picture in found:
            try:
                yield _prediction(picture, saved_models, reading, is_labeled=not is_known)
            except InputError as error:
                yield error


def _is_inside(place: Path, data_dir: str | None) -> bool:
    """Return whether a place is the run's folder of data, or in it."""
    if data_dir is None:
        return False
    try:
        return place.resolve().is_relative_to(Path(data_dir).expanduser().resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def _prediction(
    picture: PictureFile,
    saved_models: dict[str, SavedModel],
    reading: Reading,
    *,
    is_labeled: bool,
) -> Prediction:
    from tui_trainer.headless.predictions import Prediction

    first, *_ = saved_models.values()
    if reading.ink is None:
        images = _pictures(picture.path, saved_models, reading.fit)
        warnings: tuple[str, ...] = ()
    else:
        images, warnings = _digits(picture.path, saved_models, reading.ink, reading.is_raw)
    shown = next(iter(images.values()))
    values = shown if shown.dim() == 2 else shown.permute(1, 2, 0)
    return Prediction(
        path=str(picture.path),
        probabilities={
            name: saved_model.probabilities(images[name])
            for name, saved_model in saved_models.items()
        },
        side=shown.shape[-1],
        values=tuple(values.flatten().tolist()),
        channels=first.channels,
        class_names=first.class_names,
        label=picture.label if is_labeled else None,
        warnings=warnings,
    )


def _pictures(path: Path, saved_models: dict[str, SavedModel], fit: str) -> dict[str, Tensor]:
    """Return a picture as the input of each model: (H, H), or (3, H, H) in color."""
    import torch

    from tui_trainer.data.picture_fitting import Form, picture_bytes

    found = {}
    for name, saved_model in saved_models.items():
        side, channels = saved_model.image_size, saved_model.channels
        content = bytearray(picture_bytes(path, Form(side, channels, fit)))
        shape = (side, side) if channels == 1 else (channels, side, side)
        found[name] = torch.frombuffer(content, dtype=torch.uint8).view(shape)
    return found


def _digits(
    path: Path, saved_models: dict[str, SavedModel], ink: str, is_raw: bool
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the digit in a picture as the input of each model, and warnings."""
    from tui_trainer.data.image_files import read_ink
    from tui_trainer.data.ink import as_digit, as_it_lies
    from tui_trainer.data.segmentation import picture_warnings

    ink_found = read_ink(path, ink, is_whole=is_raw)
    found = {}
    for name, saved_model in saved_models.items():
        side = saved_model.image_size
        digit = as_it_lies(ink_found, side) if is_raw else as_digit(ink_found, side)
        if digit is None:  # read_ink raises first
            raise InputError(f"{printable(path)}: no ink found")
        found[name] = 255 - digit if saved_model.is_dark_on_light else digit
    return found, tuple(picture_warnings(ink_found))
