"""The guided path of a first-time user: steps that advance when what they ask for is done.

Ten minutes: train, break it, see the finding, go back, overfit on purpose, mend it, look at what it
got wrong. What is said is data; when a step is done is told by the run's history, by what was tried
in lessons, and by the views of the network that were looked at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files

from tui_trainer.history.history import History
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.exhibit import Exhibit, Value

LESSON_OPENED = "a finding's lesson was opened"
OVERFITTED = "a training of the overfitting lesson was seen to its end"
MENDED = "and another one with its controls turned"
SAW_WRONG = "digits that the network gets wrong were looked at"

BROKEN = ("divergence", "learning_rate_high", "loss_rising")
"""The findings that tell of a learning rate that is too high."""

LEARNED = 0.9
"""The share of guessing's loss below which a network has learned something again."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the path.

    Attributes:
        name: What its predicate goes by.
        title: What it is about.
        do: What to do; ids in braces stand for keys.
        watch: What to watch.
        live: Whether it needs a run that is not over.
    """

    name: str
    title: str
    do: str
    watch: str
    live: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a step is judged by.

    Attributes:
        history: The run.
        done: What was done so far, in the words above.
        highest: The highest base learning rate since the path began.
    """

    history: History
    done: Collection[str]
    highest: float

    @property
    def is_broken(self) -> bool:
        """Whether the rate is too high now: the run is lost, or a finding says so."""
        standing = (self.history.findings.get(code) for code in BROKEN)
        return self.history.lost is not None or any(
            found is not None and found.severity != "note" for found in standing
        )

    @property
    def is_back(self) -> bool:
        """Whether the rate was turned down again, and the network has learned something."""
        history = self.history
        loss = history.smoothed_loss
        return (
            not self.is_broken
            and history.settings.get("learning_rate", self.highest) < self.highest
            and loss is not None
            and loss < LEARNED * history.guessing_loss
        )


PREDICATES: Mapping[str, Callable[[Seen], bool]] = {
    "train": lambda seen: bool(seen.history.epochs),
    "break": lambda seen: seen.is_broken,
    "finding": lambda seen: LESSON_OPENED in seen.done or seen.is_back,
    "rewind": lambda seen: seen.is_back,
    "overfit": lambda seen: OVERFITTED in seen.done,
    "mend": lambda seen: MENDED in seen.done,
    "wrong": lambda seen: SAW_WRONG in seen.done,
    "end": lambda seen: False,
}
"""When a step is done, by its name."""


def steps() -> tuple[Step, ...]:
    """Return the steps, in order."""
    path = files("tui_trainer.course") / "tour.toml"
    told = tomllib.loads(path.read_text(encoding="utf-8"))["steps"]
    return tuple(Step(**step) for step in told)


class Path:
    """A walk along the steps.

    Attributes:
        steps: The steps, in order.
        done: What was done so far.
    """

    def __init__(self) -> None:
        self.steps = steps()
        self.done: set[str] = set()
        self._place = 0
        self._highest = 0.0
        self._stays = False
        self._training = ""
        self._tried: set[tuple[tuple[str, Value], ...]] = set()

    @property
    def step(self) -> Step:
        """The step that is due."""
        return self.steps[self._place]

    @property
    def progress(self) -> tuple[int, int]:
        """Which step that is, from 1, and how many there are."""
        return self._place + 1, len(self.steps)

    def now(self, history: History) -> Step:
        """Return the step that is due with the run as it is; those that are done are left behind.

        One step at a time: what also fulfils the next one is judged at the next look.
        """
        self._highest = max(self._highest, history.settings.get("learning_rate", 0.0))
        is_done = PREDICATES[self.step.name](Seen(history, self.done, self._highest))
        if is_done and not self._stays:
            self.skip()
        self._stays = self._stays and is_done
        return self.step

    def skip(self) -> None:
        """Go to the next step, if there is one."""
        self._place = min(self._place + 1, len(self.steps) - 1)
        self._stays = False

    def back(self) -> None:
        """Go to the step before, and stay there even if it was done already."""
        self._place = max(self._place - 1, 0)
        self._stays = True

    def tell(self, deed: str) -> None:
        """Take in that something was done which no event tells."""
        self.done.add(deed)

    def notice(self, event: Event) -> None:
        """Take in what was shown on asking; other events are the history's."""
        if not isinstance(event, Answered) or not isinstance(event.content, Exhibit):
            return
        question, exhibit = event.question, event.content
        controls = tuple((control.name, control.value) for control in exhibit.controls)
        if question.kind == "lesson":
            self._notice_trial(question.name, exhibit, controls)
        elif question.topic == "view/digits":
            cell = dict((*question.choices, *controls))
            if cell.get("true") != cell.get("said"):
                self.done.add(SAW_WRONG)

    def _notice_trial(
        self, lesson: str, exhibit: Exhibit, choices: tuple[tuple[str, Value], ...]
    ) -> None:
        """Take in what a lesson's experiment shows."""
        if exhibit.progress is not None:
            self._training = lesson
            return
        was_trained, self._training = self._training == lesson, ""
        if lesson == "overfitting" and was_trained and exhibit.result:
            self._tried.add(choices)
            self.done |= {OVERFITTED} if len(self._tried) == 1 else {OVERFITTED, MENDED}
