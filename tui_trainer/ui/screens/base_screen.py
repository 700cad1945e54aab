"""What screens of several panels share: what fits into which window, one view at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.status_lines import TopLine, state_cells

ASK_EVERY = 2.0
"""The least number of seconds after which the weights' own progress is worth a new question."""

LEAST_WIDTH, LEAST_HEIGHT = 60, 16
"""Below this a screen shows only that it is too small."""


class ViewScreen(Screen[None]):
    """A screen whose panels take turns in a small window.

    The style sheets show the view's panels by the screen's class ``-view-NAME``.

    Attributes:
        VIEWS: The names of the views, the first shown first.
        PANELS: The panel of each view that takes keys of its own.
        IS_LIVE: Whether keys act on the run.
        shown: The run that is on show; None before there is one.
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
        """The footer, and what to say where there is no room; for ``compose`` to end with."""
        yield KeyFooter()
        yield Static(id="too-small")

    def on_mount(self) -> None:
        """Begin with the first view."""
        self.add_class(f"-view-{self.view}")

    def on_resize(self, event: Resize) -> None:
        """Say so where there is no room; training goes on all the same."""
        width, height = event.size
        is_small = width < LEAST_WIDTH or height < LEAST_HEIGHT
        self.set_class(is_small, "-too-small")
        words = f"{width}×{height} is too small: {LEAST_WIDTH}×{LEAST_HEIGHT} is needed."
        self.query_one("#too-small", Static).update(
            f"{words}\nTraining goes on." if self.IS_LIVE else words
        )
        self.refresh_bindings()
        if self.is_small:
            self.focus_view()  # on what can be seen

    @property
    def view(self) -> str:
        """The name of the view that a small window shows."""
        return self.VIEWS[self._view]

    @property
    def is_small(self) -> bool:
        """Whether there is room for one view only."""
        return self.has_class("-narrow") or self.has_class("-short")

    def next_view(self) -> None:
        """Show the next panel of a small window; its keys act at once."""
        self.show_view(self.VIEWS[(self._view + 1) % len(self.VIEWS)])

    def show_view(self, view: str) -> None:
        """Show a panel, in a large window by its keys alone."""
        self.remove_class(f"-view-{self.view}")
        self._view = self.VIEWS.index(view)
        self.add_class(f"-view-{self.view}")
        self.focus_view()

    def focus_view(self) -> None:
        """Let the keys of the view act, where its panel has some."""
        panel = self.PANELS.get(self.view)
        if panel is not None:
            self.query_one(panel).focus()
            self.refresh_bindings()

    def refresh_keys(self, *facts: object) -> None:
        """Let the footer build its keys anew, but only if what they depend on has changed."""
        if facts != self._key_state:
            self._key_state = facts
            self.refresh_bindings()

    def action_next_panel(self) -> None:
        """Go to the next panel."""
        self.focus_next()


class LiveScreen(ViewScreen):
    """A screen that asks about the run in training, and shows its state above."""

    def __init__(self) -> None:
        super().__init__()
        self._run: LiveRun | None = None
        self._asked_at = float("-inf")

    def set_run(self, run: LiveRun) -> bool:
        """Show the state of a run; return whether it is another one than before."""
        is_new = run is not self._run
        self.shown = self._run = run
        self.query_one(TopLine).show(run, state_cells(run.history))
        return is_new

    @property
    def is_due(self) -> bool:
        """Whether the weights have gone on for long enough since the latest question."""
        return self._clock() - self._asked_at >= ASK_EVERY
