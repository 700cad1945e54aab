"""What a watched run does: counts steps, makes events of them, takes commands."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.prepare import ACCELERATOR_FLUSH
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.engine.run import Control
from tui_trainer.models.state import is_finite, state_tensors
from tui_trainer.models.tensors import logits_of
from tui_trainer.protocol.commands import Command, Inbox, name_of
from tui_trainer.protocol.diagnosis import CheckItem
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    DatasetWarning,
    Diverged,
    Event,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    State,
    StateChanged,
    StepDone,
)
from tui_trainer.recording.command_file import CommandFile
from tui_trainer.recording.folder import RUNS
from tui_trainer.recording.recorder import Recorder
from tui_trainer.watching.check import check_items
from tui_trainer.watching.commands import apply
from tui_trainer.watching.description import (
    UNKNOWN_SIZE,
    settings_of,
    started,
    unavailable_commands,
)
from tui_trainer.watching.epoch import Epoch, known
from tui_trainer.watching.evaluation import (
    Validated,
    classes_second,
    device_of,
    inner,
    inputs_and_labels,
    share_correct,
)
from tui_trainer.watching.knobs import Knobs
from tui_trainer.watching.loaders import examples_in, sampler_of
from tui_trainer.watching.loop_probes import LoopProbes
from tui_trainer.watching.resuming import EPOCH_END, Earlier, earlier_run, free_folder
from tui_trainer.watching.run_files import RunFiles
from tui_trainer.watching.saving import Saving
from tui_trainer.watching.script import failure_of, model_reference, script_path
from tui_trainer.watching.sink import Sink, attach_hint
from tui_trainer.watching.snapshots import (
    Stateful,
    parts_of,
    restore,
    restore_generators,
)

NON_FINITE_STEPS = 3
"""Steps in a row without a finite loss after which a run has diverged: a ``GradScaler`` skips
single ones on purpose."""

NO_LENGTH = (
    f"the loader has no length, so an epoch is shown as {UNKNOWN_SIZE:,} examples until the first "
    "has ended; say it with watch(epoch_size=…)"
)


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
        self._inner = inner(model)
        self._optimizers = optimizers
        self._parts = parts_of(optimizers, scheduler, extra_state)
        self._out, self._name = folder, name or type(self._inner).__name__
        self._epoch_size, self._shows = epoch_size, progress
        self.progress, self.stopwatch = Progress(), Stopwatch(clock)
        self._knobs = Knobs(self._inner, optimizers, self.progress, epochs, self._guarded)
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
        self._saving = Saving(self._inner, optimizers, self._parts, self.stopwatch)
        self._commands: CommandFile | None = None
        self._resumed: Earlier | None = None
        self._started: RunStarted | None = None
        self._batch: Any = None
        self._has_waited = False
        self._has_epochs = self._is_open = self._is_complete = False
        self._is_asked = False
        self._epoch = Epoch(self.progress, self.stopwatch)
        self._counted = 0
        self._non_finite_steps = 0
        self._is_over = False

    # --- the loop

    @property
    def folder(self) -> Path:
        """The folder of the run, which is created now if it was not before."""
        return self._open().recorder.folder.path

    @property
    def opened(self) -> Path | None:
        """The folder of the run; None if there is none yet."""
        return None if self._sink is None else self._sink.recorder.folder.path

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained."""
        return self.progress.epochs_done + (self._is_open and self._is_complete) >= self.epochs

    @property
    def epochs(self) -> int:
        """How many epochs the loop trains."""
        return self._knobs.epochs

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
        if self._resumed is not None:
            self._open()
        self.stopwatch.start()
        self.progress.begin_epoch(self.stopwatch.seconds)
        self._counted = 0
        self._epoch.begin()
        self._is_open, self._is_complete = True, not self._has_epochs
        self.probes.begin_epoch()

    def begin_pass(self, loader: Any) -> None:
        """Begin the batches of a loader."""
        self._check()
        self._knobs.loader = loader
        if not self._is_open or (not self._has_epochs and self.progress.epoch_images):
            self.begin_epoch()
        self._is_complete = False
        if (changed := self._knobs.set_batch_size()) is not None:
            self._open().emit(changed)
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
            self._knobs.loader = loader
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
        if self._started is None and logits is None and not self._has_waited:
            self._has_waited = True  # watched since its forward pass: the next step shows the model
            return
        logits = classes_second(logits, labels)
        size = _size(labels, logits, self._batch)
        if self._started is None:
            self._start(sink, logits, size)
        if isinstance(loss, Tensor):
            value = loss.detach()
            value = value.float().mean() if value.ndim or not value.is_floating_point() else value
        else:
            value = torch.tensor(float(loss), dtype=torch.float64)
        share = share_correct(None if logits is None else logits.detach(), labels)
        correct = value.new_full((), math.nan) if share is None else share.to(value) * size
        lr = self._knobs.lr.last
        if self._control.steps_left is not None:
            self._control.steps_left -= 1
        self.progress.count(_finer(value), _finer(correct), size, lr, self.stopwatch.seconds)
        every = 1 if value.device.type == "cpu" else ACCELERATOR_FLUSH
        if len(self.progress.pending) >= every:
            self._flush(sink)
        for probe in self.probes.end_step(loss, logits, labels, lr):
            self._flush(sink)
            sink.emit(probe)
        if self._saving.is_due():
            self._flush(sink)
            self._save("last")
        self._epoch.end_step()
        self._process_commands(sink)

    def checked(self, loader: Iterable[Any]) -> Iterator[CheckItem]:
        """Yield the items of the check, before the loop."""
        return check_items(self._inner, self._optimizers, loader, epochs=self._knobs.epochs)

    def begin_validation(self) -> None:
        """Begin a validation by ``WatchedRun.validate``."""
        self._flush(self._open())
        self._enter("validating")
        self.probes.begin_validation()

    def validation_batch(self, inputs: Any, labels: Tensor) -> None:
        """Keep a batch of a validation, as the model got it."""
        self.probes.collector.validation_batch(inputs, labels)

    def end_validation(self, loader: Any = None) -> None:
        """End it."""
        self.probes.end_validation(loader)
        self.probes.collector.end_validation()
        self._enter("training")

    def validated(self, result: Validated) -> None:
        """Keep the result of a validation for the end of the epoch."""
        if result.total:
            self._epoch.validation = result
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
        self._epoch.log(val_loss, val_accuracy, val_correct, val_total)
        self.probes.evaluation.report(self._epoch.validation)

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
        sink.emit(self._epoch.done(self._started.classes))
        if progress.epochs_done >= self._knobs.epochs or self._saving.is_due_at_epoch():
            best = ["best"] if self._epoch.is_best() else []
            self._save("last", EPOCH_END, *best, announce=True)
        self._process_commands(sink)

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
        model = model_reference(self._name)
        config = settings_of(self._optimizers, self._knobs, model=model)
        past: tuple[Event, ...] = ()
        if self._resumed is not None:
            recorder, past = self._resumed.reopen(), self._resumed.past
        elif self._out is None:
            recorder = Recorder.create_below(RUNS, config)
        else:
            recorder = Recorder.create(free_folder(self._out), config)
        self._sink = sink = Sink(recorder, progress=self._shows, past=past)
        self._saving.store = CheckpointStore(recorder.folder.checkpoints, recorder.position)
        self._commands = CommandFile(recorder.folder, self._control.inbox.send)
        self._commands.start()
        self._files = RunFiles(recorder.folder.path, self._inner, self.probes.collector)
        sink.begin()
        sink.print_line(attach_hint(str(recorder.folder.path)))
        if self._resumed is not None:
            self._report_resumption(sink, self._resumed)
        return sink

    def _start(self, sink: Sink, logits: Tensor | None, size: int) -> None:
        """Describe the run: everything is known at the end of the first step."""
        knobs = self._knobs
        sampler = sampler_of(knobs.loader)
        knobs.batch_size = size if sampler is None else sampler.batch_size
        if self._epoch_size is None and knobs.loader is not None:
            self._epoch_size = examples_in(knobs.loader)
        self._started = started(
            self._inner,
            self._optimizers[0],
            self._parts.get("scheduler"),
            knobs,
            name=self._name,
            inputs=self._first_input(),
            logits=logits,
            epoch_size=self._epoch_size,
            unavailable=self._unavailable,
        )
        self.probes.describe(self._started)
        self._files.write_model(self.probes.inputs)
        settings = settings_of(self._optimizers, knobs, **self._files.settings)
        for failed in sink.recorder.configure(settings):
            sink.show(failed)
        self.probes.collector.describe(self._started.dataset, self._started.classes)
        sink.emit(self._started)
        if self._epoch_size is None:
            sink.emit(DatasetWarning(folder=self._started.script, message=NO_LENGTH))
        self._enter("training")

    @property
    def _unavailable(self) -> dict[str, str]:
        """What commands cannot change, with the reasons."""
        reasons = unavailable_commands(
            self._knobs.loader, has_epochs=self._has_epochs, is_asked=self._is_asked
        )
        return {**reasons, "Ask": self._files.problem} if self._files.problem else reasons

    def _first_input(self) -> Tensor | None:
        """Return the first tensor that the model got."""
        if self.probes.inputs is None:
            return None
        args, kwargs = self.probes.inputs
        return next((v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), None)

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
        good = self._saving.store.last_good
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
            event = apply(command, self._control, self._knobs, self._unavailable)
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

    # --- checkpoints

    def _save(self, *names: str, announce: bool = False) -> None:
        """Save a checkpoint under these names."""
        if self._sink is not None:
            rng = getattr(self._knobs.loader, "generator", None)
            self._saving.save(self._sink, names, self._metadata(), rng, announce=announce)

    def _metadata(self) -> dict[str, Any]:
        """Return the plain values of a checkpoint."""
        progress, started = self.progress, self._started
        return {
            "step": progress.step,
            "epoch": progress.epoch,
            "epochs": self._knobs.epochs,
            "epochs_done": progress.epochs_done,
            "images": progress.images,
            "seconds": self.stopwatch.seconds,
            "base_lr": self._knobs.lr.base,
            "lr_factor": self._knobs.lr.factor,
            "batch_size": self._knobs.batch_size,
            "best_val_accuracy": self._epoch.best_accuracy,
            "threads": torch.get_num_threads(),
            "device": device_of(self._inner).type,
            "classes": started.classes if started is not None else 0,
            "epoch_size": self._epoch_size,
            "test_evaluations": 0,
            "model": self._name,
            "script_path": script_path(),
            "lines": self._saving.store.lines(),
            **self._files.metadata(),
        }

    def resume(self, folder: Path | None) -> bool:
        """Restore the state of the last complete epoch; return whether there was one.

        Raises:
            InputError: If the checkpoint is of another model or cannot be read.
        """
        if self._sink is not None:
            raise RuntimeError("resume: call it before the first epoch")
        found = earlier_run(folder, self._out)
        if found is None:
            return False
        state, path = found.state, found.path
        restore(state, self._inner, self._parts, path)
        restore_generators(state, self._inner)
        self._knobs.lr.initial = state.metadata["base_lr"] / state.metadata["lr_factor"]
        self._knobs.lr.factor = state.metadata["lr_factor"]
        for name in ("step", "images", "epochs_done"):
            setattr(self.progress, name, state.metadata[name])
        self.progress.epoch = self.progress.epochs_done
        self.stopwatch.resume_at(state.metadata["seconds"])
        self._epoch.best_accuracy = state.metadata["best_val_accuracy"]
        self._epoch_size, self._knobs.batch_size = (
            state.metadata["epoch_size"],
            state.metadata["batch_size"],
        )
        self._resumed = found
        return True

    def _report_resumption(self, sink: Sink, resumed: Earlier) -> None:
        past = resumed.past
        self._started = next((e for e in past if isinstance(e, RunStarted)), None)
        self._saving.store.begin_from(resumed.state)
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
        if before != self._knobs.epochs:
            sink.emit(self._knobs.changed("epochs", before, self._knobs.epochs))

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
            self._sink.emit(RunFailed(message=failure_of(error), traceback=trace))
            self._sink.end()
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
        self._knobs.lr.close()
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
            val_accuracy=known(self._epoch.validation.accuracy),
            parameters=sum(p.numel() for p in self._inner.parameters()),
            seconds=self.stopwatch.seconds,
        )


def _size(labels: Tensor | None, logits: Tensor | None, batch: Any) -> int:
    """Return the number of examples of a batch."""
    for tensor in (labels, logits, inputs_and_labels(batch)[0]):
        if isinstance(tensor, Tensor) and tensor.ndim:
            return len(tensor)
    return 1


def _finer(value: Tensor) -> Tensor:
    """Return a number in at least 32 bits: 16 cannot count to a thousand."""
    return value if value.dtype in (torch.float32, torch.float64) else value.float()
