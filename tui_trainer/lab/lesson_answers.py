"""The experiments of the lessons, one module each: what they show is measured, never made up.

A module's ``show`` gets a :class:`Bench`, the reader's choices, and whether to do what takes
seconds; it yields exhibits, the last of which stays. Between two of them it can be stopped. Nothing
of the run is changed: whatever is trained is a network of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from importlib import import_module

from tui_trainer.course.lesson import SLUGS, folder_of
from tui_trainer.engine.checkpoint_store import Keeper
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.engine.session import Session
from tui_trainer.lab.context import SEED, Bench, open_bench
from tui_trainer.models.build import own_faults_told
from tui_trainer.models.outside import preserve_globals
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.protocol.answers import LessonTried
from tui_trainer.protocol.commands import ENDS_TRYING, Inbox, TryLesson
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.exhibit import Choices, Exhibit

Show = Callable[[Bench, Choices, bool], Iterator[Exhibit]]


def experiment(slug: str) -> Show:
    """Return the experiment of a lesson.

    Raises:
        ValueError: If there is no such lesson.
    """
    if slug not in SLUGS:
        raise ValueError(f"there is no lesson {slug}")
    show: Show = import_module(f"tui_trainer.lab.lessons.{folder_of(slug)}.experiment").show
    return show


def try_lesson(session: Session, wish: TryLesson) -> Iterator[LessonTried]:
    """Show a lesson's experiment on a session's network, until it is over or ended.

    Raises:
        ValueError: If there is no such lesson.
        InputError: If a network that it needs cannot be built.
    """
    bench = open_bench(session)
    exhibits = experiment(wish.lesson)(bench, dict(wish.choices), wish.goes)
    for turn in itertools.count():
        # Around each part, not around the whole: between two of them the run's chance is the run's.
        with preserve_rng_state(bench.device), preserve_globals(session.network):
            seed_all(SEED + turn)
            exhibit = next(exhibits, None)
        if exhibit is None:
            return
        yield LessonTried(lesson=wish.lesson, exhibit=exhibit, step=session.step)
        if session.inbox.awaits(*ENDS_TRYING):
            return


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
        session = yield from prepare(config, inbox, Keeper(), clock)
        if resume is not None:
            resume_from(session, resume)
        yield session.started()
        while asked := [wish for wish in inbox.take(session.step) if isinstance(wish, TryLesson)]:
            yield from try_lesson(session, asked[-1])
