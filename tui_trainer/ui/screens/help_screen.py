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
from tui_trainer.ui.keys.binding import keys_text
from tui_trainer.ui.keys.keymap import EXPERIMENT, GROUPS, with_keys
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
    ("◆", "test", "the sealed test set, read when a run ends or you press {run.evaluate_test}"),
    ("▼", "intervention", "you turned a knob here"),
    ("▲", "warning", "a warning: of a finding, the design review or the check"),
    ("✗", "error", "an error: something is wrong"),
    ("·", "title", "a note: no fault, but worth knowing"),
    ("▸", "title", "what the keys act on: a finding, a lesson, a view, a control, a cell"),
    (
        "▷",
        "title",
        "what {experiment.confirm} does: train, open the digits of a cell, read the test set",
    ),
    ("◇", "title", "viewing a recorded run: nothing is trained"),
    ("‹ ›", "intervention", "a control can be turned that way; where · stands it cannot"),
    ("□", "intervention", "a receptive field by arithmetic; open where it is off the image"),
    ("■", "validation", "the pixels whose gradient is not zero: measured, and how large"),
]


OWN_KEYS = "mnist-tui keys prints every key, and the file in which to change it"
NOTES = (
    "Accuracies stand with their 95 % Wilson interval. The accuracy axis gives",
    "each further nine as much room as the last: 90, 99, 99.9. The learning rate",
    "is base × schedule; the keys change the base. Findings never use the test set.",
)


class _TextScreen(ModalScreen[None]):
    """A title and a text that scrolls."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "close"),
        Binding("question_mark", "dismiss", "close", id="window.help"),
        Binding("i", "dismiss", "close", id="window.error_details"),
    ]
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
            rows = [(keys_text(b), b.tooltip) for b in bindings if not b.system]
            rows += [_MORE_KEYS[title]] if title in _MORE_KEYS else []
            lines += [_head(title), *(_row(key, "intervention", words) for key, words in rows), []]
        lines += [_head("Your own keys"), [Cell("  " + OWN_KEYS)], []]
        lines += [_head("Signs"), *(_row(*sign) for sign in _SIGNS), []]
        lines += [[Cell(line)] for line in NOTES]
        return content_of_lines(lines)


def _head(title: str) -> list[Cell]:
    return [Cell(with_keys(title), style="title bold")]


def _row(sign: str, role: str, words: str) -> list[Cell]:
    return [Cell(f"  {sign:<8}", style=role), Cell(with_keys(words))]


class FailureScreen(_TextScreen):
    """The traceback of a run that failed."""

    TITLE_TEXT = "The training failed   (Esc closes)"

    def __init__(self, traceback: str) -> None:
        super().__init__()
        self._traceback = traceback

    def text(self) -> Content:
        """Return the traceback."""
        return Content(self._traceback)
