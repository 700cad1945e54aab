"""The head of an exhibit: its controls and its status; and its key hints."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tui_trainer.protocol.exhibit import Control, Exhibit, Matrix, Value
from tui_trainer.text.fmt import Cell, columns
from tui_trainer.text.lines import PROSE, Lines, flowed, paragraph
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.widgets.status_lines import bar

BAR = 24
"""Columns of the progress bar at most."""

CONTROL_GAP = 2

_CHOOSE = "{experiment.previous_control}{experiment.next_control}"
_CHANGE = "{experiment.turn_down}{experiment.turn_up}"


@dataclass(frozen=True, slots=True)
class ExhibitView:
    """The content of the panel.

    Attributes:
        title: The number and title of the lesson, or the title of the view.
        exhibit: The exhibit, if there is an answer.
        controls: Its controls with their requested values.
        chosen: The index of the control that the arrow keys change.
        trains: What enter would train; empty for nothing.
        silence: Why there is no exhibit, or no newer one; empty if there is.
        is_under_way: Whether its experiment is running.
        is_stopped: Whether its experiment was stopped.
        waits: Whether training of the run waits for it.
        is_result: Whether the exhibit is the result of an experiment.
        noun: The text after the title.
        verb: What enter does, as in "enter trains".
    """

    title: str = ""
    exhibit: Exhibit | None = None
    controls: tuple[Control, ...] = ()
    chosen: int = 0
    trains: str = ""
    unavailable_reason: str = ""
    is_running: bool = False
    is_stopped: bool = False
    waits: bool = False
    has_result: bool = False
    noun: str = "experiment"
    verb: str = "trains"

    @property
    def matrix(self) -> Matrix | None:
        """The matrix of the exhibit, if one is drawn."""
        blocks = self.exhibit.blocks if self.exhibit else ()
        matrices = (block for block in blocks if isinstance(block, Matrix))
        return next((matrix for matrix in matrices if matrix.fits_a_screen), None)

    @property
    def is_in_matrix(self) -> bool:
        """Whether the arrow keys choose a cell of the matrix."""
        return self.matrix is not None and self.chosen >= len(self.controls)

    def with_matrix_chosen(self, control: int | None) -> ExhibitView:
        """Return the view with a control chosen, without the controls that the matrix replaces.

        Args:
            control: The index of the control; the matrix comes after the controls. None for the
                matrix.
        """
        matrix = self.matrix
        controls = tuple(c for c in self.controls if not matrix or c.name not in matrix.controls)
        last = len(controls) - (matrix is None)
        if control is None:
            control = last if matrix else 0
        return replace(self, controls=controls, chosen=max(0, min(control, last)))

    @property
    def control(self) -> Control | None:
        """The chosen control, if any."""
        return self.controls[self.chosen] if self.chosen < len(self.controls) else None

    @property
    def takes_numbers(self) -> bool:
        """Whether a number can be typed for the chosen control."""
        return self.control is not None and is_idle(self.control)

    @property
    def takes_negatives(self) -> bool:
        """Whether that number can be negative."""
        return self.control is not None and (self.control.low or 0.0) < 0

    @property
    def share(self) -> float:
        """The progress of the experiment, 0 to 1."""
        return (self.exhibit.progress if self.exhibit else None) or 0.0


def is_idle(control: Control) -> bool:
    """Return whether any number in a range can be typed for a control."""
    return control.low is not None and control.high is not None


def value_text(value: Value) -> str:
    """Return the value of a control as text: a word, or a number with thousands separators."""
    if isinstance(value, str):
        return value
    is_whole = math.isfinite(value) and value == int(value) and abs(value) < 1e9
    return f"{int(value):,}" if is_whole else f"{value:g}"


def head_lines(view: ExhibitView, width: int) -> Lines:
    """Return the controls and the status of the experiment."""
    controls = enumerate(view.controls)
    pieces = (_control_cells(each, is_chosen=place == view.chosen) for place, each in controls)
    lines, enter = flowed(pieces, width, CONTROL_GAP), with_keys("{experiment.confirm}")
    if view.unavailable_reason:
        lines += paragraph(view.unavailable_reason, "warning" if view.exhibit else "muted", width)
    elif view.is_running:
        lines += _progress_lines(view, width)
    elif view.is_stopped:
        words = f"‖ stopped at {100 * view.share:.0f} %; {enter} starts it again"
        lines += paragraph(words, "warning", width)
    elif view.trains and not view.has_result:
        lines += paragraph(f"▷ {enter}: {view.trains}", "title", width)
    elif view.exhibit is not None and view.exhibit.opens is not None:
        lines += paragraph(f"▷ {enter}: {view.exhibit.opens.hint}", "title", width)
    return [*lines, []] if lines else []


def _control_cells(control: Control, *, is_chosen: bool) -> list[Cell]:
    """Return a control of constant width; arrows show in which directions it can change."""
    texts = (control.name_of(each) or value_text(each) for each in control.steps)
    value = control.name_of(control.value) or value_text(control.value)
    room = max(columns(text) for text in (*texts, value))
    down, up = (control.turned(way) != control.value for way in (-1, 1))
    return [
        Cell("▸ " if is_chosen else "  ", style="title"),
        Cell(f"{control.label} ", style="title" if is_chosen else "muted"),
        Cell("‹ " if down else "· ", style="intervention" if is_chosen else "muted"),
        Cell(value, style="intervention bold" if is_chosen else "intervention"),
        Cell(" ›" if up else " ·", style="intervention" if is_chosen else "muted"),
        Cell(" " * (room - columns(value))),
    ]


def _progress_lines(view: ExhibitView, width: int) -> Lines:
    """Return the progress of the experiment, and how to stop it."""
    percent = f" {100 * view.share:3.0f} %  "
    words = with_keys(f"{'training waits · ' if view.waits else ''}{{learn.stop}} stops")
    line = [*bar(view.share, min(BAR, max(6, width - 40))), Cell(percent, style="title")]
    return [[*line, Cell(words, style="muted")]]


def result_lines(view: ExhibitView, width: int) -> Lines:
    """Return the result."""
    result = view.exhibit.result if view.exhibit else ""
    return paragraph(result, "title bold", min(width, PROSE)) if result else []


def evidence_lines(view: ExhibitView, width: int) -> Lines:
    """Return how the result was measured, and how certain it is."""
    evidence = view.exhibit.evidence if view.exhibit else ""
    lines = paragraph(f"evidence: {evidence}", "muted", min(width, PROSE))
    return [[], *lines] if evidence else []


def hints(view: ExhibitView, *, is_long: bool) -> str:
    """Return the keys that have an effect here."""
    parts = []
    if view.is_in_matrix:
        parts.append(f"{_CHOOSE}{_CHANGE} cell")
    elif len(view.controls) + (view.matrix is not None) > 1:
        parts.append(f"{_CHOOSE} choose")
    if view.controls and not view.is_in_matrix:
        parts.append(f"{_CHANGE} change")
    if view.takes_numbers:
        parts.append("0-9 type")
    if view.trains and not view.is_running:
        again = " again" if view.has_result else ""
        parts.append(f"{{experiment.confirm}} {view.verb}{again}")
    elif view.exhibit is not None and view.exhibit.opens is not None:
        parts.append("{experiment.confirm} opens")
    if is_long:
        parts.append("pgdn more")
    return with_keys(" · ".join(parts))
