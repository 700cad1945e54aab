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
TRIED_ANOTHER_REMEDY = "and another one with its controls turned"
SAW_MISCLASSIFIED = "digits that the network gets wrong were looked at"

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
class TourState:
    """What a step is judged by.

    Attributes:
        history: The run.
        done: What was done so far, in the words above.
        highest: The highest base learning rate since the path began.
    """

    history: History
    done: Collection[str]
    highest_lr: float

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
            and history.settings.get("learning_rate", self.highest_lr) < self.highest_lr
            and loss is not None
            and loss < LEARNED * history.guessing_loss
        )


PREDICATES: Mapping[str, Callable[[TourState], bool]] = {
    "train": lambda state: bool(state.history.epochs),
    "break": lambda state: state.is_broken,
    "finding": lambda state: LESSON_OPENED in state.done or state.is_back,
    "rewind": lambda state: state.is_back,
    "overfit": lambda state: OVERFITTED in state.done,
    "mend": lambda state: TRIED_ANOTHER_REMEDY in state.done,
    "wrong": lambda state: SAW_MISCLASSIFIED in state.done,
    "end": lambda state: False,
}
"""When a step is done, by its name."""


def steps() -> tuple[Step, ...]:
    """Return the steps, in order."""
    path = files("tui_trainer.course") / "tour.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))["steps"]
    return tuple(Step(**step) for step in data)


class GuidedTour:
    """A walk along the steps.

    Attributes:
        steps: The steps, in order.
        done: What was done so far.
    """

    def __init__(self) -> None:
        self.steps = steps()
        self.done: set[str] = set()
        self._index = 0
        self._highest_lr = 0.0
        self._is_held = False
        self._training = ""
        self._tried: set[tuple[tuple[str, Value], ...]] = set()

    @property
    def step(self) -> Step:
        """The step that is due."""
        return self.steps[self._index]

    @property
    def progress(self) -> tuple[int, int]:
        """Which step that is, from 1, and how many there are."""
        return self._index + 1, len(self.steps)

    def advance(self, history: History) -> Step:
        """Return the step that is due with the run as it is; those that are done are left behind.

        One step at a time: what also fulfils the next one is judged at the next look.
        """
        self._highest_lr = max(self._highest_lr, history.settings.get("learning_rate", 0.0))
        is_done = PREDICATES[self.step.name](TourState(history, self.done, self._highest_lr))
        if is_done and not self._is_held:
            self.skip()
        self._is_held = self._is_held and is_done
        return self.step

    def skip(self) -> None:
        """Go to the next step, if there is one."""
        self._index = min(self._index + 1, len(self.steps) - 1)
        self._is_held = False

    def back(self) -> None:
        """Go to the step before, and stay there even if it was done already."""
        self._index = max(self._index - 1, 0)
        self._is_held = True

    def record(self, action: str) -> None:
        """Take in that something was done which no event tells."""
        self.done.add(action)

    def notice(self, event: Event) -> None:
        """Take in what was shown on asking; other events are the history's."""
        if not isinstance(event, Answered) or not isinstance(event.content, Exhibit):
            return
        question, exhibit = event.question, event.content
        controls = tuple((control.name, control.value) for control in exhibit.controls)
        if question.kind == "lesson":
            self._notice_lesson(question.name, exhibit, controls)
        elif question.topic == "view/digits":
            cell = dict((*question.choices, *controls))
            if cell.get("true") != cell.get("said"):
                self.done.add(SAW_MISCLASSIFIED)

    def _notice_lesson(
        self, lesson: str, exhibit: Exhibit, choices: tuple[tuple[str, Value], ...]
    ) -> None:
        """Take in what a lesson's experiment shows."""
        if exhibit.progress is not None:
            self._training = lesson
            return
        was_trained, self._training = self._training == lesson, ""
        if lesson == "overfitting" and was_trained and exhibit.result:
            self._tried.add(choices)
            self.done |= (
                {OVERFITTED} if len(self._tried) == 1 else {OVERFITTED, TRIED_ANOTHER_REMEDY}
            )
