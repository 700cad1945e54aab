"""The experiments of the lessons, one module each: what they show is measured, never made up.

A module's ``show`` gets a :class:`Bench`, the reader's choices, and whether to do what takes
seconds; it yields exhibits, the last of which stays. Between two of them it can be stopped. Nothing
of the run is changed: whatever is trained is a network of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib import import_module

from tui_trainer.course.lesson import SLUGS, folder_of
from tui_trainer.engine.run import Run
from tui_trainer.lab.context import SEED, Bench, open_bench
from tui_trainer.models.outside import preserve_globals
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.protocol.answers import LessonTried
from tui_trainer.protocol.commands import ENDS_TRYING, TryLesson
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


def try_lesson(run: Run, wish: TryLesson) -> Iterator[LessonTried]:
    """Show a lesson's experiment on a session's network, until it is over or ended.

    Raises:
        ValueError: If there is no such lesson.
        InputError: If a network that it needs cannot be built.
    """
    bench = open_bench(run)
    exhibits = experiment(wish.lesson)(bench, dict(wish.choices), wish.goes)
    for turn in itertools.count():
        # Around each part, not around the whole: between two of them the run's chance is the run's.
        with preserve_rng_state(bench.device), preserve_globals(run.model):
            seed_all(SEED + turn)
            exhibit = next(exhibits, None)
        if exhibit is None:
            return
        yield LessonTried(lesson=wish.lesson, exhibit=exhibit, step=run.progress.step)
        if run.control.inbox.awaits(*ENDS_TRYING):
            return
