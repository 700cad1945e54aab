"""The state of one run, and the interface of its assistant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.evaluation import Evaluation, evaluate
from tui_trainer.engine.optimizers import Optimizer
from tui_trainer.engine.probes import Probes
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.models.build import dropout_of, summary_of
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.device import Ranks
from tui_trainer.models.input_spec import ImageShape, InputSpec
from tui_trainer.models.state import finite_names, is_finite, state_tensors
from tui_trainer.models.threads import training_forward
from tui_trainer.models.unregistered_state import UnregisteredState
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import AdoptArm, Command, Inbox, Question, name_of
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.events import (
    CommandRejected,
    Diverged,
    Event,
    RunResumed,
    RunStarted,
    State,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import Probe
from tui_trainer.protocol.reference import model_name
from tui_trainer.protocol.schedules import factor
from tui_trainer.stats.intervals import wilson

FLUSH_SECONDS = 0.1
"""Seconds between two readings of an accelerator's losses: no display is faster."""


class DivergedError(Exception):
    """The loss or a weight is NaN or infinite; ``event`` names the step."""

    def __init__(self, event: Diverged) -> None:
        super().__init__(f"diverged at step {event.step}")
        self.event = event


class Assistant:
    """Answers questions about the model during training; this base class answers none.

    The engine trains without it. A subclass is passed to ``train``; the engine calls its methods
    between two batches, on the training thread.
    """

    def describe(
        self, model: nn.Module, image: ImageShape | InputSpec, classes: int, budget: int
    ) -> tuple[tuple[LayerRow, ...], tuple[Diagnosis, ...]]:
        """Return the layer table and the design review for images (height, width, channels)."""
        return (), ()

    def first_probes(self, model: nn.Module, data: Data, config: RunConfig) -> tuple[Probe, ...]:
        """Probe the data and the model; try a custom model's first training steps on a copy.

        Raises:
            InputError: If a step fails.
        """
        return ()

    def try_updates(self) -> Iterator[Probe]:
        """Try some updates of copies of the model, which has learned nothing so far."""
        yield from ()

    def try_batch_size(
        self, model: nn.Module, data: Data, config: RunConfig, batch_size: int
    ) -> None:
        """Try a training step of a custom model with another batch size on a copy.

        Raises:
            InputError: If it fails.
        """

    def trace(
        self,
        model: nn.Module,
        images: Tensor,
        reached: Callable[[int, Tensor], None],
        finished: Callable[[Tensor], None],
    ) -> None:
        """Run a model on images and report the output of each layer.

        Args:
            model: The model.
            images: Its input (N, channels, H, W).
            reached: Called with the row of a layer in the layer table and the layer's output.
            finished: Called with the logits (N, classes).
        """
        finished(model(images))

    def begin(self, run: Run) -> None:
        """Receive the run before its training starts."""

    @property
    def is_busy(self) -> bool:
        """Whether an answer is in progress, in slices."""
        return False

    def answer(self, question: Question | AdoptArm) -> Iterator[Event]:
        """Answer a question, start to work on it, or reject it; or adopt an arm of a race."""
        yield CommandRejected(
            command=name_of(question), reason="this run answers no questions", step=0
        )

    def work(self, *, waits: bool) -> Iterator[Event]:
        """Work on a question: for one slice, or until a command arrives if the run ``waits``."""
        yield from ()

    def evaluated(self, images: str, result: Evaluation) -> None:
        """Receive the evaluation of a split, ``validation`` or ``test``, with its logits."""

    def state(self) -> tuple[Mapping[str, object], Mapping[str, Tensor]]:
        """Return the metadata and the tensors that it adds to a checkpoint."""
        return {}, {}

    def check(self, state: Checkpoint, path: Path) -> None:
        """Check that :meth:`restore` can use a checkpoint.

        Raises:
            InputError: If it cannot.
        """

    def restore(self, state: Checkpoint) -> None:
        """Restore its state from a checkpoint; the model already has the checkpoint's weights."""


@dataclass
class Control:
    """What the commands have set for a run.

    Attributes:
        inbox: Receives the commands.
        state: The current state, as in ``StateChanged``.
        paused: Whether the run is paused.
        steps_left: Steps until it pauses again; None for no limit.
        pause_after_epoch: Whether it pauses at the end of the epoch.
        stop: The command that ends it.
    """

    inbox: Inbox
    state: State = "preparing"
    paused: bool = False
    steps_left: int | None = None
    pause_after_epoch: bool = False
    stop: commands.Stop | None = None

    def pause(self) -> None:
        """Pause before the next batch."""
        self.paused, self.steps_left, self.pause_after_epoch = True, None, False

    def resume(self, *, one_epoch: bool = False) -> None:
        """Continue training, to the end of the epoch or without a limit."""
        self.paused, self.steps_left, self.pause_after_epoch = False, None, one_epoch


@dataclass
class Validation:
    """The results on the validation split; None before the first epoch and without that split."""

    accuracy: float | None = None
    best_accuracy: float | None = None
    best: Evaluation | None = None


@dataclass
class Run:
    """One run between its first batch and its last.

    Attributes:
        base_lr: The base learning rate, a knob; see :attr:`lr`.
        flush_every: Steps after which the losses are read from the device, if there are
            ``FLUSH_SECONDS`` between two readings.
        first_probes: The checks of the data and the model before the first step.
        unregistered: The state of a custom model that its ``state_dict`` does not contain.
        forward: The forward pass of a training step.
        ranks: The processes that train this model together.
    """

    config: RunConfig
    device: torch.device
    threads: int
    data: Data
    model: nn.Module
    layers: tuple[LayerRow, ...]
    review: tuple[Diagnosis, ...]
    optimizer: Optimizer
    batches: Batches
    progress: Progress
    control: Control
    stopwatch: Stopwatch
    store: CheckpointStore
    probes: Probes
    assistant: Assistant
    base_lr: float
    flush_every: int
    first_probes: tuple[Probe, ...] = ()
    unregistered: UnregisteredState | None = None
    ranks: Ranks = field(default_factory=Ranks)
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        is_custom = self.unregistered is not None
        forward = self.model if is_custom else training_forward(self.model)
        self.forward: Callable[[Tensor], Tensor] = self.ranks.wrap(self.model, forward)
        self._finite = finite_names(self.model)
        self.assistant.begin(self)

    def started(self) -> RunStarted:
        """Describe the model, the data and the settings of the run."""
        return RunStarted(
            model=model_name(self.config.model),
            **self.data.description,
            parameters=self.parameters,
            layers=self.layers,
            epochs=self.config.epochs,
            batch_size=self.batches.batch_size,
            base_lr=self.base_lr,
            optimizer=self.config.optimizer,
            schedule=self.config.schedule,
            augmentation=self.batches.augmenting,
            dropout=self.dropout,
            seed=self.config.seed,
            device=self.device.type,
            threads=self.threads,
            review=self.review,
            about=summary_of(self.config.model),
            budget=self.config.budget,
            momentum=self.config.momentum if self.config.optimizer == "sgd" else None,
            weight_decay=self.config.weight_decay,
            label_smoothing=self.config.label_smoothing,
            resize_until=self.config.resize_until,
            resize_to=self.config.resize_to if self.config.resize_until else None,
            augment_until=self.config.augment_until,
            precision=self.config.precision,
            processes=self.ranks.world_size,
        )

    def resumed(self) -> RunResumed:
        """Describe the point at which a recorded run continues."""
        state = self.store.last_good
        return RunResumed(
            step=self.progress.step,
            epoch=self.progress.epoch,
            images=self.progress.images,
            threads=self.threads,
            processes=self.ranks.world_size,
            lines=state.metadata["lines"] if state else None,
        )

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def dropout(self) -> float | None:
        """The probability of the dropout layers; None without such layers."""
        return dropout_of(self.model)

    @property
    def lr(self) -> float:
        """The learning rate of the next update: base × schedule."""
        return self.base_lr * factor(self.config, self.progress.images / len(self.data.train))

    @property
    def done(self) -> float:
        """The share of the configured training that is done, 0 to 1."""
        return self.progress.images / (len(self.data.train) * self.config.epochs)

    def knobs(self) -> dict[str, float]:
        """Return the current value of each knob that this model has."""
        knobs: dict[str, float] = {
            "base_lr": self.base_lr,
            "batch_size": self.batches.batch_size,
            "augmentation": self.batches.augmenting,
            "epochs": self.config.epochs,
        }
        return knobs if self.dropout is None else {**knobs, "dropout": self.dropout}

    def enter(self, state: State, detail: str = "") -> Iterator[StateChanged]:
        """Change the state; report it if it differs."""
        if state != self.control.state:
            self.control.state = state
            yield StateChanged(state=state, step=self.progress.step, detail=detail)

    def take_commands(self, *, wait: bool = False) -> list[Command]:
        """Return the waiting commands of the first rank, see :meth:`Inbox.take`."""
        inbox, step = self.control.inbox, self.progress.step
        return self.ranks.first(lambda: inbox.take(step, wait=wait))

    def begin_epoch(self) -> None:
        """Shuffle, and start counting the epoch."""
        self.progress.begin_epoch(self.stopwatch.seconds)
        self.batches.stream.begin_epoch()

    def count_step(self, loss: Tensor, correct: Tensor, size: int, lr: float) -> None:
        """Count a step; its loss stays on the device until :meth:`flush`."""
        if self.control.steps_left is not None:
            self.control.steps_left -= 1
        self.progress.count(loss, correct, size, lr, self.stopwatch.seconds)

    @property
    def is_flush_due(self) -> bool:
        """Whether to read the losses that are still on the device: each at once on the CPU."""
        pending, every = self.progress.pending, self.flush_every
        if self.ranks.world_size > 1:  # the clocks of the ranks differ
            return self.progress.step % every == 0
        if len(pending) < every:
            return False
        return every == 1 or self.stopwatch.seconds - pending[0].seconds >= FLUSH_SECONDS

    def flush(self) -> Iterator[StepDone]:
        """Report the steps whose losses are still on the device.

        Raises:
            DivergedError: At the first step with a non-finite loss, after reporting it.
        """
        for step in self.progress.read():
            yield step
            if not math.isfinite(step.loss):
                raise self.diverged(step)

    def diverged(self, step: StepDone | None = None) -> DivergedError:
        """Return the error to raise when a step (None: the last) has left a non-finite value."""
        last_good, progress = self.store.last_good, self.progress
        return DivergedError(
            Diverged(
                step=step.step if step else progress.step,
                epoch=step.epoch if step else progress.epoch,
                lr=step.lr if step else progress.last_lr,
                last_good_step=last_good.metadata["step"] if last_good else 0,
                non_finite=self._non_finite(),
            )
        )

    def check_weights(self) -> None:
        """Check the weights after the last update, whose effect no loss has shown yet.

        Raises:
            DivergedError: If a weight or a running statistic is not finite.
        """
        state = state_tensors(self.model)
        names = self._finite & state.keys()
        if self.progress.step and not all(is_finite(state[name]) for name in names):
            raise self.diverged()

    def _non_finite(self) -> tuple[str, ...]:
        """Return the names of the non-finite tensors; none if all of them are non-finite."""
        state = {n: t for n, t in state_tensors(self.model).items() if n in self._finite}
        non_finite = [name for name, tensor in state.items() if not is_finite(tensor)]
        floats = [name for name, tensor in state.items() if tensor.is_floating_point()]
        return tuple(non_finite) if len(non_finite) < len(floats) else ()

    def validate(self) -> Evaluation:
        """Evaluate the current weights on the validation split, for the assistant too."""
        result = evaluate(self.model, self.data, self.data.val, self.ranks)
        self.assistant.evaluated("validation", result)
        return replace(result, logits=None)

    def evaluate_test(self) -> TestEvaluated:
        """Evaluate the current weights on the test set, and count that."""
        result = evaluate(self.model, self.data, self.data.test.open())
        self.assistant.evaluated("test", result)
        return TestEvaluated(
            evaluation=self.data.test.evaluations,
            step=self.progress.step,
            images=self.progress.images,
            test_loss=result.loss,
            test_accuracy=result.accuracy,
            test_correct=result.correct,
            test_total=result.total,
            test_interval=wilson(result.correct, result.total),
        )
