"""The moving parts of one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.engine.checkpoint_store import Keeper
from tui_trainer.engine.checkpoints import Checkpoint
from tui_trainer.engine.evaluation import Evaluation, evaluate
from tui_trainer.engine.optimizers import Optimizer
from tui_trainer.engine.pending import DivergedError, PendingStep, read_figures
from tui_trainer.engine.probes import Probes
from tui_trainer.engine.timing import Stopwatch
from tui_trainer.models.build import about, dropout_of, set_dropout
from tui_trainer.models.outside import OutsideState
from tui_trainer.models.state import finite_names, is_finite, state_tensors
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Inbox, Question
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation, RunConfig
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
from tui_trainer.protocol.probed import ModelTried
from tui_trainer.protocol.reference import model_name
from tui_trainer.protocol.schedules import factor
from tui_trainer.protocol.verdicts import Verdict
from tui_trainer.stats.intervals import wilson


class Assistant:
    """What may be asked of a model besides its training; this one answers nothing.

    The engine trains alone: whoever wants more of its model hands in a subclass, whose methods the
    engine calls between two batches, on the thread of the training.
    """

    def describe(
        self, model: nn.Module, image: tuple[int, int, int], classes: int
    ) -> tuple[LayerRow, ...]:
        """Return the layer table of a model for images of (height, width, channels)."""
        return ()

    def review(self, layers: tuple[LayerRow, ...], budget: int) -> tuple[Verdict, ...]:
        """Return what is good and bad about a design of at most ``budget`` parameters."""
        return ()

    def trace(
        self,
        model: nn.Module,
        images: Tensor,
        reached: Callable[[int, Tensor], None],
        finished: Callable[[Tensor], None],
    ) -> None:
        """Run a model on images (N, channels, H, W).

        Args:
            model: The model.
            images: Its input.
            reached: Called with a layer's place in the layer table and its output.
            finished: Called with the logits (N, classes).
        """
        finished(model(images))

    def begin(self, run: Session) -> None:
        """Take the run that is about to be trained."""

    @property
    def is_busy(self) -> bool:
        """Whether a question is worked on in slices."""
        return False

    def answer(self, question: Question) -> Iterator[Event]:
        """Answer a question, begin to work on it, or reject it."""
        yield CommandRejected(
            command=type(question).__name__, reason="nobody answers questions here", step=0
        )

    def work(self, *, waits: bool) -> Iterator[Event]:
        """Work on a question: one slice, or, if the run ``waits``, until a command arrives."""
        yield from ()

    def evaluated(self, images: str, result: Evaluation) -> None:
        """Take in the evaluation of a split, ``validation`` or ``test``, with its logits."""

    def facts(self) -> Mapping[str, object]:
        """Return the plain values that a checkpoint keeps of it."""
        return {}

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the tensors that a checkpoint keeps of it."""
        return {}

    def check(self, state: Checkpoint, path: Path) -> None:
        """Make sure that :meth:`restore` can use a checkpoint.

        Raises:
            InputError: If it cannot.
        """

    def restore(self, state: Checkpoint) -> None:
        """Go back to a checkpoint: the model's weights are others now."""


@dataclass
class Session:
    """One run between its first batch and its last.

    ``step``, ``epoch``, ``images`` and ``epoch_images`` count what has been trained, the batch or
    epoch under way included; ``base_rate``, ``batch_size`` and ``augmenting`` are the knobs the
    next batch is trained with; ``loss_sum`` and ``hit_sum`` are the epoch's as far as its batches
    have been read from the device, which happens every ``flush_every`` steps; ``last_rate`` is the
    learning rate of the last update; ``epoch_began`` is when the epoch did, on the watch. ``tried``
    and ``outside`` are a custom model's: how it answers, and its state outside the ``state_dict``.
    """

    config: RunConfig
    inbox: Inbox
    device: torch.device
    threads: int
    data: Data
    network: nn.Module
    layers: tuple[LayerRow, ...]
    optimizer: Optimizer
    stream: BatchStream
    chance: torch.Generator
    watch: Stopwatch
    keeper: Keeper
    assistant: Assistant
    probes: Probes
    flush_every: int
    base_rate: float
    batch_size: int
    augmenting: bool
    tried: ModelTried | None = None
    outside: OutsideState | None = None
    step: int = 0
    epoch: int = 0
    epochs_done: int = 0
    images: int = 0
    epoch_images: int = 0
    loss_sum: float = 0.0
    hit_sum: int = 0
    last_rate: float = 0.0
    paused: bool = False
    steps_left: int | None = None
    pause_after_epoch: bool = False
    stop: commands.Stop | None = None
    state: State = "preparing"
    best: Evaluation | None = None
    val_accuracy: float | None = None
    best_val_accuracy: float | None = None
    epoch_began: float = 0.0
    pending: list[PendingStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._finite = finite_names(self.network)
        self.assistant.begin(self)

    def started(self) -> RunStarted:
        """Tell what is about to be trained, on what."""
        return RunStarted(
            model=model_name(self.config.model),
            dataset=self.data.name,
            classes=self.data.classes,
            image_size=self.data.image_size,
            parameters=self.parameters,
            layers=self.layers,
            train_size=len(self.data.train),
            val_size=len(self.data.val),
            test_size=len(self.data.test),
            mean=self.data.mean,
            std=self.data.std,
            epochs=self.config.epochs,
            batch_size=self.batch_size,
            learning_rate=self.base_rate,
            optimizer=self.config.optimizer,
            schedule=self.config.schedule,
            augmentation=self.augmenting,
            dropout=self.dropout,
            seed=self.config.seed,
            device=self.device.type,
            threads=self.threads,
            review=self.assistant.review(self.layers, self.config.budget),
            about=about(self.config.model),
            budget=self.config.budget,
        )

    def resumed(self) -> RunResumed:
        """Tell from where a recorded run goes on."""
        state = self.keeper.good
        return RunResumed(
            step=self.step,
            epoch=self.epoch,
            images=self.images,
            threads=self.threads,
            lines=state.facts["lines"] if state else None,
        )

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def dropout(self) -> float | None:
        """The share of features its dropout layers hide, None where it has none."""
        return dropout_of(self.network)

    def set_dropout(self, share: float) -> None:
        """Let every dropout layer hide that share of its features."""
        set_dropout(self.network, share)

    @property
    def learning_rate(self) -> float:
        """The rate of the next update: base times schedule."""
        return self.base_rate * factor(self.config, self.images / len(self.data.train))

    def knobs(self) -> dict[str, float]:
        """Return where every knob stands that this network has."""
        knobs: dict[str, float] = {
            "learning_rate": self.base_rate,
            "batch_size": self.batch_size,
            "augmentation": self.augmenting,
            "epochs": self.config.epochs,
        }
        return knobs if self.dropout is None else {**knobs, "dropout": self.dropout}

    @property
    def amounts(self) -> Augmentation | None:
        """How the next batch is augmented: the run's own way, or the light one if it has none."""
        if not self.augmenting:
            return None
        own = self.config.augmentation
        return NAMED_AUGMENTATIONS["light"] if own.is_none else own

    def begin_epoch(self) -> None:
        """Shuffle anew and set the epoch's sums to nothing."""
        self.epoch += 1
        self.epoch_began = self.watch.seconds
        self.epoch_images = self.hit_sum = 0
        self.loss_sum = 0.0
        self.stream.begin_epoch()

    def count_step(self, loss: torch.Tensor, hits: torch.Tensor, size: int, rate: float) -> None:
        """Book a trained batch; its figures stay on the device until they are read."""
        self.step += 1
        if self.steps_left is not None:
            self.steps_left -= 1
        self.last_rate = rate
        self.images += size
        self.epoch_images += size
        self.pending.append(
            PendingStep(
                loss=loss,
                hits=hits,
                size=size,
                step=self.step,
                epoch=self.epoch,
                epoch_images=self.epoch_images,
                images=self.images,
                learning_rate=rate,
                seconds=self.watch.seconds,
            )
        )

    def flush(self) -> Iterator[StepDone]:
        """Read the losses of the steps that are still on the device, and tell of each step.

        Raises:
            DivergedError: At the first step whose loss is not a finite number, after telling it.
        """
        if not self.pending:
            return
        steps, self.pending = self.pending, []
        for step, (loss, hits) in zip(steps, read_figures(steps), strict=True):
            self.loss_sum += loss * step.size
            self.hit_sum += int(hits)
            yield step.event(loss, hits)
            if not math.isfinite(loss):
                raise self.lost(step.step, step.epoch, step.learning_rate)

    def lost(
        self, step: int | None = None, epoch: int | None = None, rate: float | None = None
    ) -> DivergedError:
        """Return the error to raise when an update, the last one if not told, has spoilt all."""
        good = self.keeper.good
        return DivergedError(
            Diverged(
                step=self.step if step is None else step,
                epoch=self.epoch if epoch is None else epoch,
                learning_rate=self.last_rate if rate is None else rate,
                good_step=good.facts["step"] if good else 0,
                where=self._where_lost(),
            )
        )

    def check_weights(self) -> None:
        """Make sure that the last update left numbers: no loss has been taken since.

        Raises:
            DivergedError: If a weight or a running statistic is not finite.
        """
        state = state_tensors(self.network)
        if self.step and not all(is_finite(state[name]) for name in self._finite & state.keys()):
            raise self.lost()

    def _where_lost(self) -> tuple[str, ...]:
        """Return what of the network's state is not finite; nothing if everything or nothing is."""
        state = {n: t for n, t in state_tensors(self.network).items() if n in self._finite}
        lost = [name for name, tensor in state.items() if not is_finite(tensor)]
        floats = [name for name, tensor in state.items() if tensor.is_floating_point()]
        return tuple(lost) if len(lost) < len(floats) else ()

    def enter(self, state: State, detail: str = "") -> Iterator[StateChanged]:
        """Change the state, and say so if it is another one."""
        if state != self.state:
            self.state = state
            yield StateChanged(state=state, step=self.step, detail=detail)

    def validate(self) -> Evaluation:
        """Evaluate the present weights on the validation images, for the assistant too."""
        result = evaluate(self.network, self.data, self.data.val)
        self.assistant.evaluated("validation", result)
        return replace(result, scores=None)

    def look_at_test(self) -> TestEvaluated:
        """Open the sealed test set once more and evaluate the present weights on it."""
        result = evaluate(self.network, self.data, self.data.test.open())
        self.assistant.evaluated("test", result)
        return TestEvaluated(
            look=self.data.test.looks,
            step=self.step,
            images=self.images,
            test_loss=result.loss,
            test_accuracy=result.correct / result.total,
            test_correct=result.correct,
            test_total=result.total,
            test_interval=wilson(result.correct, result.total),
        )
