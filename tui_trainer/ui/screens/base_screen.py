"""The base of screens with several panels: a small window shows one view at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.status_lines import TopLine, state_cells

ASK_EVERY = 2.0
"""The minimum number of seconds between two questions that only follow the weights."""

LEAST_WIDTH, LEAST_HEIGHT = 60, 16
"""In a smaller window a screen shows only that it is too small."""


class WindowRequested(Message):
    """Another window of this program is to be opened on the terminal.

    ``arguments`` are the command and its arguments.
    """

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        self.arguments = arguments


class ViewScreen(Screen[None]):
    """A screen that shows one of several views in a small window, and all of them in a larger one.

    The style sheets select the panels of a view by the screen's class ``-view-NAME``.

    Attributes:
        VIEWS: The names of the views; the first one is shown first.
        PANELS: The panel to focus in each view that has one.
        IS_LIVE: Whether the screen belongs to the live run.
        shown: The run on the screen, if any.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-medium"), (44, "-tall")]  # noqa: RUF012
    VIEWS: ClassVar[tuple[str, ...]] = ()
    PANELS: ClassVar[Mapping[str, type[Widget]]] = {}
    IS_LIVE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._clock: Callable[[], float] = time.monotonic
        self.shown: ShownRun | None = None
        self._view = 0
        self._key_state: tuple[object, ...] = ()

    @staticmethod
    def compose_end() -> ComposeResult:
        """The footer, and the message of a window that is too small; ``compose`` ends with them."""
        yield KeyFooter()
        yield Static(id="too-small")

    def on_mount(self) -> None:
        """Show the first view."""
        self.add_class(f"-view-{self.view}")

    def on_resize(self, event: Resize) -> None:
        """Show a message if the window is too small; training continues."""
        width, height = event.size
        is_small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        self.set_class(is_small, "-too-small")
        words = f"{width}×{height} is too small: make it {LEAST_WIDTH}×{LEAST_HEIGHT}."
        self.query_one("#too-small", Static).update(
            f"{words}\nTraining continues." if self.IS_LIVE else words
        )
        self.refresh_bindings()
        if self.is_small:
            self.focus_view()  # focus a visible panel

    @property
    def view(self) -> str:
        """The name of the current view."""
        return self.VIEWS[self._view]

    @property
    def is_small(self) -> bool:
        """Whether the window has room for one view only."""
        return self.has_class("-narrow") or self.has_class("-short")

    def next_view(self) -> None:
        """Show the next view, and focus it."""
        self.show_view(self.VIEWS[(self._view + 1) % len(self.VIEWS)])

    def show_view(self, view: str) -> None:
        """Show a view and focus it; a large window shows all views anyway."""
        self.remove_class(f"-view-{self.view}")
        self._view = self.VIEWS.index(view)
        self.add_class(f"-view-{self.view}")
        self.focus_view()

    def focus_view(self) -> None:
        """Focus the panel of the view, if it has one."""
        panel = self.PANELS.get(self.view)
        if panel is not None:
            self.query_one(panel).focus()
            self.refresh_bindings()

    def refresh_keys(self, *state: object) -> None:
        """Refresh the bindings, but only if the state that they depend on has changed."""
        if state != self._key_state:
            self._key_state = state
            self.refresh_bindings()

    def action_next_panel(self) -> None:
        """Focus the next panel."""
        self.focus_next()


class LiveScreen(ViewScreen):
    """A screen that asks questions about the live run, and shows its state in the top line."""

    def __init__(self) -> None:
        super().__init__()
        self._run: LiveRun | None = None
        self._asked_at = float("-inf")

    def set_run(self, run: LiveRun) -> bool:
        """Show the state of a run; return whether it is a new run."""
        is_new = run is not self._run
        self.shown = self._run = run
        self.query_one(TopLine).show(run, state_cells(run))
        return is_new

    @property
    def is_due(self) -> bool:
        """Whether the latest question is old enough to ask again for newer weights."""
        return self._clock() - self._asked_at >= ASK_EVERY
