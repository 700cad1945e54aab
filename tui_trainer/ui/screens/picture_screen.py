"""The pictures of an exhibit, as large as the window allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from tui_trainer.protocol.exhibit import Block, Picture, Pictures
from tui_trainer.text.fmt import columns
from tui_trainer.ui.terminal.graphics_protocol import Display, display, picture_widget
from tui_trainer.ui.widgets.enlarged import (
    BLANK,
    GAP,
    Cell,
    Grid,
    folded,
    grid_for,
    row_image,
    rows_of,
)
from tui_trainer.ui.widgets.half_blocks import Drawn, half_blocks
from tui_trainer.ui.widgets.picture_pixels import Inks, inks_of

PROTOCOL_NAMES = {"blocks": "half blocks", "kitty": "kitty graphics", "sixel": "sixel"}


@dataclass(frozen=True, slots=True)
class Page:
    """Pictures that fit the screen at once: their common caption, and their grid."""

    caption: str
    pictures: tuple[Picture, ...]
    grid: Grid


def pictures_in(blocks: Sequence[Block]) -> list[Pictures]:
    """Return the pictures of an exhibit's blocks, without empty ones.

    A single picture is merged with those of the next block: a digit with its feature maps.
    """
    found: list[Pictures] = []
    for block in blocks:
        items = block.items if isinstance(block, Pictures) else ()
        items = tuple(picture for picture in items if picture.values)
        if not isinstance(block, Pictures) or not items:
            continue
        caption = block.caption
        if found and len(found[-1].items) == 1:
            alone = found.pop()
            items = (*alone.items, *items)
            caption = " · ".join(filter(None, (alone.caption, caption)))
        found.append(Pictures(caption=caption, items=items))
    return found


def pages_of(groups: Sequence[Pictures], size: Size, cell: Cell) -> list[Page]:
    """Return the pages: the pictures of a block as large as possible, on one page if they fit."""
    pages = []
    for group in groups:
        grid = grid_for(group.items, *size, cell)
        for first in range(0, len(group.items), grid.count):
            pages.append(Page(group.caption, group.items[first : first + grid.count], grid))
    return pages


class HalfBlocks(Widget):
    """An image in half blocks, one pixel per column."""

    def __init__(self, lines: Drawn) -> None:
        super().__init__()
        self._lines = [Strip(line) for line in lines]

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        if y < len(self._lines):
            return self._lines[y].adjust_cell_length(self.size.width, self.rich_style)
        return Strip.blank(self.size.width, self.rich_style)


class PicturesScreen(ModalScreen[None]):
    """Shows pictures, on several pages if they do not fit on one."""

    DEFAULT_CSS = """
    PicturesScreen { background: $background; }
    PicturesScreen > Vertical { height: 1fr; padding: 0 1; }
    PicturesScreen > .line { height: 1; padding: 0 1; }
    PicturesScreen > #pictures-title { color: $role-title; text-style: bold; }
    PicturesScreen > #pictures-keys { color: $role-muted; }
    PicturesScreen .caption { color: $role-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "close"),
        Binding("z", "close", "close", id="window.enlarge"),
        Binding("right,down,n,pagedown,space", "turn(1)", show=False),
        Binding("left,up,b,pageup", "turn(-1)", show=False),
    ]

    def __init__(self, title: str, blocks: Sequence[Block], shown: Display | None = None) -> None:
        super().__init__()
        self._heading = title
        self._groups = pictures_in(blocks)
        self._shown_as = shown or display()
        self._pages: list[Page] = []
        self._page = 0

    def compose(self) -> ComposeResult:
        """The title, the pictures and the keys."""
        yield Static(classes="line", id="pictures-title", markup=False)
        yield Vertical(id="pictures")
        yield Static(classes="line", id="pictures-keys", markup=False)

    def on_mount(self) -> None:
        """Repaint when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._lay_out())

    def on_resize(self) -> None:
        """Start again at the first page in the new size."""
        self._page = 0
        self.call_after_refresh(self._lay_out)

    async def _lay_out(self) -> None:
        box = self.query_one("#pictures", Vertical)
        size = box.content_region.size
        if not self._groups or size.width <= 0 or size.height <= 0:
            return
        self._pages = pages_of(self._groups, size, self._shown_as.cell)
        page = self._pages[self._page]
        inks, columns = inks_of(self.app.theme_variables), page.grid.columns
        widgets: list[Widget] = []
        for at in range(0, len(page.pictures), columns):
            row = page.pictures[at : at + columns]
            widgets += [self._image(row, page.grid, inks), self._caption(row, page.grid)]
        # In one batch: sending a picture to the terminal is slow.
        with self.app.batch_update():
            self._release_images()
            await box.remove_children()
            await box.mount(*widgets)
            self._show_labels(page)

    def _image(self, row: Sequence[Picture], grid: Grid, inks: Inks) -> Widget:
        image = row_image(row, grid, self._shown_as.cell, inks)
        if self._shown_as.protocol == "blocks":
            widget: Widget = HalfBlocks(half_blocks(rows_of(image), inks.ground.rgb))
        else:
            widget = picture_widget(image, self._shown_as)
        widget.styles.width = image.width // self._shown_as.cell[0]
        widget.styles.height = grid.height
        widget.add_class("picture")
        return widget

    def _caption(self, row: Sequence[Picture], grid: Grid) -> Static:
        wrapped = [folded(picture.caption, grid.width) for picture in row]
        lines = []
        for number in range(grid.caption):
            pieces = [text[number] if number < len(text) else "" for text in wrapped]
            lines.append(
                (" " * GAP).join(piece + " " * (grid.width - columns(piece)) for piece in pieces)
            )
        caption = Static("\n".join(line.rstrip() for line in lines), markup=False)
        caption.add_class("caption")
        caption.styles.height = grid.caption + BLANK
        return caption

    def _show_labels(self, page: Page) -> None:
        words = " · ".join(filter(None, (self._heading, page.caption)))
        self.query_one("#pictures-title", Static).update(words)
        keys = f"esc closes · {PROTOCOL_NAMES[self._shown_as.protocol]}"
        if len(self._pages) > 1:
            keys = f"page {self._page + 1} of {len(self._pages)}: ← → to turn · {keys}"
        self.query_one("#pictures-keys", Static).update(keys)

    async def action_turn(self, by: int) -> None:
        """Show the next (1) or previous (-1) page."""
        if 0 <= self._page + by < len(self._pages):
            self._page += by
            await self._lay_out()

    def _release_images(self) -> None:
        """Make the terminal release its pictures."""
        for widget in self.query(".picture"):
            if hasattr(widget, "image"):
                widget.image = None

    def action_close(self) -> None:
        """Close the pictures."""
        self._release_images()
        self.dismiss()
