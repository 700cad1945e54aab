"""What the process of one submission does: build the model, describe it, train it.

The code of the submission runs here, within limits; the process that started this one reads the
result from a file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.grading.limits import apply_limits, die_with_parent
from tui_trainer.grading.process import PROGRESS, RESULT, SCRATCH
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone, Event, RunStarted
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.reference import model_name, parse_reference
from tui_trainer.protocol.settings import option_of
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.text.fmt import clip, one_line, percent

if TYPE_CHECKING:
    from torch import nn

    from tui_trainer.data.dataset import Data
    from tui_trainer.grading.figures import ModelFigures
    from tui_trainer.protocol.layers import LayerRow

_TRAINED = (ExitCode.FINISHED, ExitCode.DIVERGED, ExitCode.TARGET_MISSED, ExitCode.UNSAVED)


def run_job(path: Path) -> None:
    """Do a job that :class:`tui_trainer.grading.process.SubmissionProcess` has started.

    Raises:
        InputError: If the training cannot be started, or failed.
    """
    die_with_parent()
    path = path.absolute()
    # The code runs in an empty folder; what is imported later must be found from there.
    sys.path[:] = [os.path.abspath(entry) for entry in sys.path]
    job: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    os.chdir(path.parent / SCRATCH)
    result: dict[str, Any] = {"is_complete": False}

    def report(**more: Any) -> None:
        result.update(more)
        write_atomically(path.parent / RESULT, json.dumps(result).encode())

    try:
        _verify(job, path.parent, report)
    except InputError as error:
        report(problem=str(error))
    except Exception as error:
        report(problem=one_line(f"{type(error).__name__}: {error}"))
    report(is_complete=True)


def _verify(job: dict[str, Any], folder: Path, report: Any) -> None:
    """Do a job: report the name of the model, then its figures, then train it."""
    import torch

    from tui_trainer.anatomy.description import layers_of
    from tui_trainer.models.build import build_model
    from tui_trainer.models.custom.loading import models_in

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for a single image, two threads only wait for each other
    apply_limits(job["memory"], job["seconds"], os.cpu_count() or 1)
    model: str = job["model"]
    reference = parse_reference(model)
    if reference is not None and not reference.name:
        names = models_in(reference.place)
        if len(names) > 1 and job["every_model"]:
            report(models=names)
            return
        model = f"{model}:{_only(names, model_name(model))}"
    named = parse_reference(model)
    report(model="" if named is None else named.name)
    settings = job["settings"]
    size, channels, classes = _images_of(job)
    dropout = None if settings is None else settings.get("dropout")
    built = build_model(model, image_size=size, classes=classes, channels=channels, dropout=dropout)
    rows = layers_of(built, (size, size, channels), classes)
    report(figures=_figures(built, rows, is_reviewed=job["review"]).record())
    if settings is not None:
        torch.set_num_threads(threads)
        config = RunConfig(**{**settings, "model": model})
        _train(config, job["seeds"], Path(job["out"]), folder)


def _images_of(job: dict[str, Any]) -> tuple[int, int, int]:
    """Return image size, channels and classes: of the data if it is trained on other than MNIST.

    Data that cannot be read is reported when the training starts.

    Raises:
        InputError: If an option has another value than the data.
    """
    names, settings = ("image_size", "channels", "classes"), job["settings"]
    size, channels, classes = (job[name] for name in names)
    if settings is None or (settings["dataset"] == "mnist" and "data_dir" not in settings):
        return size, channels, classes
    try:
        data = _data(RunConfig(**settings))
    except InputError:
        return size, channels, classes
    for name in names:
        given, found = job["given"][name], getattr(data, name)
        if given not in (None, found):
            raise InputError(
                f"{option_of(name)} {given}: the training data, {data.name}, have {found}; leave "
                "it out"
            )
    return data.image_size, data.channels, data.classes


def _data(config: RunConfig) -> Data:
    import torch

    from tui_trainer.data.loading import load

    loading = load(config, torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as done:
            data: Data = done.value
            return data


def _only(names: list[str], place: str) -> str:
    """Return the only one of these names.

    Raises:
        InputError: If there are several.
    """
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"{place}: has {len(names)} models ({clip(', '.join(names), 120)}); name one of them, as "
        f"{place}:{names[0]}, or add --every-model"
    )


def _figures(model: nn.Module, rows: tuple[LayerRow, ...], *, is_reviewed: bool) -> ModelFigures:
    from tui_trainer.anatomy.components import components_of, defined_modules
    from tui_trainer.anatomy.review import review
    from tui_trainer.anatomy.review.design import Design
    from tui_trainer.anatomy.review.receptive_fields import final_layers
    from tui_trainer.grading.figures import ModelFigures
    from tui_trainer.models.rng import noise
    from tui_trainer.protocol.layers import totals

    whole, design = totals(rows), Design(rows)
    height, width, channels = rows[0].output_shape
    undefined = next((row.undefined for row in rows if row.is_layer and row.undefined), "")
    is_traced = not any(row.kind == "model" for row in rows)
    ends = {"receptive_field": [design.last], "last_receptive_field": final_layers(design)}
    fields, measured = {}, []
    for name, positions in ends.items():
        known = [field for at in positions if (field := rows[at].receptive_field) is not None]
        if not known and is_traced and (known := _measured(model, rows, positions)):
            measured.append(name)
        fields[name] = max(known, key=min, default=None)
    components = None
    if is_traced:
        components = components_of(model, rows, noise(2, channels, height, width))
    errors = None
    if is_reviewed and is_traced:
        errors = tuple(each.title for each in review(rows) if each.severity == "error")
    return ModelFigures(
        parameters=whole.parameters,
        multiply_adds=whole.multiply_adds,
        **fields,
        measured=tuple(measured),
        undefined=undefined,
        components=components,
        defined=defined_modules(model),
        review_errors=errors,
    )


def _measured(
    model: nn.Module, rows: tuple[LayerRow, ...], positions: list[int]
) -> list[tuple[int, int]]:
    """Return the extents of the pixels that a feature in the middle of each layer depends on."""
    from tui_trainer.anatomy.measured import measured_fields

    found = []
    for _, pixels in measured_fields(model, rows[0].output_shape, dict.fromkeys(positions)):
        if pixels is not None and pixels.any():
            found.append((int(pixels.any(dim=1).sum()), int(pixels.any(dim=0).sum())))
    return found


# --- its training


def _train(config: RunConfig, seeds: int, out: Path, folder: Path) -> None:
    """Train the model with each seed, as ``mnist-tui seeds`` does.

    Raises:
        InputError: If it cannot be trained; the reason has been printed, if it has none.
    """
    from tui_trainer.cli.seed_starts import SeedStarts
    from tui_trainer.headless.hooks import Hooks
    from tui_trainer.headless.seeds_runner import run_seeds
    from tui_trainer.recording.seed_group import create_group

    group = create_group(config, seeds, out)
    lock = group.lock()
    starts = SeedStarts(group, Hooks(None, None), interactive=False)

    def start(config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        for event in starts(config, inbox):
            _note(event, config, folder / PROGRESS)
            yield event

    try:
        code = run_seeds(group, start)
    finally:
        starts.leave()
        group.remove_if_empty()
        lock.release()
    if code not in _TRAINED:
        raise SystemExit(int(code))


def _note(event: Event, config: RunConfig, path: Path) -> None:
    """Write what is being trained to a file, for the live line."""
    if isinstance(event, RunStarted):
        words = f"seed {config.seed}, epoch 1 of {config.epochs}"
    elif isinstance(event, EpochDone):
        words = f"seed {config.seed}, epoch {event.epoch} of {config.epochs} done"
        if event.val_accuracy is not None:
            words += f", {percent(event.val_accuracy)}"
    else:
        return
    path.write_text(words, encoding="utf-8")
