"""From roles to colours: how text gets the theme's colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.run.text import Cell


def role_styles(widget: Widget) -> Callable[[str], Style]:
    """Return a function from role to style, on a widget's own background, in the present theme.

    It looks each role up once: finding a colour costs more than drawing the text.
    """
    base, variables = widget.rich_style, widget.app.theme_variables

    @cache
    def style(role: str) -> Style:
        colour = variables.get(f"role-{role}")
        return base + Style(color=colour) if colour else base

    return style


def strips_of(widget: Widget, rows: Iterable[Iterable[tuple[str, str]]], width: int) -> list[Strip]:
    """Return rows of (text, role) pieces as strips of exactly ``width`` columns."""
    style = role_styles(widget)
    return [
        Strip([Segment(text, style(role)) for text, role in row]).adjust_cell_length(width)
        for row in rows
    ]


def content_of(cells: Sequence[Cell]) -> Content:
    """Return cells as content whose colours follow the theme."""
    return Content.assemble(*((cell.text, css_style(cell.style)) for cell in cells))


def css_style(role: str) -> str:
    """Return a role as a Textual style; ``good bold`` is a role with an attribute."""
    if not role:
        return ""
    name, *attributes = role.split()
    return " ".join([*attributes, f"$role-{name}"])
