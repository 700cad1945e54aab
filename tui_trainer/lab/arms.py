"""The arms of a race: copies of a run, each a true continuation of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from tui_trainer.engine.batches import rng_for
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.engine.loop import train_batch
from tui_trainer.engine.prepare import assemble
from tui_trainer.engine.process_commands import set_knob
from tui_trainer.engine.run import DivergedError, Run
from tui_trainer.engine.snapshots import capture, restore
from tui_trainer.lab.probe_assistant import ProbeAssistant
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import rng_tensors, seed_all, set_rng_tensors
from tui_trainer.models.unregistered_state import SharedState
from tui_trainer.protocol.commands import Inbox, Knob
from tui_trainer.protocol.events import CommandRejected, Event, SettingChanged, StepDone
from tui_trainer.protocol.exhibit import Curve

SMOOTHED_BATCHES = 8
"""The half-life of a curve's smoothed loss, in batches of the run."""


class RejectedError(ValueError):
    """The run cannot have this setting; the message is the reason."""


@dataclass
class Arm:
    """One continuation of a run: a copy of model, optimizer, batches, counters and rng states.

    It takes the steps of the engine's loop, probes included, so that its events and its state are
    those of the run with the same setting.

    Attributes:
        name: Its name in plots and tables.
        run: The copy of the run.
        knobs: The knob that it has set first; none for the current setting.
        again: Above 0 for a repetition of the current setting, which the run itself cannot train.
        events: What it has reported: its setting, its steps, its probes.
        end: Its state after its last step; None before, and if it has diverged.
        evaluation: The result on the validation split at its end.
        diverged_at: The step with the first non-finite loss or weight; 0 if there is none.
        seconds: The time of its steps.
    """

    name: str
    run: Run
    knobs: tuple[Knob, ...] = ()
    again: int = 0
    events: list[Event] = field(default_factory=list)
    end: Checkpoint | None = None
    evaluation: Evaluation | None = None
    diverged_at: int = 0
    seconds: float = 0.0
    _rng: dict[str, torch.Tensor] = field(default_factory=dict)
    _cuda_rng: torch.Tensor | None = None
    _shared: SharedState | None = None

    @property
    def images(self) -> int:
        """The training images that it has seen since the fork."""
        return sum(event.batch_size for event in self.steps)

    @property
    def steps(self) -> list[StepDone]:
        """The steps that it has taken."""
        return [event for event in self.events if isinstance(event, StepDone)]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Give the process those of the arm rng states and globals; keep them afterwards."""
        run = self.run
        set_rng_tensors(self._rng)
        if self._cuda_rng is not None:
            torch.cuda.set_rng_state(self._cuda_rng, run.device)
        if self._shared is not None:
            self._shared.restore()
        try:
            yield
        finally:
            self.keep_globals()

    def keep_globals(self) -> None:
        """Keep the state of the process as those of the arm."""
        self._rng = rng_tensors()
        if self.run.device.type == "cuda":
            self._cuda_rng = torch.cuda.get_rng_state(self.run.device)
        if self.run.unregistered is not None:
            self._shared = SharedState(self.run.model)

    def train(self, images: int, total: int, until: float) -> None:
        """Train until it has seen so many images, or until a time on its clock.

        Args:
            images: Training images since the fork, up to ``total``.
            total: Those at its end, where its weights are checked.
            until: The time in seconds after which no further batch begins.
        """
        run = self.run
        watch = run.stopwatch
        began, fork = watch.now, run.progress.images - self.images
        with self.active(), torch.enable_grad():
            watch.start()
            try:
                while run.progress.images - fork < images:
                    self.events += train_batch(run)
                    if watch.now >= until:
                        break
                self.events += run.flush()
                if run.progress.images - fork >= total:
                    run.check_weights()
            except DivergedError as error:
                self.diverged_at = error.event.step
            watch.pause()
        self.seconds += watch.now - began

    def finish(self) -> None:
        """Capture its state, then evaluate it on the validation split; not if it has diverged."""
        if not self.diverged_at:
            with self.active():
                self.end = capture(self.run)
                self.evaluation = self.run.validate()

    def curve(self) -> Curve:
        """Return its smoothed training loss by training images since the fork."""
        x, y = list[float](), list[float]()
        smooth = None
        half_life = SMOOTHED_BATCHES * max(1, self.run.config.batch_size)
        for step in self.steps:
            if not math.isfinite(step.loss):
                break
            keeps = 0.5 ** (step.batch_size / half_life)
            smooth = step.loss if smooth is None else keeps * smooth + (1 - keeps) * step.loss
            x.append((x[-1] if x else 0.0) + step.batch_size)
            y.append(smooth)
        return Curve(name=self.name, x=tuple(x), y=tuple(y))


def fork(
    run: Run, state: Checkpoint, name: str, knob: Knob | None = None, *, again: int = 0
) -> Arm:
    """Return a copy of a run in its current state.

    Changes the global rng states and the globals of a custom model: call it where they are
    preserved.

    Args:
        run: The run between two batches; it is not changed.
        state: Its state, captured just now.
        name: The name of the arm.
        knob: The knob to set first; None to go on as the run does.
        again: Above 0 for a repetition of the current setting: the remaining images in another
            order, and other random numbers.

    Raises:
        RejectedError: If the run would reject the knob.
    """
    copy = assemble(
        *(run.config, run.data, copy_model(run.model), run.layers, ProbeAssistant()),
        *(Inbox(), CheckpointStore(), lambda: run.stopwatch.now, run.threads),
    )
    _use_graphs(copy, run)
    restore(copy, state)
    copy.probes.continue_from(run.probes)
    copy.batches.done = run.batches.done
    copy.stopwatch.resume_at(run.stopwatch.seconds)
    arm = Arm(name, copy, () if knob is None else (knob,), again)
    if knob is not None:
        event = set_knob(copy, knob)
        if isinstance(event, CommandRejected):
            raise RejectedError(event.reason)
        assert isinstance(event, SettingChanged)
        arm.events.append(event)
    if copy.progress.epoch == copy.progress.epochs_done:  # a checkpoint of the end of an epoch
        copy.begin_epoch()
    if again:
        _draw_again(copy, again)
    arm.keep_globals()
    return arm


def _use_graphs(copy: Run, run: Run) -> None:
    """Train with CUDA graphs if the run does."""
    if run.device.type == "cuda" and run.unregistered is None:
        from tui_trainer.models.cuda_graphs import GraphedForward

        copy.forward = GraphedForward(copy.model, copy.config.precision)


def _draw_again(copy: Run, again: int) -> None:
    """Shuffle the remaining images, and seed all rngs: another run in the same state."""
    step, seed, batches = copy.progress.step, copy.config.seed, copy.batches
    rng = rng_for(seed, f"race {step} order {again}")
    stream = batches.stream
    left = stream.order[stream.cursor :]
    shuffled = left[torch.randperm(len(left), generator=rng).to(left.device)]
    stream.order = torch.cat((stream.order[: stream.cursor], shuffled))
    batches.augment_rng = rng_for(seed, f"race {step} augmentation {again}")
    seed_all(int(torch.randint(1 << 31, (), generator=rng)))
