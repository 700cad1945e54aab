"""The receptive field of a feature: theoretical and measured on a digit, and effective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.binding import BindingType
from textual.color import Color
from textual.strip import Strip

from tui_trainer.protocol.answers import Answered, MeasuredField
from tui_trainer.protocol.class_names import class_name
from tui_trainer.protocol.layers import Box, LayerRow
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, columns, fit
from tui_trainer.ui.keys.keymap import FIELD_KEYS
from tui_trainer.ui.widgets.field_picture import agree, bounds, half_of, scaled, touched
from tui_trainer.ui.widgets.half_blocks import Drawn, Pixel, half_blocks, mixed, ramp
from tui_trainer.ui.widgets.painting import Painted, Styles, role_styles
from tui_trainer.ui.widgets.picture_pixels import framed

GAP = 3
"""Columns between the two pictures."""

CAPTION = 2
"""Lines below them."""

LEAST = 6
"""The minimum width of a picture in pixels."""

TINT = 0.45
"""The opacity of the tint of a measured pixel; the digit must stay visible."""

THEORY, MEASURED = "intervention", "validation"
"""The roles of the theoretical box, and of measured values."""


@dataclass(frozen=True, slots=True)
class FieldView:
    """The content of the panel.

    Attributes:
        row: The chosen layer, if any.
        place: Its index in the layer table.
        feature: Row and column in its feature map.
        image_size: Width of the image in pixels.
        class_names: The names of the classes; empty if they have only numbers.
        answer: The latest measurement of the engine, of any feature.
        note: A text in place of the pictures.
    """

    row: LayerRow | None = None
    place: int = 0
    feature: tuple[int, int] = (0, 0)
    image_size: int = 28
    class_names: tuple[str, ...] = ()
    answer: Answered | None = None
    note: str = ""

    @property
    def field(self) -> MeasuredField | None:
        """The measured field, if there is an answer."""
        content = self.answer.content if self.answer else None
        return content if isinstance(content, MeasuredField) else None

    @property
    def is_answered(self) -> bool:
        """Whether the answer is about the chosen feature."""
        f = self.field
        return f is not None and (f.place, f.row, f.column) == (self.place, *self.feature)

    @property
    def box(self) -> Box | None:
        """The theoretical receptive field in pixels; None if it is undefined."""
        return self.row.box(*self.feature) if self.row else None


class FieldPanel(Painted, can_focus=True):
    """Two pictures: the digit with the theoretical and measured field, and the effective field."""

    DEFAULT_CSS = """
    FieldPanel {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
        padding: 0 1;
    }
    FieldPanel:focus { border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*FIELD_KEYS]

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = "receptive field"
        self._view = FieldView()

    def show(self, view: FieldView) -> None:
        """Show the receptive field of a feature."""
        if view == self._view:
            return
        self._view = view
        self.border_title, self.border_subtitle = _titles(view)
        self._repaint()

    def _repaint(self) -> None:
        width, height = self.size
        if not width or not height:
            return
        style = role_styles(self)
        colors = {
            name: Color.parse(self.app.theme_variables[name])
            for name in ("background", "foreground", "panel", f"role-{THEORY}", f"role-{MEASURED}")
        }
        self._strips = [
            Strip(line).adjust_cell_length(width, style(""))
            for line in _lines(self._view, width, height, style, colors)
        ]
        self.refresh()


def _titles(view: FieldView) -> tuple[str, str]:
    """Return title and subtitle: the feature, and the digit that it was measured on."""
    title, subtitle = "receptive field", ""
    if view.row is not None and not view.note:
        height, width, _ = view.row.output_shape
        row, column = view.feature
        title += f" · {view.row.name} · feature {row},{column} of {height}×{width}"
    field = view.field
    if view.answer and field and view.is_answered and not view.note:
        step = fmt.count(view.answer.step)
        what = f"digit {field.digit}, a {field.label}"
        if view.class_names:
            what = f"image {field.digit}, {class_name(view.class_names, field.label)}"
        subtitle = f"{what} · step {step}"
    return title, subtitle


def _lines(
    view: FieldView, width: int, height: int, style: Styles, colors: dict[str, Color]
) -> Drawn:
    """Return all lines of the panel, with the pictures centered."""
    size = view.image_size
    # A margin of one pixel, for the box of a field that reaches the edge of the image.
    target = min(size, (width - GAP) // 2 - 2, 2 * (height - CAPTION) - 2)
    words = view.note or ("" if view.field else "waiting for the engine …")
    if view.row is None or view.field is None or words or target < LEAST:
        return _middle(words or "no room for the pictures", width, height, style)
    pictures = [draw(view, view.field, target, colors) for draw in (_digit, _effective)]
    across = target + 2
    margin = Segment(" " * max(0, (width - 2 * across - GAP) // 2), style(""))
    gap = Segment(" " * GAP, style(""))
    lines = [[margin, *left, gap, *right] for left, right in zip(*pictures, strict=True)]
    for left_cells, right_cells in zip(_theory(view), _effect(view), strict=True):
        left = _cells(left_cells, across, style)
        lines.append([margin, *left, gap, *_cells(right_cells, across, style)])
    return [[]] * max(0, (height - len(lines)) // 2) + lines


def _middle(words: str, width: int, height: int, style: Styles) -> Drawn:
    line = fmt.clip(words, width)
    blank = " " * ((width - columns(line)) // 2)
    return [*([[]] * ((height - 1) // 2)), [Segment(blank + line, style("muted"))]]


def _cells(cells: list[Cell], width: int, style: Styles) -> list[Segment]:
    """Return cells in exactly ``width`` columns."""
    kept = fit(cells, width)
    left = width - sum(columns(cell.text) for cell in kept)
    return [*(Segment(c.text, style(c.style)) for c in kept), Segment(" " * left, style(""))]


def _framed(view: FieldView, pixels: Sequence[Pixel], colors: dict[str, Color]) -> Drawn:
    """Return a square picture with a margin and the box of the receptive field."""
    side = math.isqrt(len(pixels))
    rows = [pixels[start : start + side] for start in range(0, len(pixels), side)]
    frame = touched(view.box, side / view.image_size).frame if view.box else None
    line = colors[f"role-{THEORY}"].rgb
    return half_blocks(framed(rows, frame, colors["panel"].rgb, line), colors["background"].rgb)


def _digit(view: FieldView, field: MeasuredField, target: int, colors: dict[str, Color]) -> Drawn:
    """Return the digit with tinted measured pixels."""
    size = view.image_size
    is_measured = field.measured if view.is_answered else (0,) * size * size
    tint = colors[f"role-{MEASURED}"]
    pixels = [
        mixed(pixel, tint, TINT) if is_tinted else pixel
        for pixel, is_tinted in zip(
            image_pixels(field.image, size, target, colors),
            scaled(is_measured, size, target, max),
            strict=True,
        )
    ]
    return _framed(view, pixels, colors)


def image_pixels(
    image: Sequence[int], size: int, target: int, colors: dict[str, Color]
) -> list[Pixel]:
    """Return the pixels of an image of one plane, or of three: red, green and blue."""
    planes = [
        scaled(image[start : start + size**2], size, target)
        for start in range(0, len(image), size**2)
    ]
    if len(planes) == 3:
        return list(zip(*planes, strict=True))
    grays = ramp(colors["background"], colors["foreground"])
    return [grays[gray] for gray in planes[0]]


def _effective(
    view: FieldView, field: MeasuredField, target: int, colors: dict[str, Color]
) -> Drawn:
    """Return the gradient, from 0 to its maximum."""
    size = view.image_size
    heat = ramp(colors["background"], colors[f"role-{MEASURED}"])
    effective = field.effective if view.is_answered else (0,) * size * size
    return _framed(view, [heat[level] for level in scaled(effective, size, target)], colors)


def _theory(view: FieldView) -> list[list[Cell]]:
    """Return the lines below the digit."""
    field = fmt.field(view.row.receptive_field if view.row else None)
    theory = [Cell("□ theory ", style="muted"), Cell(field, style=THEORY)]
    if view.box is not None:
        inside = touched(view.box.within(view.image_size, view.image_size)).size_text
        if inside != field:
            theory.append(Cell(f", on image {inside}", rank=1, style="muted"))
    if view.field is None or not view.is_answered:
        return [theory, [Cell("waiting for the engine …", style="muted")]]
    measured = bounds(view.field.measured, view.image_size)
    found = measured.size_text if measured else "nothing"
    cells = [Cell("■ measured ", style="muted"), Cell(found, style=MEASURED)]
    if view.box is not None:
        if agree(view.box, measured, view.image_size):
            cells += [Cell(" ✓", style="ok"), Cell(" equal", rank=1, style="ok")]
        else:
            cells += [Cell(" ✗", style="error"), Cell(" different", rank=1, style="error")]
    return [theory, cells]


def _effect(view: FieldView) -> list[list[Cell]]:
    """Return the lines below the effective field."""
    title = [Cell("■ effective field", style="muted")]
    if view.field is None or not view.is_answered:
        return [title, []]
    half, reached = half_of(view.field.effective)
    if not reached:
        return [title, [Cell("no gradient for this image", style="warning")]]
    words = f"half of it in {fmt.count(half)}"
    return [
        title,
        [Cell(words, style=MEASURED), Cell(f" of {fmt.plural(reached, 'pixel')}", rank=1)],
    ]
