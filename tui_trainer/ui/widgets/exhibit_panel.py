"""The panel of an exhibit, of a lesson or a view: its controls and its blocks."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_trainer.protocol.exhibit import Control, Link, Matrix, Value, at
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.text.lines import Lines
from tui_trainer.ui.keys.keymap import EXPERIMENT_KEYS, TYPING_KEYS
from tui_trainer.ui.widgets.exhibit_head import (
    ExhibitView,
    evidence_lines,
    head_lines,
    hints,
    result_lines,
)
from tui_trainer.ui.widgets.exhibit_painting import medium_of, painted
from tui_trainer.ui.widgets.painting import role_styles

PLOT = range(9, 18)
"""Minimum and maximum lines of a plot."""

PLOT_SHARE = 0.5
"""The share of the panel's lines for a plot."""


class ExhibitPanel(ScrollView, can_focus=True):
    """The controls stay at the top; the blocks below scroll."""

    DEFAULT_CSS = """
    ExhibitPanel {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        overflow-x: hidden;
    }
    ExhibitPanel:focus { border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*EXPERIMENT_KEYS, *TYPING_KEYS]

    class ControlChanged(Message):
        """The user has changed a control; the message has it with the new value."""

        def __init__(self, turned: Control) -> None:
            super().__init__()
            self.turned = turned

    class Chosen(Message):
        """The user has chosen another control."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    class NumberRequested(Message):
        """The user wants to type a number for the chosen control."""

    class ResetRequested(Message):
        """The user wants to reset all controls."""

    class Confirmed(Message):
        """The user has confirmed what enter does: train, or evaluate the test set."""

    class CellChosen(Message):
        """The user has chosen another cell of the matrix; the choices identify it."""

        def __init__(self, choices: tuple[tuple[str, Value], ...]) -> None:
            super().__init__()
            self.choices = choices

    class Opened(Message):
        """The user wants to open another view."""

        def __init__(self, link: Link) -> None:
            super().__init__()
            self.link = link

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = "experiment"
        self.view = ExhibitView()
        self._head: list[Strip] = []
        self._body: list[Strip] = []

    def on_mount(self) -> None:
        """Repaint when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._repaint()

    def show(self, view: ExhibitView) -> None:
        """Show an exhibit; repaint only if it changed."""
        if view == self.view:
            return
        is_other = view.title != self.view.title
        self.view = view
        self.border_title = f"{view.title} · {view.noun}"
        self._repaint()
        if is_other:
            self.scroll_home(animate=False)

    def _repaint(self) -> None:
        width, height = self.scrollable_content_region.size
        if width <= 0 or height <= 0:
            return
        view, style = self.view, role_styles(self)
        head, body = head_lines(view, width), Lines()
        if view.exhibit is not None:
            result = result_lines(view, width)
            plot = min(max(PLOT.start, int(height * PLOT_SHARE)), PLOT.stop)
            body += [*result, []] if result else []
            medium = medium_of(self.app.theme_variables)
            body += exhibit_lines(view.exhibit.blocks, width, plot, medium)
            body += evidence_lines(view, width)
        if 2 * len(head) > height:
            # The head must leave room for the scrolling blocks.
            head, body = Lines(), head + body
        self._head, self._body = (
            [Strip(line).adjust_cell_length(width, style("")) for line in painted(lines, style)]
            for lines in (head, body)
        )
        self.virtual_size = Size(width, len(head) + len(body))
        self.border_subtitle = hints(view, is_long=self.virtual_size.height > height)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the head, or of the scrolled body."""
        if y < len(self._head):
            return self._head[y]
        place = y - len(self._head) + self.scroll_offset.y
        if place < len(self._body):
            return self._body[place]
        return Strip.blank(self.scrollable_content_region.width, self.rich_style)

    def lines(self) -> list[str]:
        """Return all lines, including those outside the visible part."""
        return [strip.text for strip in (*self._head, *self._body)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave keys without effect here to the screen."""
        view = self.view
        match action:
            case "confirm":
                opens = view.exhibit is not None and view.exhibit.opens is not None
                return bool(view.trains) or opens or view.takes_numbers
            case "adjust_control":
                return view.control is not None or view.is_in_matrix
        return super().check_action(action, parameters)

    def action_choose_control(self, direction: int) -> None:
        """Choose the previous or next control; at the ends, scroll."""
        view, place = self.view, self.view.chosen + direction
        if view.matrix is not None and view.is_in_matrix:
            row, column = view.matrix.cell
            if row + direction >= 0 or not view.controls:
                self._move_cell(view.matrix, row + direction, column)
            else:
                self.post_message(self.Chosen(len(view.controls) - 1))
        elif 0 <= place < len(view.controls) + (view.matrix is not None):
            self.post_message(self.Chosen(place))
        else:
            self.scroll_relative(y=direction, animate=False)

    def action_adjust_control(self, direction: int) -> None:
        """Change the chosen control; at its limit nothing happens."""
        control, matrix = self.view.control, self.view.matrix
        if matrix is not None and self.view.is_in_matrix:
            self._move_cell(matrix, matrix.cell[0], matrix.cell[1] + direction)
        elif control is not None and control.turned(direction) != control.value:
            self.post_message(self.ControlChanged(at(control, control.turned(direction))))

    def _move_cell(self, matrix: Matrix, row: int, column: int) -> None:
        """Choose another cell; at the edge nothing happens."""
        if 0 <= row < len(matrix.heads) and 0 <= column < len(matrix.heads):
            places = (float(row), float(column))
            self.post_message(self.CellChosen(tuple(zip(matrix.controls, places, strict=True))))

    def action_reset_controls(self) -> None:
        """Reset all controls."""
        self.post_message(self.ResetRequested())

    def action_confirm(self) -> None:
        """Train or open, as the line with ▷ says; without one, type a number."""
        opens = self.view.exhibit.opens if self.view.exhibit else None
        if not self.view.trains:
            self.post_message(self.Opened(opens) if opens else self.NumberRequested())
        elif not self.view.is_running:
            self.post_message(self.Confirmed())
