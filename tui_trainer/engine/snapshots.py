"""Turn a run into a checkpoint and back, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import attrgetter

import torch
from torch import Tensor

from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.engine.run import Run
from tui_trainer.models.build import set_dropout
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.rng import rng_tensors, set_rng_tensors
from tui_trainer.models.saved_state import fingerprint_of, restore_unregistered
from tui_trainer.models.state import load_state, state_tensors
from tui_trainer.protocol.events import CheckpointSaved
from tui_trainer.recording.attempts import RecordingEvent

COUNTERS = {
    "step": "progress.step",
    "epoch": "progress.epoch",
    "epochs_done": "progress.epochs_done",
    "images": "progress.images",
    "epoch_images": "progress.epoch_images",
    "loss_sum": "progress.loss_sum",
    "correct_sum": "progress.correct_sum",
    "last_lr": "progress.last_lr",
    "epoch_began": "progress.epoch_began",
    "base_lr": "base_lr",
    "batch_size": "batches.batch_size",
    "augmenting": "batches.augmenting",
    "val_accuracy": "validation.accuracy",
    "best_val_accuracy": "validation.best_accuracy",
}
"""The plain numbers of a run's state: name in a checkpoint, attribute of the run."""


def capture(run: Run, lines: int | None = None) -> Checkpoint:
    """Return the state of a run between two batches; all losses have been read from the device.

    Args:
        run: The run.
        lines: The number of lines in the run's journal up to this state.
    """
    metadata = {
        **{name: attrgetter(place)(run) for name, place in COUNTERS.items()},
        "model": run.config.model,
        **run.data.metadata,
        "data": run.data.fingerprint,
        "epochs": run.config.epochs,
        "dropout": run.dropout,
        "built_dropout": run.config.dropout,
        "threads": run.threads,
        "processes": run.ranks.world_size,
        "device": run.device.type,
        "cursor": run.batches.stream.cursor,
        "test_evaluations": run.data.test.evaluations,
        "seconds": run.stopwatch.seconds,
        "probed_images": run.probes.sampled_at,
        "lines": lines,
        "seed": run.config.seed,
        "data_digest": run.data.digest,
    }
    if run.unregistered is not None:
        metadata |= {"outside": run.unregistered.scalars(), **run.unregistered.flags()}
    assistant_metadata, assistant_tensors = run.assistant.state()
    tensors = dict(tensors_of(run)) | dict(assistant_tensors)
    saved = {name: _to_cpu(tensor) for name, tensor in tensors.items()}
    return Checkpoint({**metadata, **assistant_metadata}, saved)


def tensors_of(run: Run) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a run's state by checkpoint name, without those of the assistant."""
    for name, tensor in state_tensors(run.model).items():
        yield f"model/{name}", tensor
    if run.unregistered is not None:
        for name, tensor in run.unregistered.tensors().items():
            yield f"outside/{name}", tensor
    if (logits := fingerprint_of(run.model, run.data.input_size)) is not None:
        yield "fingerprint", logits
    for name, tensor in run.optimizer.state_tensors().items():
        yield f"optimizer/{name}", tensor
    yield "rng/shuffle", run.batches.stream.rng.get_state()
    yield "rng/augment", run.batches.augment_rng.get_state()
    for name, tensor in rng_tensors().items():
        yield f"rng/{name}", tensor
    if run.device.type == "cuda":
        yield "rng/cuda", torch.cuda.get_rng_state(run.device)
    yield "order", run.batches.stream.order.to(torch.int32)
    if run.probes.last_gradient is not None:
        yield "probe/gradient", run.probes.last_gradient
    if run.validation.best is not None:
        yield "best/losses", run.validation.best.losses
        yield "best/correct", run.validation.best.is_correct


def _to_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def restore(run: Run, state: Checkpoint) -> None:
    """Restore a run from a checkpoint of the same model and data; its stopwatch runs on."""
    for name, place in COUNTERS.items():
        *owner, attribute = place.split(".")
        setattr(attrgetter(*owner)(run) if owner else run, attribute, state.metadata[name])
    run.config = replace(run.config, epochs=state.metadata["epochs"])
    if run.dropout not in (None, state.metadata["dropout"]):
        # Only if the knob was set: the dropout layers of a custom model can have different p.
        set_dropout(run.model, state.metadata["dropout"])
    load_state(run.model, state.part("model"))
    if run.unregistered is not None:
        restore_unregistered(run.unregistered, state.metadata, state.part("outside"))
    _copy(state.part("optimizer"), run.optimizer.state_tensors())
    run.optimizer.zero_grad()
    run.batches.stream.resume(state.tensors["order"].to(torch.int64), state.metadata["cursor"])
    run.batches.stream.rng.set_state(state.tensors["rng/shuffle"])
    run.batches.augment_rng.set_state(state.tensors["rng/augment"])
    set_rng_tensors(state.part("rng"))
    if run.device.type == "cuda" and "rng/cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["rng/cuda"], run.device)
    best = state.part("best")
    labels = run.data.val.labels.cpu()
    run.validation.best = Evaluation(best["losses"], best["correct"], labels) if best else None
    run.assistant.restore(state)
    gradient = state.tensors.get("probe/gradient")
    run.probes.restore(
        state.metadata.get("probed_images", -1),
        None if gradient is None else gradient.to(run.device),
    )
    run.progress.pending.clear()


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])


def save(
    run: Run, *names: str, announce: bool = False
) -> Iterator[RecordingEvent | CheckpointSaved]:
    """Save a checkpoint of the current state.

    Args:
        run: The run; all losses have been read from the device.
        names: Of the files in its checkpoint folder, without their suffix.
        announce: Whether to report it: not where the clock decides, so that runs are reproducible.

    Raises:
        DivergedError: If a weight is not finite; then nothing is saved.
    """
    run.check_weights()
    store = run.store
    state = capture(run, store.lines())
    yield from store.keep(state, names, run.stopwatch.seconds, announce=announce)
