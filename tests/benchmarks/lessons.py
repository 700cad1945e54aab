"""The time that the experiments of the lessons take: ``python -m tests.benchmarks.lessons era-s6``.

Each is requested as the window does: first the immediate exhibit, then the training. The seconds
are those for which a run would wait. The result of each training is printed next to them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

from tests.benchmarks.options import Parser
from tests.protocol.questions import ask_lesson, exhibit_of
from tui_trainer.course.lesson import SLUGS
from tui_trainer.protocol.commands import Ask, Mode
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.exhibit import Exhibit


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
    """Run the experiments of these lessons on an untrained model, one after the other."""
    from tui_trainer.lab.standalone import answers
    from tui_trainer.protocol.answers import Answered
    from tui_trainer.protocol.config import RunConfig

    slowest: dict[Mode, float] = {"interactive": 0.0, "confirmed": 0.0}
    began = seconds = 0.0
    shown = Exhibit(blocks=())

    def timed(slug: str, mode: Mode) -> Iterator[Ask]:
        nonlocal began
        began = time.perf_counter()
        yield ask_lesson(slug, mode=mode)
        slowest[mode] = max(slowest[mode], seconds)
        kind = "trains " if mode == "confirmed" else "at once"
        print(f"{slug:24} {kind} {seconds:6.2f} s  {shown.result}", flush=True)

    def questions() -> Iterator[Ask]:
        for slug in slugs:
            yield from timed(slug, "interactive")
            if trains and shown.trains:
                yield from timed(slug, "confirmed")

    for event in answers(RunConfig(model=model), questions()):
        if isinstance(event, Answered):
            seconds, shown = time.perf_counter() - began, exhibit_of(event)
    print(f"slowest: at once {slowest['interactive']:.2f} s, training {slowest['confirmed']:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
