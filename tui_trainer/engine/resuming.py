"""Going on from a checkpoint, once it is found to be one that the run can go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tui_trainer.data.dataset import Data
from tui_trainer.engine.checkpoints import Checkpoint
from tui_trainer.engine.probes.update import gradient_size
from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import COUNTERS, restore
from tui_trainer.models.build import is_custom
from tui_trainer.models.saved_state import check_same_model
from tui_trainer.models.state import mismatch
from tui_trainer.protocol.errors import SettingError, fault, reason

_METADATA = ("epochs", "dropout", "threads", "cursor", "test_looks", "seconds", "lines")
_COUNTS = (
    *("step", "epoch", "epochs_done", "images", "epoch_images", "hit_sum"),
    *("cursor", "test_looks"),
)
_NUMBERS = ("loss_sum", "last_rate", "base_rate", "epoch_began", "seconds")
_SHARES = ("val_accuracy", "best_val_accuracy")
_GENERATORS = ("order", "augmentation", "torch")


@dataclass(frozen=True, slots=True)
class Resumption:
    """From where a recorded run goes on.

    Attributes:
        state: The checkpoint.
        path: Its file, for messages.
        looks: How often the test set has been read, in whatever became of the run since.
    """

    state: Checkpoint
    path: Path
    test_evaluations: int = 0


def resume_from(run: Run, resume: Resumption) -> None:
    """Put a fresh run where a recorded run was.

    Raises:
        InputError: If the checkpoint is one of another network or of other data.
    """
    check_fits(run, resume.state, resume.path)
    try:
        restore(run, resume.state)
    except ValueError as error:
        raise fault(resume.path, f"cannot be used: {reason(error)}") from None
    saved = resume.state.tensors.get("fingerprint")
    if saved is not None:
        check_same_model(run.model, run.data.image_size, resume.state.metadata, saved, resume.path)
    run.stopwatch.resume_at(resume.state.metadata["seconds"])
    run.data.test.evaluations = max(resume.test_evaluations, resume.state.metadata["test_looks"])
    lines, lines_then = run.store.lines(), resume.state.metadata["lines"]
    if lines is not None and lines_then is not None and lines < lines_then:
        # Some lines waited for a full disk, and were lost with the process.
        state = replace(resume.state, metadata={**resume.state.metadata, "lines": lines})
        run.store.begin_from(state, is_saved=False)
    else:
        run.store.begin_from(resume.state)


def check_fits(run: Run, state: Checkpoint, path: Path) -> None:
    """Make sure that a checkpoint is one of this run's network and data.

    Raises:
        InputError: If it is of another one; the message names the first difference.
    """
    metadata = state.metadata
    mine = run.config.model
    # A file that has moved is known by its answers, if the checkpoint keeps some.
    is_moved = (
        is_custom(mine) and is_custom(str(metadata.get("model"))) and "fingerprint" in state.tensors
    )
    if metadata.get("model") != mine and not is_moved:
        raise fault(path, f"is of another network: {metadata.get('model')}, not {mine}")
    if not _is_same_data(metadata, run.data):
        theirs = metadata.get("data")
        raise fault(path, f"is of other data: {theirs}, not {run.data.fingerprint}")
    missing = [name for name in (*COUNTERS, *_METADATA) if name not in metadata]
    if missing:
        raise fault(path, f"lacks {missing[0]}; it is no whole checkpoint")
    _check_metadata(run, metadata, path)
    if problem := mismatch(run.model, state.part("network")):
        raise fault(path, f"does not fit: {problem}")
    wanted = {f"optimizer/{name}": t for name, t in run.optimizer.state_tensors().items()}
    wanted |= {f"random/{name}": torch.get_rng_state() for name in _GENERATORS}
    for name, tensor in wanted.items():
        there = state.tensors.get(name)
        if there is None or there.shape != tensor.shape or there.dtype != tensor.dtype:
            shape = "missing" if there is None else f"{tuple(there.shape)}"
            raise fault(path, f"does not fit: {name} is {shape}, not {tuple(tensor.shape)}")
    _check_places(run, state, path)
    _check_probes(run, state, path)
    run.assistant.check(state, path)


def _is_same_data(metadata: Mapping[str, Any], data: Data) -> bool:
    """Say whether it is the data of a checkpoint, by content; in older ones by name and numbers."""
    mine, theirs = data.fingerprint, str(metadata.get("data"))
    if not (metadata.get("data_digest") and data.digest):
        return theirs == mine
    # Behind the name stand the sizes of the splits and their statistics.
    return metadata["data_digest"] == data.digest and theirs.endswith(mine.removeprefix(data.name))


def _check_metadata(run: Run, metadata: Mapping[str, Any], path: Path) -> None:
    """Make sure that every plain number is one that a run can have."""
    for names, fits in (
        (_COUNTS, lambda value: type(value) is int and 0 <= value < 1 << 53),
        (_NUMBERS, _is_number),
        (_SHARES, lambda value: value is None or _is_number(value)),
        (("augmenting",), lambda value: type(value) is bool),
        (("dropout",), lambda value: (value is None) == (run.dropout is None)),
    ):
        for name in names:
            if not fits(metadata[name]):
                raise fault(path, f"{name} cannot be {str(metadata[name])[:40]!r}")
    try:
        replace(
            run.config,
            lr=metadata["base_rate"],
            **{name: metadata[name] for name in ("batch_size", "epochs", "dropout", "threads")},
        )
    except SettingError as error:
        raise fault(path, f"cannot be used: {error.problem}") from None


def _check_probes(run: Run, state: Checkpoint, path: Path) -> None:
    """Make sure that the probes can go on; a checkpoint of an older version has none of theirs."""
    images = state.metadata.get("probed_images", -1)
    if type(images) is not int or not -1 <= images < 1 << 53:
        raise fault(path, f"probed_images cannot be {str(images)[:40]!r}")
    gradient = state.tensors.get("probe/gradient")
    if gradient is None:
        return
    total = gradient_size(run.model)
    if gradient.dtype != torch.float32 or tuple(gradient.shape) != (total,):
        raise fault(path, "does not fit: probe/gradient is no gradient of this network")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300  # type: ignore[arg-type]


def _check_places(run: Run, state: Checkpoint, path: Path) -> None:
    """Make sure that the permutation, the place in it, the generators and the best can be used."""
    metadata, order, total = state.metadata, state.tensors.get("order"), len(run.data.train)
    is_begun = metadata["epoch"] == metadata["epochs_done"] + 1
    sizes = (total,) if is_begun else (total, 0)
    if order is None or order.dtype != torch.int32 or order.ndim != 1 or len(order) not in sizes:
        raise fault(path, f"does not fit: order is no permutation of {total} images")
    if len(order) and not bool(((order >= 0) & (order < total)).all()):
        raise fault(path, f"does not fit: order names images beyond the {total} that there are")
    is_on = not is_begun or metadata["cursor"] == metadata["epoch_images"]
    if (
        metadata["cursor"] > len(order)
        or not is_on
        or metadata["epoch"] - metadata["epochs_done"] > 1
    ):
        raise fault(path, "contradicts itself about how far its epoch has come")
    if metadata["epoch"] < metadata["epochs_done"]:
        raise fault(path, "has more epochs behind it than it has begun")
    for name, tensor in state.part("random").items():
        if name in _GENERATORS:
            try:
                torch.Generator().set_state(tensor)
            except (RuntimeError, TypeError):
                raise fault(path, f"random/{name} is no state of a generator") from None
    best = {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in state.part("best").items()
    }
    size = (len(run.data.val),)
    if best not in ({}, {"losses": (torch.float32, size), "hits": (torch.bool, size)}):
        raise fault(path, "does not fit: best is no result on the validation images")
