"""The keys of the views of what a network has learned."""

from __future__ import annotations

from dataclasses import replace

from textual.binding import Binding

from tui_trainer.ui.keys.binding import key_for
from tui_trainer.ui.keys.learn_keys import ENLARGE

VIEW = Binding.Group("view", compact=True)

VIEW_LIST_KEYS = [
    key_for("up", "move(-1)", "view above", "The view above", shows_as="↑"),
    key_for("down", "move(1)", "view below", "The view below", shows_as="↓"),
    key_for(
        "enter",
        "screen.to_view",
        "look",
        "To the chosen view: its keys are shown",
        show=True,
        shows_as="enter",
    ),
]
INSPECT_KEYS = [
    key_for("n", "move_view(1)", "next", "The next view", show=True, shows_as="n", group=VIEW),
    key_for("b", "move_view(-1)", "back", "The view before", show=True, shows_as="b", group=VIEW),
    replace(ENLARGE, show=True),
    key_for("tab", "next_panel", "panel", "To the next panel: its keys are shown", show=True),
    key_for(
        "escape",
        "go_back",
        "return",
        "Back to the view from which this one was opened",
        show=True,
        shows_as="esc",
    ),
]
