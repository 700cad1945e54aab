"""The guided tour for a first-time user: steps that advance when their task is done.

Ten minutes: train, break it, read the finding, recover, overfit on purpose, fix it, look at the
misclassified images. The texts are data. A predicate decides when a step is done: it reads the
history of the run, the experiments tried in lessons, and the views opened.
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

LESSON_OPENED = "the lesson of a finding was opened"
OVERFITTED = "a training of the overfitting lesson was completed"
TRIED_ANOTHER_REMEDY = "another one was completed with other controls"
SAW_MISCLASSIFIED = "misclassified images were shown"

BROKEN = ("divergence", "learning_rate_high", "loss_rising")
"""The findings of a learning rate that is too high."""

LEARNED = 0.9
"""A model has learned something again when its loss is below this share of the loss of guessing."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the tour.

    Attributes:
        name: The name of its predicate.
        title: The heading.
        do: What to do; an id in braces stands for its key.
        watch: What to watch.
        live: Whether it needs a run that is still training.
    """

    name: str
    title: str
    do: str
    watch: str
    live: bool = False


@dataclass(frozen=True, slots=True)
class TourState:
    """The state that the predicates read.

    Attributes:
        history: The run.
        done: The actions so far, from the constants above.
        highest_lr: The highest base learning rate since the tour began.
    """

    history: History
    done: Collection[str]
    highest_lr: float

    @property
    def is_broken(self) -> bool:
        """Whether the learning rate is too high: the run diverged, or a finding reports it."""
        raised = (self.history.findings.get(code) for code in BROKEN)
        return self.history.divergence is not None or any(
            finding is not None and finding.severity != "note" for finding in raised
        )

    @property
    def is_back(self) -> bool:
        """Whether the learning rate was lowered again and the model has learned something."""
        history = self.history
        loss = history.smoothed_loss
        return (
            not self.is_broken
            and history.settings.get("base_lr", self.highest_lr) < self.highest_lr
            and loss is not None
            and loss < LEARNED * history.guessing_loss
        )


PREDICATES: Mapping[str, Callable[[TourState], bool]] = {
    "train": lambda state: bool(state.history.epochs),
    "break": lambda state: state.is_broken,
    "finding": lambda state: LESSON_OPENED in state.done or state.is_back,
    "rewind": lambda state: state.is_back,
    "overfit": lambda state: OVERFITTED in state.done,
    "fix": lambda state: TRIED_ANOTHER_REMEDY in state.done,
    "misclassified": lambda state: SAW_MISCLASSIFIED in state.done,
    "end": lambda state: False,
}
"""Whether a step is done, by its name."""


def steps() -> tuple[Step, ...]:
    """Return the steps in order."""
    path = files("tui_trainer.course") / "tour.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))["steps"]
    return tuple(Step(**step) for step in data)


class GuidedTour:
    """The reader's progress through the steps.

    Attributes:
        steps: The steps in order.
        done: The actions so far.
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
        """The current step."""
        return self.steps[self._index]

    @property
    def progress(self) -> tuple[int, int]:
        """The number of the current step, from 1, and the number of steps."""
        return self._index + 1, len(self.steps)

    def advance(self, history: History) -> Step:
        """Go to the next step if the current one is done; return the step to show.

        At most one step per call: the next step is checked by the next call.
        """
        self._highest_lr = max(self._highest_lr, history.settings.get("base_lr", 0.0))
        is_done = PREDICATES[self.step.name](TourState(history, self.done, self._highest_lr))
        if is_done and not self._is_held:
            self.skip()
        self._is_held = self._is_held and is_done
        return self.step

    def skip(self) -> None:
        """Go to the next step if there is one."""
        self._index = min(self._index + 1, len(self.steps) - 1)
        self._is_held = False

    def back(self) -> None:
        """Go to the previous step, and stay there even if it is already done."""
        self._index = max(self._index - 1, 0)
        self._is_held = True

    def record(self, action: str) -> None:
        """Record an action that no event reports."""
        self.done.add(action)

    def notice(self, event: Event) -> None:
        """Record what an answer showed; the history has the other events."""
        if not isinstance(event, Answered) or not isinstance(event.content, Exhibit):
            return
        question, exhibit = event.question, event.content
        controls = tuple((control.name, control.value) for control in exhibit.controls)
        if question.kind == "lesson":
            self._notice_lesson(question.name, exhibit, controls)
        elif question.topic == "view/misclassified":
            cell = dict((*question.choices, *controls))
            if cell.get("true") != cell.get("predicted"):
                self.done.add(SAW_MISCLASSIFIED)

    def _notice_lesson(
        self, lesson: str, exhibit: Exhibit, choices: tuple[tuple[str, Value], ...]
    ) -> None:
        if exhibit.progress is not None:
            self._training = lesson
            return
        was_trained, self._training = self._training == lesson, ""
        if lesson == "overfitting" and was_trained and exhibit.result:
            self._tried.add(choices)
            self.done |= (
                {OVERFITTED} if len(self._tried) == 1 else {OVERFITTED, TRIED_ANOTHER_REMEDY}
            )
