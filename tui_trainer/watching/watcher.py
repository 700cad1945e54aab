"""What a watched run does: counts steps, makes events of them, takes commands."""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.engine.prepare import ACCELERATOR_FLUSH
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.engine.run import Control
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.models.state import is_finite, state_tensors
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command, Inbox, Knob, name_of
from tui_trainer.protocol.config import OPTIMIZERS, RunConfig
from tui_trainer.protocol.errors import SettingError, path_error
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Diverged,
    EpochDone,
    Event,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    SettingChanged,
    State,
    StateChanged,
    StepDone,
)
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.command_file import CommandFile
from tui_trainer.recording.folder import RUNS, RunFolder, list_runs
from tui_trainer.recording.recorder import Recorder
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import one_line
from tui_trainer.watching.evaluation import (
    Validated,
    device_of,
    inner,
    inputs_and_labels,
    logits_of,
    share_correct,
)
from tui_trainer.watching.loaders import (
    dataset_name,
    examples_in,
    fixed_batch_size,
    sampler_of,
)
from tui_trainer.watching.loop_probes import LoopProbes
from tui_trainer.watching.lr_knob import LrKnob
from tui_trainer.watching.sink import Sink, attach_hint
from tui_trainer.watching.snapshots import (
    Stateful,
    capture,
    parts_of,
    restore,
    restore_generators,
)

EPOCH_END = "epoch"
"""The checkpoint from which a script resumes: of the end of the last complete epoch."""

NON_FINITE_STEPS = 3
"""Steps in a row without a finite loss after which a run has diverged: a ``GradScaler`` skips
single ones on purpose."""

NO_LENGTH = 60_000
"""Examples of an epoch whose length nobody knows, until the first has ended."""

GIVEN = ("model", "data_dir", "epochs", "batch_size", "lr", "seed", "device", "threads")


@dataclass(frozen=True, slots=True)
class Resumed:
    """The state that a run continues.

    Attributes:
        folder: Its folder.
        state: The checkpoint.
    """

    folder: RunFolder
    state: Checkpoint


class Watcher:
    """Watches the loop of one run. Its methods are called by the loop; see ``WatchedRun``."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        *,
        epochs: int,
        scheduler: Stateful | None,
        extra_state: Mapping[str, Stateful],
        folder: Path | None,
        name: str,
        epoch_size: int | None,
        progress: bool,
        probes: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self._inner = inner(model)
        self._optimizers = optimizers
        self._parts = parts_of(optimizers, scheduler, extra_state)
        self._out, self._name = folder, name or type(self._inner).__name__
        self._epoch_size, self._shows = epoch_size, progress
        self.progress, self.stopwatch = Progress(), Stopwatch(clock)
        self._lr = LrKnob(optimizers, self._guarded)
        self.probes = LoopProbes(
            model,
            optimizers,
            progress=self.progress,
            stopwatch=self.stopwatch,
            scheduler=scheduler,
            wanted=probes,
        )
        self._control = Control(Inbox())
        self._error: Exception | None = None
        self._sink: Sink | None = None
        self._store = CheckpointStore()
        self._commands: CommandFile | None = None
        self._resumed: Resumed | None = None
        self._started: RunStarted | None = None
        self._loader: Any = None
        self._batch: Any = None
        self._batch_size = 0
        self._wanted_size: SettingChanged | None = None
        self._has_epochs = self._is_open = self._is_complete = False
        self._is_asked = False
        self._validation = Validated()
        self._best: Validated | None = None
        self._best_accuracy: float | None = None
        self._training_seconds = 0.0
        self._counted = 0
        self._non_finite_steps = 0
        self._is_over = False

    # --- the loop

    @property
    def folder(self) -> Path:
        """The folder of the run, which is created now if it was not before."""
        return self._open().recorder.folder.path

    @property
    def should_stop(self) -> bool:
        """Whether somebody has stopped the run; a loop that asks can be stopped."""
        self._check()
        self._is_asked = True
        return self._control.stop is not None

    def begin_epochs(self) -> int:
        """Take note that the loop asks for its epochs; return how many are done."""
        self._has_epochs = True
        if self._resumed is not None:
            restore_generators(self._resumed.state, self._inner)
        return self.progress.epochs_done

    def begin_epoch(self) -> None:
        """Begin an epoch; the one before is over."""
        self._check()
        self.end_epoch()
        self.stopwatch.start()
        self.progress.begin_epoch(self.stopwatch.seconds)
        self._training_seconds, self._counted = 0.0, 0
        self._is_open, self._is_complete = True, not self._has_epochs
        self._validation = Validated()
        self.probes.begin_epoch()

    def begin_pass(self, loader: Any) -> None:
        """Begin the batches of a loader."""
        self._check()
        self._loader = loader
        if not self._is_open or (not self._has_epochs and self.progress.epoch_images):
            self.begin_epoch()
        self._is_complete = False
        self._set_batch_size()
        if self._resumed is not None:
            state = self._resumed.state.tensors.get("rng/loader")
            rng = getattr(loader, "generator", None)
            if state is not None and rng is not None:
                rng.set_state(state)
            self._resumed = None

    def end_pass(self) -> None:
        """End them; the epoch's training is complete."""
        self._is_complete = True

    def begin_batch(self, batch: Any, waited: float, loader: Any) -> None:
        """Begin a batch."""
        self._check()
        if not self._is_open:
            self.begin_epoch()
        self.stopwatch.start()
        if loader is not None:
            self._loader = loader
        self._batch = batch
        self.probes.begin_batch(batch, waited, loader)

    def end_step(self, loss: Tensor | float, logits: Tensor | None, labels: Tensor | None) -> None:
        """Count a step, report what there is to report, and take commands."""
        self._check()
        if not self._is_open:
            self.begin_epoch()
        sink = self._open()
        logits = self.probes.output if logits is None else logits_of(logits)
        if labels is None:
            labels = self.probes.labels
        if labels is None and self._batch is not None:
            labels = inputs_and_labels(self._batch)[1]
        size = _size(labels, logits, self._batch)
        if self._started is None:
            self._start(sink, logits, labels, size)
        if isinstance(loss, Tensor):
            value = loss.detach()
            value = value.float().mean() if value.ndim or not value.is_floating_point() else value
        else:
            value = torch.tensor(float(loss), dtype=torch.float64)
        share = share_correct(None if logits is None else logits.detach(), labels)
        correct = value.new_full((), math.nan) if share is None else share.to(value) * size
        lr = self._lr.last
        if self._control.steps_left is not None:
            self._control.steps_left -= 1
        self.progress.count(_finer(value), _finer(correct), size, lr, self.stopwatch.seconds)
        every = 1 if value.device.type == "cpu" else ACCELERATOR_FLUSH
        if len(self.progress.pending) >= every:
            self._flush(sink)
        for probe in self.probes.end_step(loss, logits, labels, lr):
            self._flush(sink)
            sink.emit(probe)
        if self._store.is_due(self.stopwatch.seconds):
            self._flush(sink)
            self._save("last")
        self._training_seconds = self.stopwatch.seconds - self.progress.epoch_began
        self._process_commands(sink)

    def begin_validation(self) -> None:
        """Begin a validation by ``WatchedRun.validate``."""
        self._flush(self._open())
        self._enter("validating")
        self.probes.begin_validation()

    def end_validation(self) -> None:
        """End it."""
        self.probes.end_validation()
        self._enter("training")

    def validated(self, result: Validated) -> None:
        """Keep the result of a validation for the end of the epoch."""
        if result.total:
            self._validation = result
        else:
            self._open().print_line("mnist-tui: not validated: the batches have no labels that fit")

    def log(
        self,
        val_loss: float | Tensor | None,
        val_accuracy: float | Tensor | None,
        val_correct: int | None,
        val_total: int | None,
    ) -> None:
        """Keep the results of a validation by the loop itself."""
        before = self._validation
        correct, total = int(val_correct or before.correct), int(val_total or before.total)
        accuracy = before.accuracy if val_accuracy is None else float(val_accuracy)
        if val_accuracy is None and val_correct is not None and total:
            accuracy = correct / total
        loss = before.loss if val_loss is None else float(val_loss)
        if total and val_correct is None and not math.isnan(accuracy):
            correct = round(accuracy * total)
        if 1.0 < accuracy <= 100.0:
            accuracy /= 100.0  # per cent
        self._validation = Validated(loss, accuracy, correct, total)

    def end_epoch(self) -> None:
        """Report an epoch that is complete, and save a checkpoint."""
        if not self._is_open or not (self.progress.pending or self._counted):
            return
        sink = self._open()
        self._flush(sink)
        self._is_open = False
        is_broken = self._control.stop is not None and not self._is_complete
        if is_broken or self._started is None:
            return
        self._learn_epoch_size(sink)
        for probe in self.probes.end_epoch():
            sink.emit(probe)
        progress = self.progress
        progress.epochs_done = progress.epoch
        if self._control.pause_after_epoch:
            self._control.paused, self._control.pause_after_epoch = True, False
        sink.emit(self._epoch_done())
        names = ["last", EPOCH_END]
        accuracy = self._validation.accuracy
        if not math.isnan(accuracy) and accuracy > (self._best_accuracy or -1.0):
            self._best_accuracy = accuracy
            names.append("best")
        self._save(*names, announce=True)
        self._process_commands(sink)

    def _epoch_done(self) -> EpochDone:
        progress, found = self.progress, self._validation
        seen = max(1, progress.epoch_images)
        rise: tuple[float, float] | tuple[None, None] = (None, None)
        if found.result is not None:
            if (
                self._best is None
                or self._best.total != found.total
                or found.loss < self._best.loss
            ):
                self._best = found
            if self._best.result is not None:
                rise = found.result.rise_over(self._best.result)
        has_counts = found.total > 0 and 0 <= found.correct <= found.total
        classes = self._started.classes if self._started is not None else 0
        return EpochDone(
            epoch=progress.epoch,
            step=progress.step,
            lr=progress.last_lr,
            train_loss=progress.loss_sum / seen,
            train_accuracy=progress.correct_sum / seen,
            val_loss=_known(found.loss),
            val_accuracy=_known(found.accuracy),
            val_correct=found.correct if has_counts else None,
            val_total=found.total if has_counts else None,
            val_interval=wilson(found.correct, found.total) if has_counts else None,
            val_class_accuracy=found.result.class_accuracy(classes) if found.result else None,
            val_loss_rise=rise[0],
            val_loss_rise_error=rise[1],
            seconds=self.stopwatch.seconds - progress.epoch_began,
            images_per_second=progress.epoch_images / max(self._training_seconds, 1e-9),
        )

    def _learn_epoch_size(self, sink: Sink) -> None:
        """Correct the size of an epoch if nobody knew it before the first has ended."""
        started = self._started
        if started is None or self._epoch_size is not None or self.progress.epochs_done:
            return
        self._epoch_size = self.progress.epoch_images
        if started.train_size != self._epoch_size:
            self._started = replace(started, train_size=self._epoch_size)
            sink.emit(self._started)

    # --- the beginning

    def _open(self) -> Sink:
        """Return the sink; create the run's folder at first."""
        if self._sink is not None:
            return self._sink
        config = self._config()
        past: tuple[Event, ...] = ()
        if self._resumed is not None:
            recorder, past = self._reopened(self._resumed)
        elif self._out is None:
            recorder = Recorder.create_below(RUNS, config)
        else:
            recorder = Recorder.create(_free(self._out), config)
        self._sink = sink = Sink(recorder, progress=self._shows, past=past)
        self._store = CheckpointStore(recorder.folder.checkpoints, recorder.position)
        self._commands = CommandFile(recorder.folder, self._control.inbox.send)
        self._commands.start()
        sink.begin()
        sink.print_line(attach_hint(str(recorder.folder.path)))
        if self._resumed is not None:
            self._report_resumption(sink, self._resumed)
        return sink

    def _config(self) -> RunConfig:
        """Return the settings of the run, that a script has too."""
        kind = type(self._optimizers[0]).__name__.lower()
        given: dict[str, Any] = {
            "epochs": min(self.epochs, 10_000),
            "batch_size": min(max(1, self._batch_size or 1), 65_536),
            "seed": torch.initial_seed() % 2**32,
            "optimizer": kind if kind in OPTIMIZERS else "sgd",
            "schedule": "constant",
            "augment": "none",
            "model": f"{os.path.abspath(script_path())}:{self._name}",
        }
        if 0 < self._lr.initial <= 1_000:
            given["lr"] = self._lr.initial
        try:
            return RunConfig(**given)
        except SettingError:
            return RunConfig(epochs=given["epochs"])

    def _start(self, sink: Sink, logits: Tensor | None, labels: Tensor | None, size: int) -> None:
        """Describe the run: everything is known at the end of the first step."""
        sampler = sampler_of(self._loader)
        self._batch_size = size if sampler is None else sampler.batch_size
        loader = self._loader
        known = self._epoch_size or (None if loader is None else examples_in(loader))
        self._epoch_size = known
        inputs = self._first_input()
        kind, group = (
            type(self._optimizers[0]).__name__.lower(),
            self._optimizers[0].param_groups[0],
        )
        scheduler = self._parts.get("scheduler")
        dropout = dropout_of(self._inner)
        self._started = RunStarted(
            model=self._name,
            dataset="script" if loader is None else dataset_name(loader),
            classes=_classes(logits, labels),
            image_size=int(inputs.shape[-1]) if inputs is not None and inputs.ndim == 4 else 0,
            parameters=sum(p.numel() for p in self._inner.parameters()),
            layers=(),
            train_size=known or NO_LENGTH,
            val_size=0,
            test_size=0,
            mean=0.0,
            std=1.0,
            epochs=self.epochs,
            batch_size=self._batch_size,
            base_lr=self._lr.initial,
            optimizer=kind,
            schedule="script" if scheduler is None else type(scheduler).__name__.lower(),
            augmentation=False,
            dropout=dropout,
            seed=torch.initial_seed() % 2**32,
            device=device_of(self._inner).type,
            threads=torch.get_num_threads(),
            momentum=group.get("momentum"),
            weight_decay=group.get("weight_decay"),
            script=os.path.basename(script_path()),
            unavailable=tuple(self._unavailable().items()),
        )
        for failed in sink.recorder.configure(self._config()):
            sink.show(failed)
        sink.emit(self._started)
        self._enter("training")

    def _first_input(self) -> Tensor | None:
        """Return the first tensor that the model got."""
        if self.probes.inputs is None:
            return None
        args, kwargs = self.probes.inputs
        return next((v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), None)

    def _unavailable(self) -> dict[str, str]:
        """Return what this run cannot do, with the reasons."""
        reasons = {
            "augmentation": "the script prepares its own images",
            "EvaluateTest": "the script has its own test set",
            "Rewind": "a script cannot go back; start it again, with run.resume()",
        }
        if reason := fixed_batch_size(self._loader):
            reasons["batch_size"] = reason
        if not self._has_epochs:
            reasons["epochs"] = "the script does not use run.epochs()"
        if self._loader is None and not self._has_epochs:
            reasons["RunEpoch"] = "the script does not say where an epoch ends"
            if not self._is_asked:
                reasons["Stop"] = "the script uses neither run.batches() nor run.should_stop"
        if (processes := _processes()) > 1:
            reason = f"the script trains in {processes} processes; this one alone would change"
            for name in ("base_lr", "batch_size", "epochs", "dropout", *_COMMANDS):
                reasons[name] = reason
        return reasons

    # --- steps and states

    def _flush(self, sink: Sink) -> None:
        """Report the steps whose losses are still on the device."""
        for step in self.progress.read():
            self._counted += 1
            sink.emit(step)
            self._check_finite(sink, step)

    def _check_finite(self, sink: Sink, step: StepDone) -> None:
        """Report a divergence once: the script goes on, and decides itself."""
        self._non_finite_steps = 0 if math.isfinite(step.loss) else self._non_finite_steps + 1
        if self._non_finite_steps != NON_FINITE_STEPS:
            return
        state = state_tensors(self._inner)
        floats = [name for name, tensor in state.items() if tensor.is_floating_point()]
        non_finite = [name for name in floats if not is_finite(state[name])]
        good = self._store.last_good
        sink.emit(
            Diverged(
                step=step.step,
                epoch=step.epoch,
                lr=step.lr,
                last_good_step=good.metadata["step"] if good is not None else 0,
                non_finite=tuple(non_finite) if len(non_finite) < len(floats) else (),
            )
        )

    def _enter(self, state: State, detail: str = "") -> None:
        if state != self._control.state and self._sink is not None and self._started is not None:
            self._control.state = state
            self._sink.emit(StateChanged(state=state, step=self.progress.step, detail=detail))

    def _guarded(self, work: Callable[..., Any], *args: Any) -> None:
        """Do something in a hook; an exception of it is raised at the next call of the loop."""
        if self._error is None:
            try:
                work(*args)
            except Exception as error:
                self._error = error

    def _check(self) -> None:
        """Raise what a hook has raised: the caller gives up and the loop goes on."""
        if self._error is not None:
            raise self._error

    # --- commands

    def _process_commands(self, sink: Sink) -> None:
        """Take the commands that have arrived; wait here while paused."""
        control = self._control
        if control.steps_left == 0:
            control.paused, control.steps_left = True, None
        received = control.inbox.take(self.progress.step)
        if received or control.paused:
            self._flush(sink)
        self._apply_all(sink, received)
        if control.paused and control.stop is None:
            self.stopwatch.pause()
            self._enter("paused")
            self._save("last")
            while control.paused and control.stop is None:
                self._apply_all(sink, control.inbox.take(self.progress.step, wait=True))
        if control.stop is None:
            self.stopwatch.start()
            self._enter("training")

    def _apply_all(self, sink: Sink, received: list[Command]) -> None:
        for command in received:
            event = self._apply(command)
            if event is not None:
                sink.emit(event)
            if command.request and not isinstance(event, CommandRejected):
                sink.emit(
                    CommandApplied(
                        command=name_of(command),
                        step=self.progress.step,
                        by=command.by,
                        request=command.request,
                    )
                )

    def _apply(self, command: Command) -> SettingChanged | CommandRejected | None:
        control = self._control
        reasons = self._unavailable()
        if (reason := reasons.get(type(command).__name__)) is not None:
            return self._rejected(command, reason)
        match command:
            case commands.Stop():
                control.stop = command
            case _ if control.stop is not None:
                return self._rejected(command, "the run is being stopped")
            case commands.Pause():
                control.pause()
            case commands.Resume():
                control.resume()
            case commands.RunStep():
                control.paused, control.steps_left = False, (control.steps_left or 0) + 1
            case commands.RunEpoch():
                control.resume(one_epoch=True)
            case commands.Unusable(reason):
                return self._rejected(command, reason)
            case (
                commands.SetBaseLr()
                | commands.SetBatchSize()
                | commands.SetDropout()
                | commands.SetEpochs()
                | commands.SetAugmentation()
            ):
                return self._set_knob(command, reasons)
            case _:
                return self._rejected(command, "a script's run does not do that")
        return None

    def _set_knob(
        self, command: Knob, reasons: Mapping[str, str]
    ) -> SettingChanged | CommandRejected | None:
        """Set a knob, or reject the command by the rules of the settings."""
        name = next(name for name, kind in _SETTERS.items() if isinstance(command, kind))
        if name in reasons:
            return self._rejected(command, reasons[name])
        old: float
        try:
            match command:
                case commands.SetBaseLr(value):
                    replace(RunConfig(), lr=value)
                    old, self._lr.base = self._lr.base, value
                case commands.SetEpochs(value):
                    replace(RunConfig(), epochs=value)
                    if value < self.progress.epoch:
                        return self._rejected(
                            command, f"epoch {self.progress.epoch} has already started"
                        )
                    old, self.epochs = self.epochs, value
                case commands.SetBatchSize(value):
                    replace(RunConfig(), batch_size=value)
                    changed = self._changed(command, name, self._batch_size, value)
                    sampler = sampler_of(self._loader)
                    self._wanted_size = changed
                    if sampler is not None and sampler.drop_last and self.progress.epoch_images:
                        return None  # such a sampler takes the size at the start of an epoch
                    return self._set_batch_size(emits=False)
                case commands.SetDropout(value):
                    before = dropout_of(self._inner)
                    if before is None:
                        return self._rejected(command, f"{self._name} has no dropout layer")
                    replace(RunConfig(), dropout=value)
                    old = before
                    set_dropout(self._inner, value)
        except SettingError as error:
            return self._rejected(command, error.problem)
        return self._changed(command, name, old, value)

    def _set_batch_size(self, *, emits: bool = True) -> SettingChanged | None:
        """Set the batch size that a command has asked for."""
        changed, self._wanted_size = self._wanted_size, None
        sampler = sampler_of(self._loader)
        if changed is None or sampler is None:
            return None
        sampler.batch_size = self._batch_size = int(changed.new)
        if emits and self._sink is not None:
            self._sink.emit(replace(changed, step=self.progress.step, epoch=self.progress.epoch))
        return changed

    def _changed(self, command: Command, name: str, old: float, new: float) -> SettingChanged:
        return SettingChanged(
            setting=name,
            old=old,
            new=new,
            step=self.progress.step,
            epoch=max(1, self.progress.epoch),
            images=self.progress.images,
            by=command.by,
        )

    def _rejected(self, command: Command, reason: str) -> CommandRejected:
        return CommandRejected(
            command=name_of(command),
            reason=reason,
            step=self.progress.step,
            by=command.by,
            request=command.request,
        )

    # --- checkpoints

    def _save(self, *names: str, announce: bool = False) -> None:
        """Save a checkpoint, unless a weight is not finite."""
        if self._sink is None or not all(
            is_finite(t) for t in state_tensors(self._inner).values() if t.is_floating_point()
        ):
            return
        progress, started = self.progress, self._started
        metadata = {
            "step": progress.step,
            "epoch": progress.epoch,
            "epochs": self.epochs,
            "epochs_done": progress.epochs_done,
            "images": progress.images,
            "seconds": self.stopwatch.seconds,
            "base_lr": self._lr.base,
            "lr_factor": self._lr.factor,
            "batch_size": self._batch_size,
            "best_val_accuracy": self._best_accuracy,
            "threads": torch.get_num_threads(),
            "device": device_of(self._inner).type,
            "classes": started.classes if started is not None else 0,
            "epoch_size": self._epoch_size,
            "test_evaluations": 0,
            "model": self._name,
            "script_path": os.path.abspath(script_path()),
            "lines": self._store.lines(),
        }
        rng = getattr(self._loader, "generator", None)
        state = capture(self._inner, self._parts, rng, metadata)
        for event in self._store.keep(state, names, self.stopwatch.seconds, announce=announce):
            self._sink.emit(event)

    def resume(self, folder: Path | None) -> bool:
        """Restore the state of the last complete epoch; return whether there was one.

        Raises:
            InputError: If the checkpoint is of another model or cannot be read.
        """
        if self._sink is not None:
            raise RuntimeError("resume: call it before the first epoch")
        place = folder or self._out
        found = _last_run() if place is None else RunFolder(place)
        if found is None or not found.checkpoint(EPOCH_END).is_file():
            if folder is not None:
                raise path_error(folder, "has no checkpoint of a complete epoch")
            return False
        path = found.checkpoint(EPOCH_END)
        state = read_checkpoint(path)
        restore(state, self._inner, self._parts, path)
        restore_generators(state, self._inner)
        self._lr.initial = state.metadata["base_lr"] / state.metadata["lr_factor"]
        self._lr.factor = state.metadata["lr_factor"]
        for name in ("step", "images", "epochs_done"):
            setattr(self.progress, name, state.metadata[name])
        self.progress.epoch = self.progress.epochs_done
        self.stopwatch.resume_at(state.metadata["seconds"])
        self._best_accuracy = state.metadata["best_val_accuracy"]
        self._epoch_size, self._batch_size = (
            state.metadata["epoch_size"],
            state.metadata["batch_size"],
        )
        self._resumed = Resumed(found, state)
        return True

    def _reopened(self, resumed: Resumed) -> tuple[Recorder, tuple[Event, ...]]:
        recorded = resumed.folder.read_events()
        past = recorded.before(resumed.state.metadata["lines"])
        return Recorder.reopen(resumed.folder, recorded, past), past

    def _report_resumption(self, sink: Sink, resumed: Resumed) -> None:
        past = resumed.folder.read_events().before(resumed.state.metadata["lines"])
        self._started = next((e for e in past if isinstance(e, RunStarted)), None)
        self._store.begin_from(resumed.state)
        sink.remember(past)
        sink.emit(
            RunResumed(
                step=self.progress.step,
                epoch=self.progress.epoch,
                images=self.progress.images,
                threads=torch.get_num_threads(),
                lines=resumed.state.metadata["lines"],
            )
        )
        before = resumed.state.metadata["epochs"]
        if before != self.epochs:
            command = commands.SetEpochs(self.epochs)
            sink.emit(self._changed(command, "epochs", before, self.epochs))

    # --- the end

    def finish(self, reason: str) -> None:
        """End the run in order."""
        if self._is_over:
            return
        self.end_epoch()
        self._is_over = True
        sink = self._sink
        if sink is not None and self._started is not None:
            self._flush(sink)
            if reason == "completed" and self._control.stop is not None:
                reason = self._control.stop.reason
            if self.progress.step:
                self._save("last", announce=True)
            sink.emit(self._finished(reason))
        self.close()

    def fail(self, error: BaseException) -> None:
        """Record that the loop has raised an exception, and where."""
        if self._is_over:
            return
        self._is_over = True
        if self._sink is not None and self._started is not None:
            self._flush(self._sink)
            self._save("last")
            trace = "".join(traceback.format_exception(error))
            self._sink.emit(RunFailed(message=_failure(error), traceback=trace))
        self.close()

    def give_up(self) -> None:
        """Stop watching after an exception of this program; what is recorded stays."""
        self._is_over = True
        if self._sink is not None and self._started is not None:
            message = "the run went on unwatched after an error of mnist-tui"
            try:
                self._sink.emit(RunFailed(message=message, traceback=traceback.format_exc()))
            finally:
                self.close()
        else:
            self.close()

    def close(self) -> None:
        """Remove the hooks, release the folder, leave the terminal to the script."""
        self.probes.close()
        self._lr.close()
        if self._commands is not None:
            self._commands.close()
        if self._sink is not None:
            self._sink.close()

    def _finished(self, reason: str) -> RunFinished:
        return RunFinished(
            reason=reason,
            epochs=self.progress.epochs_done,
            step=self.progress.step,
            test_loss=None,
            test_accuracy=None,
            test_correct=None,
            test_total=None,
            test_interval=None,
            test_evaluations=0,
            val_accuracy=_known(self._validation.accuracy),
            parameters=sum(p.numel() for p in self._inner.parameters()),
            seconds=self.stopwatch.seconds,
        )


_SETTERS = {
    "base_lr": commands.SetBaseLr,
    "batch_size": commands.SetBatchSize,
    "augmentation": commands.SetAugmentation,
    "dropout": commands.SetDropout,
    "epochs": commands.SetEpochs,
}
_COMMANDS = ("Pause", "Resume", "RunStep", "RunEpoch", "Stop")


def script_path() -> str:
    """Return the path of the script that is running; ``notebook`` without one."""
    main = sys.modules.get("__main__")
    return str(getattr(main, "__file__", None) or "notebook")


def _processes() -> int:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdigit() else 1


def _free(folder: Path) -> Path:
    """Return a folder for a new run: the given one, or another next to it if it has a run."""
    found, number = folder, 1
    while RunFolder(found).is_run:
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def _last_run() -> RunFolder | None:
    """Return the latest run of this script."""
    script = os.path.abspath(script_path())
    for run in list_runs(RUNS):
        path = run.folder.checkpoint(EPOCH_END)
        if path.is_file() and read_metadata(path).get("script_path") == script:
            return run.folder
    return None


def _failure(error: BaseException) -> str:
    """Return an exception in one line, with the last line of the script that led to it."""
    script = os.path.abspath(script_path())
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if os.path.abspath(frame.filename) == script] or frames
    place = f" ({os.path.basename(mine[-1].filename)}, line {mine[-1].lineno})" if mine else ""
    return one_line(f"{type(error).__name__}: {error}{place}")


def _size(labels: Tensor | None, logits: Tensor | None, batch: Any) -> int:
    """Return the number of examples of a batch."""
    for tensor in (labels, logits, inputs_and_labels(batch)[0]):
        if isinstance(tensor, Tensor) and tensor.ndim:
            return len(tensor)
    return 1


def _classes(logits: Tensor | None, labels: Tensor | None) -> int:
    """Return the number of classes; 2 for a single logit."""
    if logits is None or logits.ndim < 2 or logits.shape[1] == 1:
        return 2
    return int(logits.shape[1])


def _finer(value: Tensor) -> Tensor:
    """Return a number in at least 32 bits: 16 cannot count to a thousand."""
    return value if value.dtype in (torch.float32, torch.float64) else value.float()


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
