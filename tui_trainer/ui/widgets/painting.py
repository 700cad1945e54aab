"""From roles to colours: how text gets the theme's colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text.fmt import Cell

Styles = Callable[[str], Style]
"""From a role, with attributes after it (``good bold``), to a style."""


def role_styles(widget: Widget) -> Styles:
    """Return a function from role to style, on a widget's own background, in the present theme.

    It looks each role up once, for finding a colour costs more than drawing the text: keep it until
    the theme changes.
    """
    base, variables = widget.rich_style, widget.app.theme_variables

    @cache
    def style(role: str) -> Style:
        name, *attributes = role.split() or [""]
        colour = variables.get(f"role-{name}")
        return base + Style(color=colour, bold="bold" in attributes or None)

    return style


def strip_of(pieces: Iterable[tuple[str, str]], style: Styles, width: int) -> Strip:
    """Return (text, role) pieces as a strip of exactly ``width`` columns."""
    strip = Strip([Segment(text, style(role)) for text, role in pieces])
    return strip.adjust_cell_length(width, style(""))


def content_of(cells: Sequence[Cell]) -> Content:
    """Return cells as content whose colours follow the theme."""
    return Content.assemble(*((cell.text, css_style(cell.style)) for cell in cells))


def css_style(role: str) -> str:
    """Return a role as a Textual style; ``good bold`` is a role with an attribute."""
    if not role:
        return ""
    name, *attributes = role.split()
    return " ".join([*attributes, f"$role-{name}"])
