"""A recorded run on show: questions about one of its states are answered, nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tui_trainer.engine.checkpoint_store import Keeper
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.engine.session import Session
from tui_trainer.lab.answers import answer, next_wishes, reject
from tui_trainer.lab.view_answers import opens_test
from tui_trainer.lab.views.desk import TEST
from tui_trainer.models.build import own_faults_told
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Inbox, Inspect, Question
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
        session = yield from prepare(config, inbox, Keeper(folder), clock)
        resume_from(session, resume)
        checkpoint = resume.path.name.removesuffix(resume.path.suffix)
        yield from session.enter("on show", f"{folder.name} · checkpoint {checkpoint}")
        yield from _answer(session, folder)


def _answer(session: Session, folder: RunFolder) -> Iterator[Event]:
    while True:
        for wish in (yield from next_wishes(session)):
            match wish:
                case commands.Stop():
                    return
                case Inspect() if opens_test(session, wish):
                    yield from _counted(session, wish, folder)
                case _ if isinstance(wish, Question):
                    yield from answer(session, wish)
                case _:
                    yield reject(session, wish, "the run is only shown here")


def _counted(session: Session, wish: Inspect, folder: RunFolder) -> Iterator[Event]:
    """Answer a question that opens the test set, which is counted before anyone sees it."""
    test = session.data.test
    looks = test.looks
    try:
        recorded = folder.read_events()
        # Others may have looked since this began.
        test.looks = max(looks, recorded.looks)
        yield from counted(answer(session, wish), folder, recorded)
    except InputError as error:
        test.looks = looks
        session.desk.judged.pop(TEST, None)
        session.desk.clear()
        yield reject(session, wish, str(error))
