"""The Inspect screen: what the model has learned, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.events import Resize
from textual.widget import Widget

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import (
    CommandRejected,
    Diverged,
    EpochDone,
    Event,
    Rewound,
    RunFailed,
    RunFinished,
    RunStarted,
    StateChanged,
    StepDone,
)
from tui_trainer.protocol.inspection import NAMES, VIEWS, View
from tui_trainer.ui.keys.keymap import INSPECT_KEYS
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.exhibit_screen import ExhibitScreen
from tui_trainer.ui.screens.exhibit_views import inspection_view, unavailable_reason
from tui_trainer.ui.screens.picture_prompt import PICTURE, picture_prompt
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.number_line import NumberLine
from tui_trainer.ui.widgets.pad import Pad
from tui_trainer.ui.widgets.prompt_line import PromptLine
from tui_trainer.ui.widgets.status_lines import TopLine
from tui_trainer.ui.widgets.view_list import ViewList

REFRESH_INTERVAL = 3.0
"""Seconds from an answer to the next background question during training …"""

PAINT_SHARE = 0.01
"""… or longer, to keep the share of time for painting below this."""

FLAT = 18
"""A window with fewer lines has no room for the frame of the pad."""

DRAWING = "drawing"
"""The choice that passes the drawing to a view."""

VIEW_EVENTS = (
    *(Answered, CommandRejected, RunStarted, RunFinished, RunFailed, StateChanged, Rewound),
    EpochDone,
)
"""Events that change the exhibit, or whether there can be one."""


def stops_training(event: Event) -> bool:
    """Whether training pauses or ends, or a run starts: the view must catch up with the weights."""
    is_paused = isinstance(event, StateChanged) and event.state == "paused"
    return is_paused or isinstance(event, RunStarted | RunFinished | Diverged | Rewound)


class InspectScreen(ExhibitScreen):
    """Shows a view of the model, and updates it during training for 1 % of the time."""

    CSS_PATH = ["views.tcss", "inspect.tcss"]  # noqa: RUF012
    AUTO_FOCUS = "#view"
    BINDINGS: ClassVar[list[BindingType]] = [*INSPECT_KEYS]
    VIEWS: ClassVar[tuple[str, ...]] = ("view", "list")
    PANELS: ClassVar[Mapping[str, type[Widget]]] = {"view": ExhibitPanel, "list": ViewList}

    def __init__(self) -> None:
        super().__init__()
        self._place = 0
        self._chosen_control: dict[str, int] = {}
        self._came_from: list[int] = []
        self._refresh_at = 0.0
        self._is_from_list = False

    def compose(self) -> ComposeResult:
        """The top line, the list, the pad and the view."""
        yield TopLine(id="top")
        with Container(id="inspect"):
            yield ViewList(VIEWS, id="views")
            yield Pad(id="pad")
            yield ExhibitPanel(id="view")
        yield NumberLine(id="number")
        yield PromptLine(id="prompt")
        yield from self.compose_end()

    @property
    def chosen_view(self) -> View:
        """The chosen view."""
        return VIEWS[self._place]

    @property
    def choosing(self) -> ExhibitQuestions | None:
        """The questions about views."""
        return self._run.inspection if self._run else None

    @property
    def has_pad(self) -> bool:
        """Whether the chosen view has the drawing pad: it draws images with one channel."""
        started = self._run.history.started if self._run else None
        return self.chosen_view.takes_drawing and (started is None or started.channels == 1)

    def open(self, name: str) -> None:
        """Choose a view by name."""
        self._go_to(NAMES.index(name))

    def show_run(self, run: LiveRun, events: Sequence[Event] = ()) -> None:
        """Show the run's state; ask again where the weights or the run changed."""
        is_new = self.set_run(run)
        if is_new or any(stops_training(event) for event in events):
            self._ask()
        if is_new or any(isinstance(event, VIEW_EVENTS) for event in events):
            self._show_pad()
            self.show_exhibit()
        if any(isinstance(event, StepDone) for event in events):
            self._refresh_view()

    def on_screen_resume(self) -> None:
        """Ask again: the weights may have changed in the meantime."""
        if self._run is not None:
            self._ask()
            self.show_exhibit()
        self.query_one(ViewList).show(self._place)

    def show_exhibit(self) -> None:
        """Show the view, and measure the cost of painting it."""
        if self._run is None:
            return
        began = self._clock()
        control = self._chosen_control.get(self.chosen_view.name)
        self.query_one(ExhibitPanel).show(inspection_view(self._run, self.chosen_view, control))
        now = self._clock()
        self._refresh_at = now + max(REFRESH_INTERVAL, (now - began) / PAINT_SHARE)
        history = self._run.history
        self.refresh_keys(
            history.started is None, history.is_over, self._place, len(self._came_from)
        )

    def _ask(self) -> None:
        """Ask for the view's exhibit, if the screen is active."""
        if self._run is not None and self.is_active and not unavailable_reason(self._run):
            self._run.inspection.open(self.chosen_view.name)
            self._send_drawing()

    def _send_drawing(self) -> None:
        """Ask for the exhibit of the drawing, unless it was asked for already."""
        text = self.query_one(Pad).sketch.text
        inspection = self._run.inspection if self._run and self.can_choose else None
        if inspection is None or not self.has_pad:
            return
        if dict(inspection.chosen).get(DRAWING, "") != text:
            inspection.choose(((DRAWING, text),))

    def _refresh_view(self) -> None:
        """Ask for the current exhibit in the background, if it is time."""
        if self._run is None or not self.is_active or self._clock() < self._refresh_at:
            return
        if ("images", "test") not in self._run.inspection.chosen:
            self._run.inspection.refresh()

    def _go_to(self, place: int) -> None:
        if place != self._place:
            self._place = place
            self.query_one(ViewList).show(place)
            self._show_pad()
            self._ask()
        self.show_exhibit()

    def _show_pad(self) -> None:
        """Show or hide the pad; focus it in place of the view."""
        draws = self.has_pad
        if draws == self.has_class("-drawing"):
            return
        self.set_class(draws, "-drawing")
        if draws:
            self._is_from_list = isinstance(self.focused, ViewList)
            if not self._is_from_list or not self._has_list:
                self.query_one(Pad).focus()
        elif not isinstance(self.focused, ViewList):
            to_list = self._is_from_list and not self.is_small
            self.query_one(ViewList if to_list else ExhibitPanel).focus()

    @property
    def _has_list(self) -> bool:
        """Whether the list of views is visible."""
        if self.is_small:
            return self.view == "list"
        return not self.has_pad or self.has_class("-wide")

    def on_resize(self, event: Resize) -> None:
        """Move the focus from a list that is no longer visible."""
        self.set_class(event.size.height < FLAT, "-flat")
        if isinstance(self.focused, ViewList) and not self._has_list:
            self.focus_view()

    def focus_view(self) -> None:
        """Focus the view, or the pad if there is one."""
        if self.view == "view" and self.has_pad:
            self.query_one(Pad).focus()
            self.refresh_bindings()
        else:
            super().focus_view()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim actions that have no effect yet (None), hide those that have none here (False)."""
        match action:
            case "move_view":
                return 0 <= self._place + int(str(parameters[0])) < len(VIEWS) or None
            case "go_back":
                return bool(self._came_from)
            case "next_panel" if self.has_pad and self.view == "view":
                return True
            case "open_picture":
                started = self._run.history.started if self._run else None
                is_watched = started is not None and bool(started.script)
                return self.chosen_view.takes_drawing and not (self.has_pad or is_watched)
        return super().check_action(action, parameters)

    def action_open_view(self) -> None:
        """Focus the view."""
        self.show_view("view")

    def action_move_view(self, by: int) -> None:
        """Choose the next (1) or previous (-1) view."""
        self._came_from.clear()
        self._go_to(self._place + by)

    def action_go_back(self) -> None:
        """Go back to the view that opened this one."""
        if self._came_from:
            self._go_to(self._came_from.pop())

    def on_choice_list_chosen(self, message: ViewList.Chosen) -> None:
        """Choose another view."""
        if 0 <= self._place + message.by < len(VIEWS):
            self.action_move_view(message.by)

    def on_exhibit_panel_chosen(self, message: ExhibitPanel.Chosen) -> None:
        """Choose another control of this view for the arrow keys."""
        self._chosen_control[self.chosen_view.name] = message.place
        self.show_exhibit()

    @on(ExhibitPanel.ResetRequested)
    def keep_drawing(self, message: ExhibitPanel.ResetRequested) -> None:
        """Reset all controls; keep the drawing."""
        text = self.query_one(Pad).sketch.text
        if self._run is not None and self.can_choose and self.has_pad and text:
            message.prevent_default()
            self._run.inspection.prepare(self.chosen_view.name, ((DRAWING, text),))
            self._run.inspection.ask()
            self.show_exhibit()

    def on_pad_drawn(self) -> None:
        """Ask for the prediction of the drawing."""
        self._send_drawing()

    def action_open_picture(self) -> None:
        """Ask for the path of a picture to predict."""
        inspection = self._run.inspection if self._run and self.can_choose else None
        if inspection is None:
            return
        panel = self.query_one(ExhibitPanel)

        def submit(path: str) -> None:
            panel.focus()
            inspection.choose(((PICTURE, path),))
            self.show_exhibit()

        latest = str(dict(inspection.chosen).get(PICTURE, ""))
        self.query_one(PromptLine).ask(picture_prompt(latest, submit, panel.focus))

    def on_exhibit_panel_opened(self, message: ExhibitPanel.Opened) -> None:
        """Open another view with preset choices."""
        link = message.link
        if self._run is not None and self.can_choose:
            self._came_from.append(self._place)
            self._run.inspection.prepare(link.view, link.choices)
            self._go_to(NAMES.index(link.view))
