"""What is drawn on the pad, and with what: strokes, brush, pen and the way back."""

from __future__ import annotations

from tui_trainer.protocol.strokes import Drawing, Point

SIDE = 56
"""Pixels across a drawing, however large it is shown: a new size of the window loses nothing."""

STEPS = 28
"""Places of the pen across the pad: an arrow key moves it by one."""

BRUSHES = (("thin", 1.4), ("normal", 2.4), ("thick", 4.0))
"""Names and radii, in pixels of the drawing."""

EDGE = 1.0
"""Pixels by which the eraser reaches further than the brush, whose soft edge would be left over."""

MAX_UNDO = 100
"""Strokes that can be taken back."""

BLANK = Drawing.blank(SIDE, SIDE)


class Sketch:
    """A drawing under a pen.

    Attributes:
        drawing: The ink.
        place: Where the arrow keys have led the pen: its column and row among :data:`STEPS`.
        erases: Whether the pen takes ink away.
        brush: The place of the brush in :data:`BRUSHES`.
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
        """Whether the pen touches the pad."""
        return self._pen is not None

    @property
    def is_erasing(self) -> bool:
        """Whether the stroke under way takes ink away, or the next would."""
        return self._stroke_erases if self.is_down else self.erases

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self._before)

    @property
    def text(self) -> str:
        """The drawing as text; empty if there is no ink."""
        return "" if self.drawing.is_blank else self.drawing.to_text()

    def begin(self, point: Point, *, erases: bool | None = None) -> None:
        """Put the pen down at a point of the drawing.

        Args:
            point: The point.
            erases: Whether it takes ink away; None for what the pen does now.
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
        """Lift the pen; a stroke that has changed nothing need not be taken back."""
        if self._pen is not None:
            self._pen = None
            if self._before and self._before[-1] == self.drawing:
                self._before.pop()

    def put_down(self) -> None:
        """Put the pen down where the arrow keys have led it."""
        self.begin(self._middle)

    def move(self, across: int, down: int) -> None:
        """Move the pen by places; while it is down, it draws. At the edge it stays."""
        column, row = self.place
        self.place = _within(column + across), _within(row + down)
        self.go_to(self._middle)

    def change_brush(self, by: int) -> None:
        """Take a thicker brush, or a thinner one; behind the last comes the first."""
        self.brush = (self.brush + by) % len(BRUSHES)

    def toggle_eraser(self) -> None:
        """Erase from now on, or draw again."""
        self.erases = not self.erases
        if self.is_down:
            self.put_down()

    def undo(self) -> None:
        """Take the latest stroke back."""
        self.end()
        if self._before:
            self.drawing = self._before.pop()

    def clear(self) -> None:
        """Take all ink away; that can be taken back, too."""
        self.end()
        if not self.drawing.is_blank:
            self._remember()
            self.drawing = BLANK

    @property
    def _middle(self) -> Point:
        step = SIDE / STEPS
        return (self.place[0] + 0.5) * step, (self.place[1] + 0.5) * step

    def _place_at(self, point: Point) -> None:
        """Let the arrow keys go on from a point."""
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
