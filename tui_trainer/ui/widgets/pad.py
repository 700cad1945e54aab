"""The drawing pad: draw a digit with the mouse or the keys, two pixels per character."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.color import Color
from textual.events import MouseDown, MouseEvent, MouseMove, MouseUp
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from tui_trainer.protocol.strokes import Point
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.keys.keymap import PAD_KEYS, with_keys
from tui_trainer.ui.widgets.half_blocks import Pixel, half_blocks, mixed, ramp
from tui_trainer.ui.widgets.painting import Painted, Styles, content_of, role_styles
from tui_trainer.ui.widgets.sketch import BRUSHES, SIDE, STEPS, Sketch

LARGE, SMALL = SIDE, SIDE // 2
"""Width of the picture in pixels; a pixel of the small one averages four of the drawing."""

ROOMY = (112, LARGE // 2)
"""Minimum columns of the window and lines of the pad for the large picture."""

SHADES = 24
"""Gray levels from paper to ink: few, so that there are few styles to build and send."""

HINT = (
    *("draw a digit", "", "drag with the mouse,"),
    "or {pad.pen} and {pad.up} {pad.down} {pad.left} {pad.right}",
)
"""The hint on an empty pad, from its second line; the pen starts in the center."""

TOOLS = ("{pad.thicker} brush   {pad.eraser} eraser", "{pad.undo} undo    {pad.clear} clear")
"""The lines below the picture, if there is room."""

DRAW_BUTTON, ERASE_BUTTON = 1, 3
"""Numbers of mouse buttons."""


class Pad(Painted, can_focus=True):
    """Paints only lines that change: painting slows training down."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Pad {
        width: auto;
        border: round $role-border;
        border-title-color: $role-title;
        padding: 0 1;
    }
    Pad:focus { border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*PAD_KEYS]

    class Drawn(Message):
        """The drawing has changed; the message has it as text, empty for a blank pad."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.sketch = Sketch()
        self._across = SMALL
        self._is_blank = True
        self._drags = False
        self._shades: list[Pixel] = []
        self._pens: tuple[Pixel, Pixel] | None = None
        self._style: Styles | None = None
        self._title: list[Cell] = []
        self._write_title()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return the columns of the picture: the large one if there is room."""
        is_roomy = viewport.width >= ROOMY[0] and container.height >= ROOMY[1]
        return LARGE if is_roomy else SMALL

    def _repaint(self) -> None:
        """Repaint everything, for example in another size."""
        self._across = LARGE if self.size.width >= LARGE else SMALL
        names = ("surface", "foreground", "role-intervention")
        paper, ink, pen = (Color.parse(self.app.theme_variables[name]) for name in names)
        shades = ramp(paper, ink)
        self._shades = [shades[255 * shade // SHADES] for shade in range(SHADES + 1)]
        self._pens = mixed(paper.rgb, pen, 0.6), pen.rgb
        self._style = role_styles(self)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the picture, or of the text below it."""
        width, below = self.size.width, y - self._across // 2 - 1
        if self._style is None or below == -1 or below >= len(TOOLS):
            return Strip.blank(width, self.rich_style)
        if below >= 0:
            line = [Segment(with_keys(TOOLS[below]), self._style("muted"))]
        else:
            rows = [self._pixels(2 * y), self._pixels(2 * y + 1)]
            [line] = half_blocks(rows, self._shades[0])
            if self._is_blank and 0 < y <= len(HINT) and HINT[y - 1]:
                line = self._over(line, with_keys(HINT[y - 1]))
        return Strip(line).adjust_cell_length(width, self._style(""))

    def _pixels(self, row: int) -> list[Pixel]:
        """Return a row of the picture, with the pen."""
        ink, shades = self.sketch.drawing.ink, self._shades
        if self._across == LARGE:
            values = ink[row * SIDE : (row + 1) * SIDE]
            pixels = [shades[value * SHADES // 255] for value in values]
        else:
            upper, lower = (ink[y * SIDE : (y + 1) * SIDE] for y in (2 * row, 2 * row + 1))
            sums = zip(upper[::2], upper[1::2], lower[::2], lower[1::2], strict=True)
            pixels = [shades[sum(four) * SHADES // 1020] for four in sums]
        if self.has_focus and self._pens is not None:
            size = self._across // STEPS
            column, place = self.sketch.place
            if row // size == place:
                pixels[column * size : (column + 1) * size] = [
                    self._pens[self.sketch.is_down]
                ] * size
        return pixels

    def _over(self, line: list[Segment], words: str) -> list[Segment]:
        """Return a blank line of the picture with words on it; the pen stays visible."""
        paper = self._shades[0]
        [[blank]] = half_blocks([[paper], [paper]], paper)
        style = self._style("muted") if self._style else Style()
        style += Style(bgcolor=RichColor.from_rgb(*paper))
        cells = [Segment(sign, piece.style) for piece in line for sign in piece.text]
        return [
            Segment(sign, style) if cell.style == blank.style else cell
            for sign, cell in zip(words.center(self._across), cells, strict=True)
        ]

    def _do(self, change: Callable[[], None]) -> None:
        """Change the sketch, repaint changed lines, and post a changed drawing."""
        sketch, was_blank = self.sketch, self._is_blank
        before, place = sketch.drawing, sketch.place
        state = sketch.can_undo, was_blank
        change()
        after = sketch.drawing
        if after is not before:
            self._is_blank = after.is_blank
        # The hint of an empty pad appears or disappears.
        hint = range(0 if self._is_blank == was_blank else SIDE)
        rows = {place[1] * SIDE // STEPS, sketch.place[1] * SIDE // STEPS, *hint}
        if after is not before:
            spans = [slice(row * SIDE, (row + 1) * SIDE) for row in range(SIDE)]
            rows |= {row for row, span in enumerate(spans) if before.ink[span] != after.ink[span]}
        lines = {row * self._across // SIDE // 2 for row in rows}
        regions = [Region(0, y, self.size.width, 1) for y in sorted(lines)]
        if self._write_title():
            # The border above the content has the title.
            regions.append(Region(-2, -1, self.size.width + 4, 1))
        self.refresh(*regions)
        if (sketch.can_undo, self._is_blank) != state:
            self.refresh_bindings()
        if after.ink != before.ink:
            self.post_message(self.Drawn(sketch.text))

    def _write_title(self) -> bool:
        """Write pen, eraser and brush into the title; return whether it changed."""
        sketch = self.sketch
        tool = "eraser" if sketch.is_erasing else "pen"
        title = [
            Cell("pad · "),
            Cell(f"{tool} {'down' if sketch.is_down else 'up'}", style="intervention bold"),
            Cell(f" · {BRUSHES[sketch.brush][0]}"),
        ]
        if title == self._title:
            return False
        self._title = title
        # Textual's private attribute: setting the public one would repaint the whole widget.
        self._border_title = content_of(title)
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim actions that have no effect yet."""
        match action:
            case "undo":
                return self.sketch.can_undo or None
            case "clear":
                return not self._is_blank or None
        return super().check_action(action, parameters)

    def action_toggle_pen(self) -> None:
        """Put the pen down, or lift it."""
        self._do(self.sketch.end if self.sketch.is_down else self.sketch.put_down)

    def action_move_pen(self, across: int, down: int) -> None:
        """Move the pen; while it is down, it draws."""
        self._do(partial(self.sketch.move, across, down))

    def action_change_brush(self, by: int) -> None:
        """Choose the next (1) or previous (-1) brush."""
        self._do(partial(self.sketch.change_brush, by))

    def action_toggle_eraser(self) -> None:
        """Switch between pen and eraser."""
        self._do(self.sketch.toggle_eraser)

    def action_undo(self) -> None:
        """Undo the last stroke or clear."""
        self._do(self.sketch.undo)

    def action_clear(self) -> None:
        """Clear the pad."""
        self._do(self.sketch.clear)

    def on_blur(self) -> None:
        """Lift the pen when the pad loses the focus."""
        self._do(self.sketch.end)

    def on_mouse_down(self, event: MouseDown) -> None:
        """Put the pen down where the mouse is."""
        point = self._point(event)
        if event.button in (DRAW_BUTTON, ERASE_BUTTON) and all(
            0 <= place < SIDE for place in point
        ):
            event.stop()
            self._drags = True
            self.capture_mouse()
            erases = True if event.button == ERASE_BUTTON else None
            self._do(partial(self.sketch.begin, point, erases=erases))

    def on_mouse_move(self, event: MouseMove) -> None:
        """Draw to the mouse."""
        if not self._drags:
            return
        event.stop()
        if event.button:
            self._do(partial(self.sketch.go_to, self._point(event)))
        else:
            self._release()  # the button was released outside the terminal

    def on_mouse_up(self, event: MouseUp) -> None:
        """Lift the pen."""
        if self._drags:
            event.stop()
            self._release()

    def on_hide(self) -> None:
        """Release the mouse when another view is shown."""
        if self._drags:
            self._release()

    def _release(self) -> None:
        self._drags = False
        self.release_mouse()
        self._do(self.sketch.end)

    def _point(self, event: MouseEvent) -> Point:
        """Return the mouse position on the drawing, or the center of the character."""
        x, y = event.pointer_x - self.gutter.left, event.pointer_y - self.gutter.top
        if x == int(x) and y == int(y):
            x, y = x + 0.5, y + 0.5
        size = SIDE / self._across
        return x * size, 2 * y * size
