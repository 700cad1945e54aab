"""Modal screens with a text: the help, and the traceback of a failed run."""

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
"""Rows of the help that stand for several bindings, or for a built-in one, by group."""

_SYMBOLS = [
    ("─", "train", "training: the smoothed value over the batches"),
    ("░", "train-band", "its noise band: from the lowest to the highest batch"),
    ("●", "validation", "validation after each epoch, on images that are not trained on"),
    ("◆", "test", "test set, evaluated at the end or when you press {run.evaluate_test}"),
    ("▼", "intervention", "you changed a setting here"),
    ("▲", "warning", "a warning: of a finding, the design review or the check"),
    ("✗", "error", "an error: something is wrong"),
    ("·", "title", "a note: not a problem, but worth knowing"),
    ("▸", "title", "the chosen finding, lesson, view, control or cell"),
    (
        "▷",
        "title",
        "{experiment.confirm}: train, show the images of a cell, evaluate the test set",
    ),
    ("◇", "title", "viewing a recorded run: nothing is trained"),
    ("‹ ›", "intervention", "a control can change in that direction; with · it cannot"),
    ("□", "intervention", "theoretical receptive field; open where it leaves the image"),
    ("■", "validation", "measured: pixels with a non-zero gradient, brighter if larger"),
]


CUSTOM_KEYS = "mnist-tui keys lists all keys, and the file in which to change them"
NOTES = (
    "Accuracies come with their 95 % Wilson interval. The accuracy axis is",
    "logarithmic in the error: 90, 99 and 99.9 % are equally far apart.",
    "The learning rate is base × schedule; the keys change the base.",
    "No finding uses the test set before you evaluate it. A finding has its most",
    "likely cause first. A cause is shown by a measurement, likely (one points",
    "to it) or possible (none excludes it).",
)


class _TextScreen(ModalScreen[None]):
    """A title and a scrolling text."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "close"),
        Binding("question_mark", "dismiss", "close", id="window.help"),
        Binding("i", "dismiss", "close", id="window.error_details"),
    ]
    TITLE_TEXT = ""

    def text(self) -> Content:
        """Return the text."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The title and the text."""
        with Vertical(classes="dialog"):
            yield Static(self.TITLE_TEXT, classes="dialog-title")
            with VerticalScroll(classes="text"):
                yield Static(self.text())

    def on_mount(self) -> None:
        """Focus the text, so that the arrow keys scroll it."""
        self.query_one(VerticalScroll).focus()


class HelpScreen(_TextScreen):
    """All keys and symbols."""

    TITLE_TEXT = "mnist-tui — keys and symbols   (esc closes)"

    def text(self) -> Content:
        """Return the keys by group, then the symbols."""
        lines: list[list[Cell]] = []
        for title, bindings in GROUPS.items():
            rows = [(keys_text(b), b.tooltip) for b in bindings if not b.system]
            rows += [_MORE_KEYS[title]] if title in _MORE_KEYS else []
            lines += [_head(title), *(_row(key, "intervention", words) for key, words in rows), []]
        lines += [_head("Custom keys"), [Cell("  " + CUSTOM_KEYS)], []]
        lines += [_head("Symbols"), *(_row(*sign) for sign in _SYMBOLS), []]
        lines += [[Cell(line)] for line in NOTES]
        return content_of_lines(lines)


def _head(title: str) -> list[Cell]:
    return [Cell(with_keys(title), style="title bold")]


def _row(sign: str, role: str, words: str) -> list[Cell]:
    return [Cell(f"  {sign:<8}", style=role), Cell(with_keys(words))]


class FailureScreen(_TextScreen):
    """The traceback of a run that failed."""

    TITLE_TEXT = "Training failed   (esc closes)"

    def __init__(self, traceback: str) -> None:
        super().__init__()
        self._traceback = traceback

    def text(self) -> Content:
        """Return the traceback."""
        return Content(self._traceback)
