"""A cache of the rendered lines of a widget."""

from __future__ import annotations

from textual._styles_cache import StylesCache
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

MOST = 16
"""The most regions of a widget whose lines are kept: it has several while it scrolls."""


class LineCache(StylesCache):
    """Returns the same lines until the widget is refreshed.

    A screen renders all of its widgets to paint a single line. Textual keeps their lines, but looks
    up the colors, the border and the filters of each widget again: with eight panels, that takes
    twice as long as the line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rendered: dict[Region, list[Strip]] = {}

    def set_dirty(self, *regions: Region) -> None:
        """Mark regions of the widget; without any, all of it."""
        self._rendered.clear()
        super().set_dirty(*regions)

    def clear(self) -> None:
        """Forget all lines."""
        self._rendered.clear()
        super().clear()

    def render_widget(self, widget: Widget, crop: Region) -> list[Strip]:
        """Return the lines of a region of the widget."""
        if crop not in self._rendered:
            if len(self._rendered) == MOST:
                self._rendered.clear()
            self._rendered[crop] = super().render_widget(widget, crop)
        return self._rendered[crop]


def keep_lines(widget: Widget) -> None:
    """Give a widget and its children such a cache."""
    for each in (widget, *widget.query()):
        each._styles_cache = LineCache()
