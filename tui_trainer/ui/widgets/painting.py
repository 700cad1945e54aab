"""From roles to colours: how text gets the theme's colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.run.text import Cell


def role_style(widget: Widget, role: str) -> Style:
    """Return the style of a role on a widget's own background, in the present theme."""
    base = widget.rich_style
    colour = widget.app.theme_variables.get(f"role-{role}")
    return base + Style(color=colour) if colour else base


def strip_of(widget: Widget, pieces: Iterable[tuple[str, str]], width: int) -> Strip:
    """Return a line of (text, role) pieces as a strip of exactly ``width`` columns."""
    segments = [Segment(text, role_style(widget, role)) for text, role in pieces]
    return Strip(segments).adjust_cell_length(width, widget.rich_style)


def content_of(cells: Sequence[Cell]) -> Content:
    """Return cells as content whose colours follow the theme."""
    return Content.assemble(*((cell.text, css_style(cell.style)) for cell in cells))


def css_style(role: str) -> str:
    """Return a role as a Textual style; ``good bold`` is a role with an attribute."""
    if not role:
        return ""
    name, *attributes = role.split()
    return " ".join([*attributes, f"$role-{name}"])
