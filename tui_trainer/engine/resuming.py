"""Resume a run from a checkpoint, after checking that the checkpoint fits the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tui_trainer.data.dataset import Data
from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import COUNTERS, restore
from tui_trainer.models.build import is_custom
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.saved_state import check_same_model
from tui_trainer.models.state import load_state, mismatch
from tui_trainer.models.tensors import gradient_size
from tui_trainer.protocol.errors import SettingError, path_error, reason

_METADATA = ("epochs", "dropout", "threads", "cursor", "test_evaluations", "seconds", "lines")
_COUNTS = (
    *("step", "epoch", "epochs_done", "images", "epoch_images", "correct_sum"),
    *("cursor", "test_evaluations"),
)
_NUMBERS = ("loss_sum", "last_lr", "base_lr", "epoch_began", "seconds")
_SHARES = ("val_accuracy", "best_val_accuracy")
_GENERATORS = ("shuffle", "augment", "torch")


@dataclass(frozen=True, slots=True)
class Resumption:
    """The point at which a recorded run resumes.

    Attributes:
        state: The checkpoint.
        path: Its file, for messages.
        test_evaluations: How many the run has recorded, after the checkpoint too.
    """

    state: Checkpoint
    path: Path
    test_evaluations: int = 0


def resume_from(run: Run, resume: Resumption) -> None:
    """Restore a fresh run from the checkpoint of a recorded run.

    Raises:
        InputError: If the checkpoint is of another model or other data.
    """
    if resume.state.metadata.get("script"):
        restore_weights(run, resume.state, resume.path)
        return
    check_fits(run, resume.state, resume.path)
    try:
        restore(run, resume.state)
    except ValueError as error:
        raise path_error(resume.path, f"cannot be used: {reason(error)}") from None
    metadata, saved = resume.state.metadata, resume.state.tensors.get("fingerprint")
    if saved is not None:
        check_same_model(run.model, run.data.input_size, metadata, saved, resume.path)
    run.stopwatch.resume_at(metadata["seconds"])
    run.data.test.evaluations = max(resume.test_evaluations, metadata["test_evaluations"])
    lines, lines_then = run.store.lines(), metadata["lines"]
    if lines is not None and lines_then is not None and lines < lines_then:
        # A full disk had delayed some lines, and the process ended before they were written.
        state = replace(resume.state, metadata={**metadata, "lines": lines})
        run.store.begin_from(state, is_saved=False)
    else:
        run.store.begin_from(resume.state)


def restore_weights(run: Run, state: Checkpoint, path: Path) -> None:
    """Restore the model that a script has trained, to examine it: only the script can continue.

    Raises:
        InputError: If the checkpoint is of another model.
    """
    metadata = state.metadata
    if problem := mismatch(run.model, state.part("model")):
        raise path_error(path, f"does not fit: {problem}")
    run.assistant.check(state, path)
    load_state(run.model, state.part("model"))
    for name in ("step", "epoch", "epochs_done", "images"):
        setattr(run.progress, name, metadata[name])
    run.config = replace(run.config, epochs=metadata["epochs"])
    run.base_lr, run.batches.batch_size = metadata["base_lr"], metadata["batch_size"]
    run.stopwatch.resume_at(metadata["seconds"])
    run.store.begin_from(state)
    run.assistant.restore(state)


def check_fits(run: Run, state: Checkpoint, path: Path) -> None:
    """Check that a checkpoint is of this run's model and data.

    Raises:
        InputError: If it is not; the message names the first difference.
    """
    metadata = state.metadata
    mine = run.config.model
    # A custom model whose file has moved is recognized by its fingerprint, if there is one.
    is_moved = (
        is_custom(mine) and is_custom(str(metadata.get("model"))) and "fingerprint" in state.tensors
    )
    if metadata.get("model") != mine and not is_moved:
        raise path_error(
            path, f"is a checkpoint of another model: {metadata.get('model')}, not {mine}"
        )
    if not _is_same_data(metadata, run.data):
        theirs = metadata.get("data")
        raise path_error(path, f"was trained on other data: {theirs}, not {run.data.fingerprint}")
    missing = [name for name in (*COUNTERS, *_METADATA) if name not in metadata]
    if missing:
        raise path_error(path, f"lacks {missing[0]}; the checkpoint is incomplete")
    _check_metadata(run, metadata, path)
    if problem := mismatch(run.model, state.part("model")):
        raise path_error(path, f"does not fit: {problem}")
    wanted = {f"optimizer/{name}": t for name, t in run.optimizer.state_tensors().items()}
    wanted |= {f"rng/{name}": torch.get_rng_state() for name in _GENERATORS}
    for name, tensor in wanted.items():
        there = state.tensors.get(name)
        if there is None or there.shape != tensor.shape or there.dtype != tensor.dtype:
            shape = "missing" if there is None else f"{tuple(there.shape)}"
            raise path_error(path, f"does not fit: {name} is {shape}, not {tuple(tensor.shape)}")
    _check_places(run, state, path)
    _check_probes(run, state, path)
    run.assistant.check(state, path)


def _is_same_data(metadata: Mapping[str, Any], data: Data) -> bool:
    """Compare data with a checkpoint's: by content; in older ones by name and statistics."""
    mine, theirs = data.fingerprint, str(metadata.get("data"))
    if not (metadata.get("data_digest") and data.digest):
        return theirs == mine
    # After the name come the sizes of the splits and their statistics.
    return metadata["data_digest"] == data.digest and theirs.endswith(mine.removeprefix(data.name))


def _check_metadata(run: Run, metadata: Mapping[str, Any], path: Path) -> None:
    for names, fits in (
        (_COUNTS, lambda value: type(value) is int and 0 <= value < 1 << 53),
        (_NUMBERS, _is_number),
        (_SHARES, lambda value: value is None or _is_number(value)),
        (("augmenting",), lambda value: type(value) is bool),
        (("dropout",), lambda value: (value is None) == (run.dropout is None)),
    ):
        for name in names:
            if not fits(metadata[name]):
                raise path_error(path, f"{name} cannot be {str(metadata[name])[:40]!r}")
    try:
        replace(
            run.config,
            lr=metadata["base_lr"],
            **{name: metadata[name] for name in ("batch_size", "epochs", "dropout", "threads")},
        )
    except SettingError as error:
        raise path_error(path, f"cannot be used: {error.problem}") from None


def _check_probes(run: Run, state: Checkpoint, path: Path) -> None:
    """Check the state of the probes; a checkpoint of an older version has none."""
    images = state.metadata.get("probed_images", -1)
    if type(images) is not int or not -1 <= images < 1 << 53:
        raise path_error(path, f"probed_images cannot be {str(images)[:40]!r}")
    gradient = state.tensors.get("probe/gradient")
    if gradient is None:
        return
    total = gradient_size(run.model)
    if gradient.dtype != torch.float32 or tuple(gradient.shape) != (total,):
        raise path_error(path, "does not fit: probe/gradient is not a gradient of this model")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300  # type: ignore[arg-type]


def _check_places(run: Run, state: Checkpoint, path: Path) -> None:
    """Check the permutation, the position in it, the rng states and the best evaluation."""
    metadata, order, total = state.metadata, state.tensors.get("order"), len(run.data.train)
    epoch, epochs_done = metadata["epoch"], metadata["epochs_done"]
    is_begun = epoch == epochs_done + 1
    sizes = (total,) if is_begun else (total, 0)
    if order is None or order.dtype != torch.int32 or order.ndim != 1 or len(order) not in sizes:
        raise path_error(path, f"does not fit: order is not a permutation of {total} images")
    if len(order) and not bool(((order >= 0) & (order < total)).all()):
        raise path_error(path, f"does not fit: order has an index beyond the {total} images")
    is_on = not is_begun or metadata["cursor"] == metadata["epoch_images"]
    if metadata["cursor"] > len(order) or not is_on or epoch - epochs_done > 1:
        raise path_error(path, "is inconsistent: its position in the epoch is impossible")
    if epoch < epochs_done:
        raise path_error(path, "is inconsistent: it has completed more epochs than it has started")
    for name, tensor in state.part("rng").items():
        if name in _GENERATORS:
            try:
                torch.Generator().set_state(tensor)
            except (RuntimeError, TypeError):
                raise path_error(path, f"rng/{name} is not an rng state") from None
    best = {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in state.part("best").items()
    }
    size = (len(run.data.val),)
    if best not in ({}, {"losses": (torch.float32, size), "correct": (torch.bool, size)}):
        raise path_error(path, "does not fit: best is not an evaluation of the validation images")
