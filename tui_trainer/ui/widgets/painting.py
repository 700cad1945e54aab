"""Styles for color roles, in the current theme."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines

Styles = Callable[[str], Style]
"""Maps a role with optional attributes (``ok bold``) to a style."""


def role_styles(widget: Widget) -> Styles:
    """Return a function from role to style, on the widget's background, in the current theme.

    ``heat:0.4`` is not a role: it blends the background with that share of the error color.
    ``dim:run-1`` is a role of which only a part remains on the background: that of its band.

    The function caches styles, because looking up a color costs more than drawing the text: keep
    it until the theme changes.
    """
    base, variables = widget.rich_style, widget.app.theme_variables

    @cache
    def style(role: str) -> Style:
        name, *attributes = role.split() or [""]
        bold, underline = ("bold" in attributes or None, "underline" in attributes or None)
        if name.startswith("heat:"):
            ground = Color.parse(variables["background"]).blend(
                Color.parse(variables["role-error"]), float(name.removeprefix("heat:"))
            )
            ink = ground.get_contrast_text(1)
            added = Style(color=ink.rich_color, bgcolor=ground.rich_color)
        elif name.startswith("dim:"):
            ink = Color.parse(variables[f"role-{name.removeprefix('dim:')}"])
            dim = ink.blend(Color.parse(variables["background"]), 0.6)
            added = Style(color=dim.rich_color)
        else:
            added = Style(color=variables.get(f"role-{name}"))
        return base + added + Style(bold=bold, underline=underline)

    return style


class Painted(Widget):
    """Paints its own lines; repaints all of them when the size or the theme changes."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._strips: list[Strip] = []

    def on_mount(self) -> None:
        """Repaint when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())

    def on_resize(self) -> None:
        """Repaint in the new size."""
        self._repaint()

    def _repaint(self) -> None:
        """Repaint all lines."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)


def strip_of(pieces: Iterable[tuple[str, str]], style: Styles, width: int) -> Strip:
    """Return (text, role) pieces as a strip of exactly ``width`` columns."""
    strip = Strip([Segment(text, style(role)) for text, role in pieces])
    return strip.adjust_cell_length(width, style(""))


def content_of(cells: Sequence[Cell]) -> Content:
    """Return cells as content with the colors of the theme."""
    return Content.assemble(*((cell.text, css_style(cell.style)) for cell in cells))


def text_of(cells: Sequence[Cell], variables: Mapping[str, str]) -> Text:
    """Return cells as a Rich text, in the colors of a theme."""
    text = Text()
    for cell in cells:
        name, *attributes = cell.style.split() or [""]
        text.append(cell.text, " ".join([*attributes, variables.get(f"role-{name}", "")]).strip())
    return text


def content_of_lines(lines: Lines) -> Content:
    """Return lines of cells as content with the colors of the theme."""
    return Content("\n").join(map(content_of, lines))


def css_style(role: str) -> str:
    """Return a role with optional attributes (``ok bold``) as a Textual style."""
    if not role:
        return ""
    name, *attributes = role.split()
    return " ".join([*attributes, f"$role-{name}"])
