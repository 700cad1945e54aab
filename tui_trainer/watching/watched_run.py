"""The public interface of a watched run: :func:`watch` and :class:`WatchedRun`.

Every method of a :class:`WatchedRun` returns to the loop: an exception of
this program is reported once, and the training goes on unwatched.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.protocol.diagnosis import CheckItem
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import RUN_VARIABLE
from tui_trainer.text.fmt import one_line
from tui_trainer.watching.check import print_check
from tui_trainer.watching.evaluation import Validated, evaluate_loader
from tui_trainer.watching.loaders import as_loader
from tui_trainer.watching.script import NOTEBOOK, is_first_process, script_path
from tui_trainer.watching.snapshots import Stateful
from tui_trainer.watching.watcher import Watcher

T = TypeVar("T")


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    epochs: int,
    scheduler: Stateful | None = None,
    extra_state: Mapping[str, Stateful] | None = None,
    out: str | os.PathLike[str] | None = None,
    name: str = "",
    epoch_size: int | None = None,
    progress: bool = True,
    probes: bool = True,
) -> WatchedRun:
    """Watch a training loop: record it, diagnose it, and take commands for it.

    Use the result as a context manager, so that an exception of the loop marks the run as failed::

        with tui_trainer.watch(model, optimizer, epochs=10) as run:
            for epoch in run.epochs():
                for images, labels in run.batches(train_loader):
                    ...  # forward, loss, backward, optimizer.step()
                    run.step(loss, logits, labels)
                run.validate(val_loader)

    In a process that is not the first of several (``RANK`` of ``torchrun``), the run does nothing.

    Args:
        model: The model that is trained, a classifier.
        optimizer: Its optimizer, or several.
        epochs: How many epochs the loop trains.
        scheduler: The learning rate scheduler, for checkpoints; it is found without this, too.
        extra_state: More objects with ``state_dict``, by name, for checkpoints: a ``GradScaler``.
        out: The folder of the run, or the next free one like it (``NAME-2``) if it has a run; by
            default a new one in ``runs``.
        name: The name of the model in lists; by default that of its class.
        epoch_size: Training examples in an epoch, if the loader has no length.
        progress: Whether to print the progress on stderr.
        probes: Whether to sample gradients and activations, which the findings need.

    Raises:
        TypeError: If the model, the optimizer or the number of epochs is none.
    """
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    if not isinstance(model, nn.Module):
        raise TypeError(f"watch: the model is no torch.nn.Module, but {type(model).__name__}")
    if not optimizers:
        raise TypeError("watch: no optimizer")
    for each in optimizers:
        if not isinstance(each, Optimizer):
            raise TypeError(f"watch: no torch.optim.Optimizer, but {type(each).__name__}")
    if type(epochs) is not int or epochs < 1:
        raise TypeError(f"watch: epochs is a number of epochs from 1, not {epochs!r}")
    for earlier in [*_open_runs]:
        if earlier._is_replaced_by(model):
            earlier._end_at_exit()
    run = WatchedRun(model, epochs)
    if is_first_process():
        folder = os.environ.pop(RUN_VARIABLE, None) or out
        try:
            run.attach(
                Watcher(
                    model,
                    optimizers,
                    epochs=epochs,
                    scheduler=scheduler,
                    extra_state=dict(extra_state or {}),
                    folder=None if folder is None else Path(folder).expanduser(),
                    name=name,
                    epoch_size=epoch_size,
                    progress=progress,
                    probes=probes,
                )
            )
        except Exception as error:
            run.give_up(error)
    return run


_open_runs: list[WatchedRun] = []
"""The runs that have not ended."""


class WatchedRun:
    """A training loop that is watched. Made by :func:`watch`."""

    def __init__(self, model: nn.Module, epochs: int) -> None:
        self._watcher: Watcher | None = None
        self._model = model
        self._epochs = epochs
        self._stops = False
        self._folder: Path | None = None
        self._thread = 0

    def attach(self, watcher: Watcher) -> None:
        """Take the watcher that does the work; without one the run does nothing."""
        self._watcher, self._thread = watcher, threading.get_ident()
        _open_runs.append(self)
        atexit.register(self._end_at_exit)

    # --- the loop

    @property
    def folder(self) -> Path | None:
        """The folder of the run, made now if it was not before; None if it is not recorded."""
        self._folder = self._do(lambda watcher: watcher.folder, self._folder)
        return self._folder

    @property
    def should_stop(self) -> bool:
        """Whether the loop is to end: somebody has stopped the run."""
        self._stops = self._do(lambda watcher: watcher.should_stop, self._stops)
        return self._stops

    def epochs(self) -> Iterator[int]:
        """Yield the numbers of the epochs, from 1; ends early if the run is stopped.

        A run that :meth:`resume` has restored begins with the epoch after the last complete one.
        """
        epoch = self._do(lambda watcher: watcher.begin_epochs(), 0)
        while True:
            self._epochs = self._do(lambda watcher: watcher.epochs, self._epochs)
            if epoch >= self._epochs or self.should_stop:
                return
            epoch += 1
            self.begin_epoch()
            yield epoch
            self.end_epoch()

    def batches(self, source: Any, batch_size: int | None = None) -> Batches[Any]:
        """Return the batches of an epoch, each as the loader gives it; ends early on a stop.

        Args:
            source: A ``DataLoader``, any iterable of batches, or a ``Dataset``, which is shuffled.
            batch_size: Examples a batch, for a dataset.

        Raises:
            TypeError: If it is a dataset and there is no batch size, or neither.
        """
        return Batches(self, as_loader(source, batch_size))

    def step(
        self, loss: Tensor | float, logits: Tensor | None = None, labels: Tensor | None = None
    ) -> None:
        """Report a step, after the update; waits here while the run is paused.

        Args:
            loss: The loss of the batch.
            logits: The output of the model (N, classes); by default the last one it returned.
            labels: The labels (N); by default the second element of the batch.
        """
        self._do(lambda watcher: watcher.end_step(loss, logits, labels), None)

    def validate(
        self, loader: Iterable[Any], forward: Callable[[Any], tuple[Tensor, Tensor]] | None = None
    ) -> Validated:
        """Evaluate the model on a loader, in evaluation mode, and report the result.

        Modes of the modules and states of the random generators are restored.

        Args:
            loader: Yields batches of inputs and labels.
            forward: Maps a batch to logits (N, classes) and labels (N), for batches of other kinds.

        Returns:
            Loss and accuracy; NaN where the batches have no labels that can be read.

        Raises:
            Exception: That of the model, the loader or ``forward``.
        """
        self._do(lambda watcher: watcher.begin_validation(), None)
        try:
            result = evaluate_loader(self._model, loader, forward, self._seen)
        finally:
            self._do(lambda watcher: watcher.end_validation(loader), None)
        self._do(lambda watcher: watcher.validated(result), None)
        return result

    def _seen(self, inputs: Any, labels: Tensor) -> None:
        self._do(lambda watcher: watcher.validation_batch(inputs, labels), None)

    def check(self, loader: Iterable[Any]) -> tuple[CheckItem, ...]:
        """Check model, optimizer and the first batches of a loader; print each item on stderr.

        Call it before the loop. It takes some seconds, on copies: the training is the same with it
        and without it, unless the loader draws its random numbers somewhere else.

        Args:
            loader: Yields batches of inputs and labels, as for :meth:`batches`.

        Returns:
            The items: what was checked, how it went, and what to do.
        """
        items: tuple[CheckItem, ...] = ()
        return self._do(lambda watcher: print_check(watcher.checked(loader)), items)

    def log(
        self,
        *,
        val_loss: float | Tensor | None = None,
        val_accuracy: float | Tensor | None = None,
        val_correct: int | None = None,
        val_total: int | None = None,
    ) -> None:
        """Report the validation of this epoch, by a loop that validates itself.

        Args:
            val_loss: The mean loss.
            val_accuracy: The share of correct predictions, 0 to 1.
            val_correct: How many were correct.
            val_total: Of how many; with both, the accuracy gets an interval.
        """
        self._do(
            lambda watcher: watcher.log(val_loss, val_accuracy, val_correct, val_total),
            None,
        )

    def resume(self, folder: str | os.PathLike[str] | None = None) -> bool:
        """Restore model, optimizer and random generators from the end of the last complete epoch.

        Call it before the loop. The epochs then continue where the loop uses :meth:`epochs`.

        Args:
            folder: The folder of an earlier run of this script; by default that of ``out``, or the
                latest one in ``runs`` that this script has recorded.

        Returns:
            Whether there was something to restore.

        Raises:
            InputError: If the checkpoint is of another model or cannot be read.
        """
        if self._watcher is None:
            return False
        return self._watcher.resume(None if folder is None else Path(folder).expanduser())

    def finish(self, reason: str = "completed") -> None:
        """End the run; no effect on one that has ended.

        Args:
            reason: As in ``RunFinished``; a stopped run is ``stopped``.
        """
        self._do(lambda watcher: watcher.finish(reason), None)
        self._release()

    # --- for loops that are no for loops

    def begin_epoch(self) -> None:
        """Begin an epoch, where the loop does not use :meth:`epochs`."""
        self._do(lambda watcher: watcher.begin_epoch(), None)

    def begin_batch(self, batch: Any = None, waited: float = 0.0, loader: Any = None) -> None:
        """Begin a batch, where the loop does not use :meth:`batches`.

        Args:
            batch: The batch, as the loader gave it.
            waited: Seconds for which the loop waited for it.
            loader: Where it comes from.
        """
        self._do(lambda watcher: watcher.begin_batch(batch, waited, loader), None)

    def end_epoch(
        self,
        *,
        val_loss: float | Tensor | None = None,
        val_accuracy: float | Tensor | None = None,
        val_correct: int | None = None,
        val_total: int | None = None,
    ) -> None:
        """End an epoch, where the loop does not use :meth:`epochs`; the figures as in :meth:`log`.

        No effect on an epoch that is not complete because the run is being stopped.
        """
        self.log(
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            val_correct=val_correct,
            val_total=val_total,
        )
        self._do(lambda watcher: watcher.end_epoch(), None)

    def begin_pass(self, loader: Any) -> None:
        """Begin the batches of a loader."""
        self._do(lambda watcher: watcher.begin_pass(loader), None)

    def end_pass(self) -> None:
        """End them; not called where the loop breaks off or is stopped."""
        self._do(lambda watcher: watcher.end_pass(), None)

    # --- the end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_with(error)

    def end_with(self, error: BaseException | None) -> None:
        """End the run as the loop has ended: with an exception or without one."""
        is_exit = isinstance(error, SystemExit) and error.code in (None, 0)
        if error is None or is_exit:
            self.finish()
        elif isinstance(error, KeyboardInterrupt):
            self.finish("interrupted")
        else:
            self._do(lambda watcher: watcher.fail(error), None)
            self._release()

    def _end_at_exit(self) -> None:
        """End a run whose script has ended without doing it.

        In a notebook the last exception may be that of another cell.
        """
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        is_done = self._do(lambda watcher: watcher.is_done, False)
        self.end_with(None if is_done and script_path() == NOTEBOOK else error)

    def _is_replaced_by(self, model: nn.Module) -> bool:
        """Whether a run of this model ends this one: the cell of a notebook is run again."""
        is_here = script_path() == NOTEBOOK and self._thread == threading.get_ident()
        return self._model is model or is_here

    def _do(self, work: Callable[[Watcher], T], otherwise: T) -> T:
        """Do something of ours; an exception of it never reaches the loop."""
        if self._watcher is None:
            return otherwise
        try:
            return work(self._watcher)
        except Exception as error:
            self.give_up(error)
            return otherwise

    def give_up(self, error: Exception) -> None:
        """Say once why the training goes on unwatched, and stop watching."""
        watcher = self._watcher
        self._release()
        where = "" if self._folder is None else f" ({self._folder})"
        problem = str(error) if isinstance(error, InputError) else _described(error)
        line = f"mnist-tui: not watched any more: {problem}; the training goes on{where}"
        try:
            if watcher is not None:
                watcher.give_up()
            print(one_line(line), file=sys.stderr, flush=True)
        except Exception:
            return  # there is no place left to say it

    def _release(self) -> None:
        if self._watcher is not None:
            self._folder = self._watcher.opened
        self._watcher = None
        atexit.unregister(self._end_at_exit)
        if self in _open_runs:
            _open_runs.remove(self)


def _described(error: Exception) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" ({Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})" if frame else ""
    return f"{type(error).__name__}: {error}{place}"


class Batches(Generic[T]):
    """The batches of an epoch, as the loader gives them, with its length and attributes.

    It can stand in for the loader in a whole script: each pass over it is an epoch.
    """

    def __init__(self, run: WatchedRun, loader: Iterable[T]) -> None:
        self._run = run
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]  # as the loader: it may have no length

    def __iter__(self) -> Iterator[T]:
        run, loader = self._run, self._loader
        run.begin_pass(loader)
        iterator, began = iter(loader), time.perf_counter()
        for batch in iterator:
            run.begin_batch(batch, time.perf_counter() - began, loader)
            yield batch
            if run.should_stop:
                return
            began = time.perf_counter()
        run.end_pass()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_loader":  # a copy has no loader yet
            raise AttributeError(name)
        return getattr(self._loader, name)
