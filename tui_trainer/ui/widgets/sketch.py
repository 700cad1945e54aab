"""The sketch on the pad: drawing, pen, brush and undo."""

from __future__ import annotations

from tui_trainer.protocol.strokes import Drawing, Point

SIDE = 56
"""Width of a drawing in pixels, at any displayed size: resizing the window loses nothing."""

STEPS = 28
"""Pen positions across the pad: an arrow key moves the pen by one."""

BRUSHES = (("thin", 1.4), ("normal", 2.4), ("thick", 4.0))
"""Names and radii, in pixels of the drawing."""

EDGE = 1.0
"""Extra radius of the eraser in pixels: it must also erase the soft edge of a stroke."""

MAX_UNDO = 100
"""Maximum number of undo steps."""

BLANK = Drawing.blank(SIDE, SIDE)


class Sketch:
    """A drawing under a pen.

    Attributes:
        drawing: The ink.
        place: Column and row of the pen, from 0 to :data:`STEPS` - 1.
        erases: Whether the pen is an eraser.
        brush: The index of the brush in :data:`BRUSHES`.
    """

    def __init__(self) -> None:
        self.drawing = BLANK
        self.place = (STEPS // 2, STEPS // 2)
        self.erases = False
        self.brush = 1
        self._before: list[Drawing] = []
        self._pen: Point | None = None
        self._stroke_erases = False

    @property
    def is_down(self) -> bool:
        """Whether the pen is down."""
        return self._pen is not None

    @property
    def is_erasing(self) -> bool:
        """Whether the current stroke erases, or else the next one."""
        return self._stroke_erases if self.is_down else self.erases

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self._before)

    @property
    def text(self) -> str:
        """The drawing as text; empty if it is blank."""
        return "" if self.drawing.is_blank else self.drawing.to_text()

    def begin(self, point: Point, *, erases: bool | None = None) -> None:
        """Put the pen down at a point of the drawing.

        Args:
            point: The point.
            erases: Whether the stroke erases; None for the current tool.
        """
        self.end()
        self._remember()
        self._stroke_erases = self.erases if erases is None else erases
        self._pen = point
        self._place_at(point)
        self._draw(point)

    def go_to(self, point: Point) -> None:
        """Draw a straight line to a point, if the pen is down."""
        if self._pen is not None:
            self._draw(self._pen, point)
            self._pen = point
        self._place_at(point)

    def end(self) -> None:
        """Lift the pen; a stroke without a change adds no undo step."""
        if self._pen is not None:
            self._pen = None
            if self._before and self._before[-1] == self.drawing:
                self._before.pop()

    def put_down(self) -> None:
        """Put the pen down at its position."""
        self.begin(self._middle)

    def move(self, across: int, down: int) -> None:
        """Move the pen within the pad; while it is down, it draws."""
        column, row = self.place
        self.place = _within(column + across), _within(row + down)
        self.go_to(self._middle)

    def change_brush(self, by: int) -> None:
        """Choose the next (1) or previous (-1) brush, cyclically."""
        self.brush = (self.brush + by) % len(BRUSHES)

    def toggle_eraser(self) -> None:
        """Switch between pen and eraser."""
        self.erases = not self.erases
        if self.is_down:
            self.put_down()

    def undo(self) -> None:
        """Undo the last stroke or clear."""
        self.end()
        if self._before:
            self.drawing = self._before.pop()

    def clear(self) -> None:
        """Clear the drawing; this can be undone."""
        self.end()
        if not self.drawing.is_blank:
            self._remember()
            self.drawing = BLANK

    @property
    def _middle(self) -> Point:
        step = SIDE / STEPS
        return (self.place[0] + 0.5) * step, (self.place[1] + 0.5) * step

    def _place_at(self, point: Point) -> None:
        """Set the pen position, from which the arrow keys continue."""
        step = SIDE / STEPS
        self.place = _within(int(point[0] // step)), _within(int(point[1] // step))

    def _remember(self) -> None:
        self._before = [*self._before[1 - MAX_UNDO :], self.drawing]

    def _draw(self, *points: Point) -> None:
        erases, (_, radius) = self._stroke_erases, BRUSHES[self.brush]
        radius += EDGE if erases else 0
        self.drawing = self.drawing.stroke(points, radius, erases=erases)


def _within(place: int) -> int:
    return min(max(0, place), STEPS - 1)
