"""Texts to read and close: the help, and the details of a failure."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.text.fmt import Cell
from tui_trainer.ui.keys.keymap import EXPERIMENT, GROUPS
from tui_trainer.ui.widgets.painting import content_of_lines

_MORE_KEYS = {
    "The window": ("ctrl+p", "Command palette: every action by name"),
    EXPERIMENT: ("0 … 9", "Type a number, where the chosen control takes one"),
}
"""What no single binding stands for, by the group it belongs to."""

_SIGNS = [
    ("─", "train", "training: the running trend of each batch as it is met"),
    ("░", "train-band", "its noise: from the least to the greatest batch"),
    ("●", "validation", "validation, after each epoch, on images kept apart from training"),
    ("◆", "test", "the sealed test set, read when a run ends or you press T"),
    ("▼", "intervention", "you turned a knob here"),
    ("▲", "look", "a finding or a verdict worth a look"),
    ("✗", "wrong", "something is wrong"),
    ("·", "title", "a finding that is no fault, but worth knowing"),
    ("▸", "title", "what the keys act on: a finding, a lesson, a view, a control, a cell"),
    ("▷", "title", "what enter does: train, open the digits of a cell, read the test set"),
    ("◇", "title", "a recorded run on show: nothing is trained"),
    ("‹ ›", "intervention", "a control can be turned that way; where · stands it cannot"),
    ("□", "intervention", "a receptive field by arithmetic; open where it is off the image"),
    ("■", "validation", "the pixels whose gradient is not zero: measured, and how large"),
]


class _TextScreen(ModalScreen[None]):
    """A title and a text that scrolls."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [Binding("escape,q,question_mark,i,enter", "dismiss", "close")]
    TITLE_TEXT = ""

    def text(self) -> Content:
        """Return what to read."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The title and the text."""
        with Vertical(classes="dialog"):
            yield Static(self.TITLE_TEXT, classes="dialog-title")
            with VerticalScroll(classes="text"):
                yield Static(self.text())

    def on_mount(self) -> None:
        """Let the arrow keys scroll at once."""
        self.query_one(VerticalScroll).focus()


class HelpScreen(_TextScreen):
    """Every key, every sign."""

    TITLE_TEXT = "mnist-tui — keys and signs   (Esc closes)"

    def text(self) -> Content:
        """Return the keys by group, then the signs."""
        lines: list[list[Cell]] = []
        for title, bindings in GROUPS.items():
            lines.append([Cell(title, style="title bold")])
            for binding in bindings:
                if binding.system:
                    continue
                key = binding.key_display or binding.key
                lines.append([Cell(f"  {key:<8}", style="intervention"), Cell(binding.tooltip)])
            if title in _MORE_KEYS:
                key, words = _MORE_KEYS[title]
                lines.append([Cell(f"  {key:<8}", style="intervention"), Cell(words)])
            lines.append([])
        lines.append([Cell("Signs", style="title bold")])
        lines += [[Cell(f"  {sign:<8}", style=role), Cell(words)] for sign, role, words in _SIGNS]
        lines += [
            [],
            [Cell("Accuracies stand with their 95 % Wilson interval. The accuracy axis gives")],
            [Cell("each further nine as much room as the last: 90, 99, 99.9. The learning rate")],
            [
                Cell(
                    "is base × schedule; the keys change the base. Findings never use the test set."
                )
            ],
        ]
        return content_of_lines(lines)


class FailureScreen(_TextScreen):
    """The traceback of a run that failed."""

    TITLE_TEXT = "The training failed   (Esc closes)"

    def __init__(self, traceback: str) -> None:
        super().__init__()
        self._traceback = traceback

    def text(self) -> Content:
        """Return the traceback."""
        return Content(self._traceback)
