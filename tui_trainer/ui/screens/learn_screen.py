"""The Learn screen: the lessons, each with an experiment on the live run's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from tui_trainer.course.lesson import Lesson, lessons
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import (
    CommandRejected,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    Rewound,
    RunFailed,
    RunFinished,
    RunStarted,
    SettingChanged,
    StateChanged,
)
from tui_trainer.protocol.probed import SampleProbed
from tui_trainer.ui.keys.keymap import LEARN_KEYS
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.exhibit_screen import ExhibitScreen
from tui_trainer.ui.screens.exhibit_views import (
    belongs_to,
    exhibit_view,
    lesson_view,
    unavailable_reason,
)
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.lesson_panel import LessonList, LessonPanel
from tui_trainer.ui.widgets.number_line import NumberLine
from tui_trainer.ui.widgets.status_lines import TopLine

LESSON_EVENTS = (
    *(EpochDone, SampleProbed, FindingRaised, FindingCleared, SettingChanged, Rewound),
    *(RunStarted, RunFinished, RunFailed, StateChanged),
)
"""Events that change the observations on the live run; a step is too small a change."""

EXPERIMENT_EVENTS = (Answered, CommandRejected, RunStarted, RunFinished, RunFailed, StateChanged)
"""Events that change the experiment."""


class LearnScreen(ExhibitScreen):
    """Shows a lesson and its experiment; training steps repaint nothing."""

    CSS_PATH = ["views.tcss", "learn.tcss"]  # noqa: RUF012
    AUTO_FOCUS = "#lessons"
    BINDINGS: ClassVar[list[BindingType]] = [*LEARN_KEYS]
    VIEWS: ClassVar[tuple[str, ...]] = ("lesson", "experiment", "list")
    PANELS: ClassVar[Mapping[str, type[Widget]]] = {
        "lesson": LessonPanel,
        "experiment": ExhibitPanel,
        "list": LessonList,
    }

    def __init__(self) -> None:
        super().__init__()
        self._lessons = lessons()
        self._place = 0
        self._is_open = False

    def compose(self) -> ComposeResult:
        """The top line, the list, the lesson and its experiment."""
        yield TopLine(id="top")
        with Container(id="learn"):
            yield LessonList(self._lessons, id="lessons")
            yield LessonPanel(id="lesson")
            yield ExhibitPanel(id="experiment")
        yield NumberLine(id="number")
        yield from self.compose_end()

    @property
    def lesson(self) -> Lesson:
        """The chosen lesson."""
        return self._lessons[self._place]

    def open(self, topic: int) -> None:
        """Choose a lesson by the number of its topic."""
        if not 0 <= topic < len(self._lessons):
            return
        if topic != self._place:
            self._place, self._control, self._is_open = topic, 0, False
            self._ask()
        self._show_all()

    def show_run(self, run: LiveRun, events: Sequence[Event] = ()) -> None:
        """Show the run's state; of a step only the top line."""
        is_new = self.set_run(run)
        is_started = is_new or any(isinstance(event, RunStarted) for event in events)
        if is_started or (self._is_outdated and any(isinstance(e, EpochDone) for e in events)):
            self._ask()
        if is_new or not events:
            self._show_all()
            return
        if any(isinstance(event, LESSON_EVENTS) for event in events):
            self._show_lesson()
        if any(isinstance(event, EXPERIMENT_EVENTS) for event in events):
            self.show_exhibit()

    def show_knobs(self) -> None:
        """Show the requested settings."""
        if self._run is not None:
            self.set_run(self._run)
        self._show_lesson()

    def on_screen_resume(self) -> None:
        """Ask again if the weights have changed; a trained result is kept."""
        if self._run is None:
            return
        if self._is_outdated or self._run.experiment.subject != self.lesson.slug:
            self._ask()
        self._show_all()

    @property
    def _is_outdated(self) -> bool:
        """Whether the experiment shows older weights, and asking again costs no training."""
        experiment = self._run.experiment if self._run else None
        if (
            experiment is None
            or experiment.is_waiting
            or experiment.has_result
            or experiment.trains
        ):
            return False
        return self.is_due

    def _ask(self) -> None:
        """Ask for the experiment's exhibit, if the screen is active."""
        if self._run is None or not self.is_active or unavailable_reason(self._run):
            return
        self._asked_at = self._clock()
        self._run.experiment.open(self.lesson.slug)

    def _show_all(self) -> None:
        self.query_one(LessonList).show(self._place)
        self._show_lesson()
        self.show_exhibit()

    def _show_lesson(self) -> None:
        if self._run is not None:
            view = lesson_view(self._run, self.lesson, is_open=self._is_open)
            self.query_one(LessonPanel).show(view)
            self._refresh_keys()

    def show_exhibit(self) -> None:
        """Show the experiment."""
        if self._run is not None:
            view = exhibit_view(self._run, self.lesson, self._control)
            self.query_one(ExhibitPanel).show(view)
            self._refresh_keys()

    @property
    def choosing(self) -> ExhibitQuestions | None:
        """The questions about experiments."""
        return self._run.experiment if self._run else None

    def _refresh_keys(self) -> None:
        """Refresh the bindings if the state that they depend on has changed."""
        if self._run is not None:
            history = self._run.history
            self.refresh_keys(
                *(history.started is None, history.is_over, history.divergence is not None),
                *(self._place, "dropout" in history.settings, self._can_fix),
            )

    @property
    def _can_fix(self) -> bool:
        """Whether the lesson shows a finding that a key can fix."""
        found = self._run.fixable() if self._run else None
        return found is not None and belongs_to(found, self.lesson)

    def shows(self, action: str) -> bool:
        """Return whether this screen shows the effect of an action on the run."""
        return not self.query_one(NumberLine).is_open and (action != "apply_fix" or self._can_fix)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim actions that have no effect yet (None), hide those that have none here (False)."""
        match action:
            case "move_lesson":
                place = self._place + int(str(parameters[0]))
                return 0 <= place < len(self._lessons) or None
            case "toggle_answer":
                return not self.is_small or self.view == "lesson"
            case "stop_experiment":
                return self._run is not None and self._run.experiment.is_running
        return super().check_action(action, parameters)

    def on_descendant_focus(self) -> None:
        """Enlarge the lesson while it is focused."""
        self.set_class(isinstance(self.focused, LessonPanel), "-reading")

    def action_open_experiment(self) -> None:
        """Focus the experiment."""
        self.show_view("experiment")

    def action_move_lesson(self, by: int) -> None:
        """Choose the next (1) or previous (-1) lesson."""
        self.open(self._place + by)

    def action_toggle_answer(self) -> None:
        """Show or hide the answer."""
        self._is_open = not self._is_open
        self._show_lesson()
        if self._is_open:
            self.query_one(LessonPanel).show_answer()

    def action_stop_experiment(self) -> None:
        """Stop the running experiment."""
        if self._run is not None:
            self._run.experiment.stop()
            self.show_exhibit()

    def on_choice_list_chosen(self, message: LessonList.Chosen) -> None:
        """Choose another lesson."""
        self.open(self._place + message.by)
