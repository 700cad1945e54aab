"""Answers without training: about a recorded run, or a run before its first batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.process_commands import answer_until_stopped, reject
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.predictions import TEST
from tui_trainer.models.build import locate_custom_model_errors
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.commands import AdoptArm, Ask, Inbox, Question
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.test_evaluations import counted


def inspect_run(
    config: RunConfig,
    inbox: Inbox,
    folder: RunFolder,
    resume: Resumption,
    *,
    is_trained: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Prepare a recorded run and answer questions about it until a stop command.

    Its folder is unchanged, except that test evaluations are counted there.

    Args:
        config: The run's settings.
        inbox: The inbox for the questions.
        folder: The folder of the run.
        resume: The checkpoint to inspect.
        is_trained: Whether another process trains the run: each question is then about the newest
            state of the checkpoint.
        clock: A monotonic clock in seconds.

    Raises:
        InputError: If the device, the data, the model, the checkpoint or the combination of
            settings cannot be used.
        CustomModelError: If a custom model raises; the message names the line.
        InputsChangedError: If a script has recorded more inputs; the question is in the inbox.
    """
    with locate_custom_model_errors(config.model):
        lab = _AttachedLaboratory(folder, resume) if is_trained else _CountingLaboratory(folder)
        run = yield from prepare(config, inbox, CheckpointStore(folder.checkpoints), clock, lab)
        resume_from(run, resume)
        checkpoint = resume.path.name.removesuffix(resume.path.suffix)
        yield from run.enter("viewing", f"{folder.name} · checkpoint {checkpoint}")
        yield from answer_until_stopped(run, "this is a recorded run: only questions are answered")


class _CountingLaboratory(Laboratory):
    """Records each test evaluation in the run's folder before its result is shown."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def answer(self, question: Question | AdoptArm) -> Iterator[Event]:
        if isinstance(question, AdoptArm) or not self.evaluates_test(question):
            yield from super().answer(question)
            return
        test = self.run.data.test
        evaluations = test.evaluations
        try:
            recorded = self._folder.read_events()
            # Another process may have evaluated the test set since this one started.
            test.evaluations = max(evaluations, recorded.test_evaluations)
            yield from counted(super().answer(question), self._folder, recorded)
        except InputError as error:
            test.evaluations = evaluations
            self.prediction_store.by_split.pop(TEST, None)
            self.scheduler.job = None
            yield reject(self.run, question, str(error))


class InputsChangedError(Exception):
    """A script has recorded more inputs: prepare the run again, then answer the question."""


class _AttachedLaboratory(_CountingLaboratory):
    """Answers each question from the newest state of a checkpoint."""

    def __init__(self, folder: RunFolder, resume: Resumption) -> None:
        super().__init__(folder)
        self._path = resume.path
        self._inputs = resume.state.metadata.get("inputs")
        self._read: object = None

    def answer(self, question: Question | AdoptArm) -> Iterator[Event]:
        try:
            self._read_again()
        except InputError as error:
            yield reject(self.run, question, str(error))
        except InputsChangedError:
            self.run.control.inbox.send(question)
            raise
        else:
            yield from super().answer(question)

    def _read_again(self) -> None:
        """Restore the checkpoint if the trainer has saved another one.

        Raises:
            InputError: If it cannot be used.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise path_error(self._path, f"cannot be read: {reason(error)}") from None
        state = (found.st_mtime_ns, found.st_ino)
        if state != self._read:
            checkpoint = read_checkpoint(self._path)
            if checkpoint.metadata.get("inputs") != self._inputs:
                raise InputsChangedError
            resume_from(self.run, Resumption(checkpoint, self._path))
            self._read = state


def answers(
    config: RunConfig,
    questions: Iterable[Ask],
    *,
    resume: Resumption | None = None,
    clock: Callable[[], float] = time.perf_counter,
    checks: bool = True,
) -> Iterator[Event]:
    """Prepare a run, as ``train`` does up to its first batch, and answer questions about it.

    Args:
        config: The run's settings.
        questions: The questions, answered one after another.
        resume: The checkpoint of a recorded run; None for an untrained model.
        clock: A monotonic clock in seconds.
        checks: Whether a question can be the check, which needs a probe of the data.

    Raises:
        InputError: If the device, the data, the model, the checkpoint or the combination of
            settings cannot be used.
        CustomModelError: If a custom model raises; the message names the line.
    """
    with locate_custom_model_errors(config.model):
        lab = Laboratory(probes_data=checks)
        run = yield from prepare(config, Inbox(), CheckpointStore(), clock, lab)
        if resume is not None:
            resume_from(run, resume)
        yield run.started()
        for question in questions:
            yield from lab.begin_answer(question)
            yield from lab.continue_answer(waits=True)
