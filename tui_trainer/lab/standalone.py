"""Questions answered without a training: about a recorded run, or a run before its first batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.process_commands import next_commands, reject
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.lesson_answers import try_lesson
from tui_trainer.lab.preflight import check
from tui_trainer.lab.views.desk import TEST
from tui_trainer.models.build import own_faults_told
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Inbox, Inspect, Question, TryLesson
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.test_looks import counted


def look(
    config: RunConfig,
    inbox: Inbox,
    folder: RunFolder,
    resume: Resumption,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Prepare a recorded run and answer questions about it, until told to stop.

    Nothing in its folder is changed, but that a look at the test set is counted there.

    Args:
        config: The run's settings.
        inbox: Where the questions arrive.
        folder: Where the run lies.
        resume: The state that is looked at.
        clock: Seconds that only go up.

    Raises:
        InputError: If the device, the data, the network, the checkpoint or the combination of
            settings cannot be used.
        NetworkError: If a network of one's own raises; it says where.
    """
    with own_faults_told(config.model):
        lab = Laboratory()
        run = yield from prepare(config, inbox, CheckpointStore(folder.checkpoints), clock, lab)
        resume_from(run, resume)
        checkpoint = resume.path.name.removesuffix(resume.path.suffix)
        yield from run.enter("on show", f"{folder.name} · checkpoint {checkpoint}")
        yield from _answer(lab, folder)


def _answer(lab: Laboratory, folder: RunFolder) -> Iterator[Event]:
    run = lab.run
    while True:
        for wish in (yield from next_commands(run)):
            match wish:
                case commands.Stop():
                    return
                case Inspect() if lab.opens_test(wish):
                    yield from _counted(lab, wish, folder)
                case _ if isinstance(wish, Question):
                    yield from lab.answer(wish)
                case _:
                    yield reject(run, wish, "the run is only shown here")


def _counted(lab: Laboratory, wish: Inspect, folder: RunFolder) -> Iterator[Event]:
    """Answer a question that opens the test set, which is counted before anyone sees it."""
    test = lab.run.data.test
    looks = test.looks
    try:
        recorded = folder.read_events()
        # Others may have looked since this began.
        test.looks = max(looks, recorded.looks)
        yield from counted(lab.answer(wish), folder, recorded)
    except InputError as error:
        test.looks = looks
        lab.desk.judged.pop(TEST, None)
        lab.desk.clear()
        yield reject(lab.run, wish, str(error))


def view_events(
    config: RunConfig,
    wishes: Iterable[Inspect],
    *,
    resume: Resumption | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Prepare a run, as ``train`` does up to its first batch, and show views of its network.

    Args:
        config: The run's settings.
        wishes: The views; each is taken when the one before has been answered.
        resume: From where a recorded run is shown; an untrained one if None.
        clock: Seconds that only go up.

    Raises:
        InputError: If the device, the data, the network, the checkpoint or the combination of
            settings cannot be used.
        NetworkError: If a network of one's own raises; it says where.
    """
    with own_faults_told(config.model):
        lab = Laboratory()
        run = yield from prepare(config, Inbox(), CheckpointStore(), clock, lab)
        if resume is not None:
            resume_from(run, resume)
        yield run.started()
        for wish in wishes:
            yield from lab.begin_view(wish)
            yield from lab.go_on(waits=True)


def lesson_events(
    config: RunConfig,
    inbox: Inbox,
    *,
    resume: Resumption | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Prepare a run, as ``train`` does up to its first batch, and show experiments beside it.

    They are those that the inbox asks for; it is over when none waits there.

    Args:
        config: The run's settings.
        inbox: Where the questions are; more can come while one is answered.
        resume: From where a recorded run is shown; an untrained one if None.
        clock: Seconds that only go up.

    Raises:
        InputError: If the device, the data, the network, the checkpoint or the combination of
            settings cannot be used.
        NetworkError: If a network of one's own raises; it says where.
    """
    with own_faults_told(config.model):
        run = yield from prepare(config, inbox, CheckpointStore(), clock, Laboratory())
        if resume is not None:
            resume_from(run, resume)
        yield run.started()
        while asked := [
            wish for wish in inbox.take(run.progress.step) if isinstance(wish, TryLesson)
        ]:
            yield from try_lesson(run, asked[-1])


def check_run(
    config: RunConfig, *, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Event]:
    """Prepare a run, as ``train`` does up to its first batch, and try its first steps.

    Raises:
        InputError: If the device, the data, the network or the combination of settings cannot be
            used.
        NetworkError: If a network of one's own raises; it says where.
    """
    with own_faults_told(config.model):
        run = yield from prepare(config, Inbox(), CheckpointStore(), clock, Laboratory())
        yield run.started()
        yield from check(run, clock=clock)
