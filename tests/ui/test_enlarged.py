"""Pictures as large as they fit: their pixels, and the screen that shows them."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from PIL import Image
from textual.widgets import Static

from tests.render.test_exhibit_lines import COLORS, MEDIUM, drawn
from tests.ui.exhibits import ADVICE, DIGIT, KERNEL, PICTURES, tries
from tests.ui.fakes import LearnFirst, recording, until, wait_for_events, window
from tui_trainer.protocol.exhibit import Picture, Pictures
from tui_trainer.render.picture_rows import pictures_lines
from tui_trainer.ui.base_app import BaseApp
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.picture_screen import HalfBlocks, PicturesScreen, pictures_in
from tui_trainer.ui.terminal.graphics_protocol import Display
from tui_trainer.ui.widgets.enlarged import Grid, enlarged, grid_for, row_image, rows_of
from tui_trainer.ui.widgets.half_blocks import half_blocks
from tui_trainer.ui.widgets.picture_pixels import inks_of

INKS = inks_of(COLORS)


def test_pixels_stay_pixels() -> None:
    kernel = enlarged(KERNEL, 100, 60, INKS)

    assert kernel.size == (60, 60)
    # As the exhibit paints them: blue above 0, orange below, red for no number at all.
    expected = {(0, 0): (128, 64, 0), (1, 0): (0, 0, 0), (0, 1): (255, 128, 0)}
    expected |= {(1, 1): (255, 0, 0), (2, 1): (0, 0, 255)}
    for (column, row), color in expected.items():
        square = kernel.crop((20 * column, 20 * row, 20 * column + 20, 20 * row + 20))
        assert square.getcolors() == [(400, color)]


def test_a_frame_is_drawn_around_what_it_marks() -> None:
    image = enlarged(DIGIT, 280, 280, INKS)

    assert image.size == (9 * 28 + 2, 9 * 28 + 2)
    counted = {color: count for count, color in image.getcolors(512) or []}
    assert counted[(0, 255, 0)] == 4 * (5 * 9 + 1)


def test_a_picture_in_color_keeps_its_colors() -> None:
    values = (255.0, 0.0, 0.0, 0.0, 255.0, 0.0, 0.0, 0.0, 255.0, math.nan, 0.0, 0.0)
    flag = Picture(caption="", height=2, width=2, values=values, low=0.0, high=255.0, channels=3)

    image = enlarged(flag, 2, 2, INKS)
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert rows_of(image) == [[red, green], [blue, INKS.none.rgb]]
    framed = enlarged(replace(flag, frame=(0, 0, 1, 1)), 4, 4, INKS)
    assert rows_of(framed)[1][1] == red


def test_a_picture_that_is_too_large_is_reduced() -> None:
    wide = Picture(
        caption="", height=4, width=400, values=tuple(map(float, range(1_600))), low=0, high=1_599
    )
    assert enlarged(wide, 100, 100, INKS).size == (100, 1)


def test_a_row_is_above_its_captions() -> None:
    grid = Grid(columns=2, rows=1, width=10, height=3, caption=1)
    image = row_image([KERNEL, KERNEL], grid, (10, 20), INKS)

    assert image.size == ((10 + 3 + 10) * 10, 60)
    first = image.crop((0, 0, 60, 60))
    assert first.tobytes() == enlarged(KERNEL, 100, 60, INKS).tobytes()
    assert image.crop((130, 0, 190, 60)).tobytes() == first.tobytes()
    assert image.crop((60, 0, 130, 60)).getcolors() == [(70 * 60, (0, 0, 0))]


def maps(count: int, side: int = 28) -> tuple[Picture, ...]:
    picture = replace(DIGIT, frame=None, height=side, width=side, values=(1.0,) * side**2)
    return tuple(replace(picture, caption=f"map {place}") for place in range(count))


@pytest.mark.parametrize("count", [1, 2, 5, 16, 32, 100])
@pytest.mark.parametrize("size", [(58, 14), (118, 38), (198, 53)])
@pytest.mark.parametrize("cell", [(1, 2), (10, 20)])
def test_pictures_fit_and_none_could_be_larger(
    count: int, size: tuple[int, int], cell: tuple[int, int]
) -> None:
    grid = grid_for(maps(count), *size, cell)

    def lines(rows: int) -> int:
        return rows * (grid.height + grid.caption + 1) - 1

    assert grid.columns * (grid.width + 3) - 3 <= size[0]
    assert lines(min(grid.rows, -(-count // grid.columns))) <= size[1]
    scale = min(grid.width * cell[0], grid.height * cell[1]) // 28
    if grid.count >= count:
        for columns in range(1, count + 1):
            rows = -(-count // columns)
            across = (size[0] - 3 * (columns - 1)) // columns * cell[0] // 28
            assert min(across, ((size[1] + 1) // rows - 2) * cell[1] // 28) <= scale


def test_one_picture_is_as_large_as_the_window() -> None:
    assert enlarged(maps(1)[0], 118 * 10, 37 * 20, INKS).size == (26 * 28, 26 * 28)
    assert grid_for(maps(1), 118, 38, (10, 20)) == Grid(1, 1, 118, 37, 1)


def test_half_blocks_of_an_image_are_those_of_the_exhibit() -> None:
    image = enlarged(replace(KERNEL, caption=""), 12, 12, INKS)

    lines = half_blocks(rows_of(image), INKS.ground.rgb)
    inline = drawn(pictures_lines(Pictures(caption="", items=(KERNEL,)), 74, MEDIUM))[1:7]
    for ours, theirs in zip(lines, inline, strict=True):
        assert ours == [segment for segment in theirs if "▀" in segment.text]


class Window(BaseApp):
    """Opens the pictures of an exhibit."""

    def __init__(self, blocks: tuple[Pictures, ...], shown: Display) -> None:
        super().__init__(theme="midnight")
        self._blocks, self._shown_as = blocks, shown

    def on_mount(self) -> None:
        self.push_screen(PicturesScreen("kernels", self._blocks, self._shown_as))


def static_text(app: BaseApp, name: str) -> str:
    return str(app.screen.query_one(name, Static).render())


async def test_the_screen_shows_captions_and_closes() -> None:
    app = Window((PICTURES,), Display())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, PicturesScreen)
        assert static_text(app, "#pictures-title") == f"kernels · {PICTURES.caption}"
        assert static_text(app, "#pictures-keys") == "esc closes · half blocks"
        captions = "\n".join(str(s.render()) for s in app.screen.query(".caption").results(Static))
        assert "a slope" in captions
        assert "a kernel of the first layer" in captions
        drawn = app.screen.query_one(HalfBlocks)
        assert sum("▀" in drawn.render_line(y).text for y in range(40)) >= 30
        await pilot.press("escape")
        assert not isinstance(app.screen, PicturesScreen)


async def test_pictures_that_do_not_fit_are_on_the_next_page() -> None:
    app = Window((Pictures(caption="maps", items=maps(16)),), Display())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        seen: list[str] = []
        while True:
            await pilot.pause()
            page = static_text(app, "#pictures-keys")
            caption = app.screen.query(".caption").results(Static)
            seen += [name for s in caption for name in re.findall(r"map \d+", str(s.render()))]
            number, count = map(int, re.findall(r"\d+", page))
            if number == count:
                break
            await pilot.press("right")
        assert seen == [f"map {place}" for place in range(16)]
        await pilot.press("right")
        assert static_text(app, "#pictures-keys") == page


@pytest.mark.slow
async def test_sixels_are_written_if_the_terminal_supports_them() -> None:
    app = Window((PICTURES,), Display("sixel", (10, 20)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.pause()
        assert static_text(app, "#pictures-keys") == "esc closes · sixel"
        update = app.screen._compositor.render_full_update()
        raw = update.render_segments(app.console)
        assert raw.count("\x1bP0;0;0q") == len(app.screen.query(".picture"))
        image = app.screen.query_one(".picture").image  # type: ignore[attr-defined]
        assert isinstance(image, Image.Image)
        size = f'"1;1;{image.width};{image.height}'
        assert size in raw


@pytest.mark.usefixtures("every_frame")
async def test_kitty_receives_a_picture_once_and_releases_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from textual_image.renderable import tgp

    sent: list[dict[str, object]] = []
    monkeypatch.setattr(tgp, "_send_tgp_message", lambda **message: sent.append(message))
    app = Window((PICTURES,), Display("kitty", (10, 20)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.pause()
        assert any(message.get("f") == 100 for message in sent)
        assert any(message.get("U") == 1 for message in sent)
        sent.clear()
        await pilot.press("escape")
        await pilot.pause()
    assert [message["a"] for message in sent] == ["d"]


def test_only_pictures_with_pixels_are_shown() -> None:
    empty = Picture(caption="", height=0, width=0, values=(), low=0, high=1)

    assert pictures_in((Pictures(caption="", items=(empty,)), ADVICE)) == []
    (left,) = pictures_in((Pictures(caption="", items=(empty, KERNEL)),))
    assert left.items == (KERNEL,)


def test_a_single_picture_is_merged_with_the_next_block() -> None:
    digit, layers = Pictures(caption="", items=(DIGIT,)), Pictures(caption="b", items=maps(3))
    groups = pictures_in((digit, ADVICE, layers, layers))

    assert [(group.caption, len(group.items)) for group in groups] == [("b", 4), ("b", 3)]


async def test_a_key_opens_the_pictures_of_an_experiment() -> None:
    app, _ = window(recording("network"), kind=LearnFirst, tries=tries)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, recording("network"))
        await until(pilot, lambda app: bool(app.screen.check_action("enlarge", ())), app)
        await pilot.press("z")
        await pilot.pause()
        assert isinstance(app.screen, PicturesScreen)
        assert PICTURES.caption in static_text(app, "#pictures-title")
        await pilot.press("z")
        assert isinstance(app.screen, LearnScreen)
