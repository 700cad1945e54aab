"""What the lessons' experiments take: ``python -m tests.benchmarks.lessons era-s6``.

Each is asked for as the window asks: at first what is there at once, then what trains. The seconds
are those for which a run would wait. What came of each training is printed beside them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tests.benchmarks.options import Parser
from tui_trainer.course.lesson import SLUGS
from tui_trainer.protocol.config import MODELS


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each lesson and return the exit code."""
    parser = Parser("lessons", "Measure what the experiments of the lessons take")
    parser.add_argument("model", nargs="?", default="era-s6")
    parser.add_argument("--only", nargs="*", default=list(SLUGS), metavar="LESSON")
    parser.add_argument("--at-once", action="store_true", help="without the trainings")
    chosen = parser.parse_args(arguments)
    if chosen.model not in MODELS:
        parser.error(f"unknown network {chosen.model!r}")
    if unknown := [slug for slug in chosen.only if slug not in SLUGS]:
        parser.error(f"no lesson {unknown[0]!r}; there are {', '.join(SLUGS)}")
    measure(chosen.model, chosen.only, trains=not chosen.at_once)
    return 0


def measure(model: str, slugs: Sequence[str], *, trains: bool) -> None:
    """Try the experiments of these lessons on an untrained network, one after the other."""
    from tui_trainer.lab.standalone import lesson_events
    from tui_trainer.protocol.answers import LessonTried
    from tui_trainer.protocol.commands import Inbox, TryLesson
    from tui_trainer.protocol.config import RunConfig

    inbox = Inbox(TryLesson(slugs[0]))
    waiting = [TryLesson(slug, goes=goes) for slug in slugs for goes in (False, True)][1:]
    slowest, began, seconds = {False: 0.0, True: 0.0}, 0.0, 0.0
    asked, told = TryLesson(slugs[0]), None

    def close() -> None:
        nonlocal slowest
        if told is None:
            return
        slowest[asked.goes] = max(slowest[asked.goes], seconds)
        kind = "trains " if asked.goes else "at once"
        print(f"{asked.lesson:24} {kind} {seconds:6.2f} s  {told.exhibit.result}", flush=True)

    # The next question is put when the last is answered: a waiting one would end it.
    for event in lesson_events(RunConfig(model=model), inbox):
        if not isinstance(event, LessonTried):
            began = time.perf_counter()
            continue
        seconds, told = time.perf_counter() - began, event
        if event.exhibit.progress is not None:
            continue
        close()
        while waiting and waiting[0].goes and not (trains and event.exhibit.trains):
            waiting.pop(0)
        if waiting:
            asked, told = waiting.pop(0), None
            inbox.send(asked)
            began = time.perf_counter()
    print(f"slowest: at once {slowest[False]:.2f} s, training {slowest[True]:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
