"""What stands above an experiment: its controls, and how it stands; what stands around it."""

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

_MOVES = "{experiment.previous_control}{experiment.next_control}"
_TURNS = "{experiment.turn_down}{experiment.turn_up}"


@dataclass(frozen=True, slots=True)
class ExhibitView:
    """What the panel is to show.

    Attributes:
        title: The lesson's number and title: another one is shown from its beginning.
        exhibit: What the experiment shows; None before there is an answer.
        controls: Its controls where they are wanted to stand.
        chosen: The control that the arrow keys turn.
        trains: What enter would train; empty if nothing.
        silence: Why nothing can be tried, or nothing can be seen yet; empty if it can.
        is_under_way: Whether it trains.
        is_stopped: Whether it was stopped.
        waits: Whether the training of the run waits for it.
        is_result: Whether what is shown came of a training.
        noun: What it is, behind the title.
        verb: What enter does with ``trains``, as in "enter trains".
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
        """The matrix in which a cell can be chosen; None where there is none."""
        blocks = self.exhibit.blocks if self.exhibit else ()
        return next((block for block in blocks if isinstance(block, Matrix)), None)

    @property
    def is_in_matrix(self) -> bool:
        """Whether the arrow keys move the chosen cell of a matrix."""
        return self.matrix is not None and self.chosen >= len(self.controls)

    def with_matrix_chosen(self, control: int | None) -> ExhibitView:
        """Return the view with a control chosen, those left out that a matrix stands for.

        Args:
            control: The control's place, that of the matrix behind them; None for the matrix.
        """
        matrix = self.matrix
        controls = tuple(c for c in self.controls if not matrix or c.name not in matrix.controls)
        last = len(controls) - (matrix is None)
        if control is None:
            control = last if matrix else 0
        return replace(self, controls=controls, chosen=max(0, min(control, last)))

    @property
    def control(self) -> Control | None:
        """The chosen control; None where there is none."""
        return self.controls[self.chosen] if self.chosen < len(self.controls) else None

    @property
    def takes_numbers(self) -> bool:
        """Whether a number can be typed for the chosen control."""
        return self.control is not None and is_idle(self.control)

    @property
    def takes_negatives(self) -> bool:
        """Whether such a number can be below 0."""
        return self.control is not None and (self.control.low or 0.0) < 0

    @property
    def share(self) -> float:
        """How much of it is done, of what trains."""
        return (self.exhibit.progress if self.exhibit else None) or 0.0


def is_idle(control: Control) -> bool:
    """Return whether a number can be typed for a control."""
    return control.low is not None and control.high is not None


def value_text(value: Value) -> str:
    """Return what a control stands at: a word, or a number with its thousands parted."""
    if isinstance(value, str):
        return value
    is_whole = math.isfinite(value) and value == int(value) and abs(value) < 1e9
    return f"{int(value):,}" if is_whole else f"{value:g}"


def head_lines(view: ExhibitView, width: int) -> Lines:
    """Return the controls, and how the experiment stands."""
    controls = enumerate(view.controls)
    pieces = (_control_cells(each, is_chosen=place == view.chosen) for place, each in controls)
    lines, enter = flowed(pieces, width, CONTROL_GAP), with_keys("{experiment.confirm}")
    if view.unavailable_reason:
        lines += paragraph(view.unavailable_reason, "warning" if view.exhibit else "muted", width)
    elif view.is_running:
        lines += _progress_lines(view, width)
    elif view.is_stopped:
        words = f"‖ stopped at {100 * view.share:.0f} %; {enter} begins anew"
        lines += paragraph(words, "warning", width)
    elif view.trains and not view.has_result:
        lines += paragraph(f"▷ {enter}: {view.trains}", "title", width)
    elif view.exhibit is not None and view.exhibit.opens is not None:
        lines += paragraph(f"▷ {enter}: {view.exhibit.opens.hint}", "title", width)
    return [*lines, []] if lines else []


def _control_cells(control: Control, *, is_chosen: bool) -> list[Cell]:
    """Return a control: it keeps its width, and an arrow says where it can be turned."""
    room = max(columns(value_text(step)) for step in (*control.steps, control.value))
    value = value_text(control.value)
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
    """Return how far the experiment is, and what it means for the run."""
    percent = f" {100 * view.share:3.0f} %  "
    words = with_keys(f"{'the training waits · ' if view.waits else ''}{{learn.stop}} stops")
    line = [*bar(view.share, min(BAR, max(6, width - 40))), Cell(percent, style="title")]
    return [[*line, Cell(words, style="muted")]]


def result_lines(view: ExhibitView, width: int) -> Lines:
    """Return what was measured."""
    result = view.exhibit.result if view.exhibit else ""
    return paragraph(result, "title bold", min(width, PROSE)) if result else []


def uncertainty_lines(view: ExhibitView, width: int) -> Lines:
    """Return how sure that is."""
    certainty = view.exhibit.certainty if view.exhibit else ""
    told = paragraph(f"evidence: {certainty}", "muted", min(width, PROSE))
    return [[], *told] if certainty else []


def hints(view: ExhibitView, *, is_long: bool) -> str:
    """Return the keys that do something here."""
    parts = []
    if view.is_in_matrix:
        parts.append(f"{_MOVES}{_TURNS} cell")
    elif len(view.controls) + (view.matrix is not None) > 1:
        parts.append(f"{_MOVES} choose")
    if view.controls and not view.is_in_matrix:
        parts.append(f"{_TURNS} turn")
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
