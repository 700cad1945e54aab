"""Pictures in color in the window, and a picture in place of the drawing pad.

pytest tests/ui/test_color_pictures.py --snapshot-update
python -m tests.ui.png          # all of them as PNG, to look at
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Input

from tests.color_images import CLASS_NAMES, color_images
from tests.render.test_exhibit_lines import COLORS
from tests.ui.fakes import FakeEngine, InspectFirst, recording, until, wait_for_events, window
from tests.ui.test_inspect_screen import asked, footer, shown, view_text
from tests.ui.test_snapshots import MEDIUM, SIZES, SMALL, SnapCompare
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunStarted
from tui_trainer.protocol.exhibit import Exhibit, Picture, Pictures, Words
from tui_trainer.text.lines import line_width
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.inspect_screen import InspectScreen
from tui_trainer.ui.screens.picture_prompt import picture_at
from tui_trainer.ui.widgets.exhibit_painting import medium_of
from tui_trainer.ui.widgets.field_panel import image_pixels
from tui_trainer.ui.widgets.pad import Pad
from tui_trainer.ui.widgets.picture_pixels import averaged
from tui_trainer.ui.widgets.prompt_line import PromptLine

MODEL: list[Event] = [
    replace(event, channels=3, image_size=32) if isinstance(event, RunStarted) else event
    for event in recording("network")
]
THUMBNAILS = color_images(6, 22)
IMAGES = color_images(1, 32)


def picture(pixels: object, caption: str, **more: object) -> Picture:
    height, width, _ = pixels.shape  # type: ignore[attr-defined]
    return Picture(
        caption=caption,
        height=height,
        width=width,
        values=tuple(map(float, pixels.flatten())),  # type: ignore[attr-defined]
        low=0.0,
        high=255.0,
        channels=3,
        **more,  # type: ignore[arg-type]
    )


def kernel(number: int) -> Picture:
    """Return a kernel with an edge of a color and its opposite, and gray between them."""
    signs = [1.0 if (number >> channel) & 1 else -1.0 for channel in range(3)]
    rows = [[scale * sign for sign in signs] for scale in (1.0, 0.0, -1.0)]
    values = tuple(value for row in rows for _ in range(9) for _ in range(3) for value in row)
    return Picture(
        caption=str(number),
        height=9,
        width=9,
        values=values,
        low=-1.0,
        high=1.0,
        is_signed=True,
        channels=3,
    )


def views(question: Ask) -> Iterator[Exhibit]:
    choices = dict(question.choices)
    if question.name == "draw":
        path = str(choices.get("picture", ""))
        yield Exhibit(blocks=(Words(text=f"a picture: {path}" if path else "no pad"),))
        return
    whole = picture(IMAGES.pixels[0], CLASS_NAMES[0], frame=(4, 6, 9, 9))
    items = tuple(
        picture(pixels, f"#{number} true {CLASS_NAMES[number]}")
        for number, pixels in enumerate(THUMBNAILS.pixels)
    )
    yield Exhibit(
        blocks=(
            Pictures(caption="", items=(whole,)),
            Words(text="Predicted red square (61.3 %); true class red disc (20.1 %)."),
            Pictures(caption="kernels", items=tuple(map(kernel, range(1, 6)))),
            Pictures(caption="highest loss first", items=items),
        ),
        result="6 of 9 images are misclassified.",
    )


def color_window() -> tuple[MnistTui, FakeEngine]:
    return window(MODEL, kind=InspectFirst, views=views)


async def open_draw(pilot: Pilot[None], app: MnistTui) -> InspectScreen:
    await wait_for_events(pilot, app, MODEL)
    screen = await shown(pilot, app)
    screen.open("draw")
    return await shown(pilot, app)


async def test_images_in_color_have_no_pad() -> None:
    app, _ = color_window()
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await open_draw(pilot, app)

        assert "no pad" in view_text(screen)
        assert not screen.query_one(Pad).display
        assert "open a picture" in footer(app)


async def test_a_gray_run_keeps_the_pad() -> None:
    app, _ = window(recording("network"), kind=InspectFirst, views=views)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await open_draw(pilot, app)

        assert screen.query_one(Pad).display
        assert "open a picture" not in footer(app)
        await pilot.press("o")
        assert not screen.query_one(PromptLine).is_open


async def test_a_script_prepares_its_images_itself() -> None:
    watched = [
        replace(event, script="train.py") if isinstance(event, RunStarted) else event
        for event in MODEL
    ]
    app, _ = window(watched, kind=InspectFirst, views=views)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await open_draw(pilot, app)

        assert "open a picture" not in footer(app)
        await pilot.press("o")
        assert not screen.query_one(PromptLine).is_open


async def test_other_views_open_no_picture() -> None:
    app, _ = color_window()
    async with app.run_test(size=MEDIUM) as pilot:
        await wait_for_events(pilot, app, MODEL)
        screen = await shown(pilot, app, "o")

        assert not screen.query_one(PromptLine).is_open


async def test_a_typed_path_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"a picture")
    app, engine = color_window()
    async with app.run_test(size=SMALL) as pilot:
        screen = await open_draw(pilot, app)
        await pilot.press("o")
        prompt = screen.query_one(PromptLine)
        assert prompt.is_open
        line = prompt.query_one(Input)
        line.value = str(tmp_path / "dog.png")
        await pilot.press("enter")
        assert prompt.is_open  # there is no such file
        line.value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda _: "a picture" in view_text(screen), app)

        assert not prompt.is_open
        assert dict(asked(engine)[-1].choices)["picture"] == str(path)
        await pilot.press("o", "escape")
        assert not prompt.is_open
        assert prompt.query_one(Input).value == str(path)


@pytest.mark.parametrize("text", ["", "  ", "no/such/file", ".", "a\0b", "~nobody-here/a.png"])
def test_what_is_no_file_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        picture_at(text)


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_color(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    app, _ = color_window()

    async def before(pilot: Pilot[None]) -> None:
        await wait_for_events(pilot, app, MODEL)
        await shown(pilot, app)

    assert snap_compare(app, terminal_size=size, run_before=before)


def test_enlarged_in_color(snap_compare: SnapCompare) -> None:
    app, _ = color_window()

    async def before(pilot: Pilot[None]) -> None:
        await wait_for_events(pilot, app, MODEL)
        await shown(pilot, app)
        await pilot.press("z", "right", "right")
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=before)


def test_without_color(snap_compare: SnapCompare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, _ = color_window()

    async def before(pilot: Pilot[None]) -> None:
        await wait_for_events(pilot, app, MODEL)
        await shown(pilot, app)

    assert snap_compare(app, terminal_size=SMALL, run_before=before)


def test_a_wide_picture_in_color_is_averaged() -> None:
    pixels = color_images(1, 96).pixels[0].astype(float)
    small = averaged(picture(pixels, "", frame=(10, 11, 9, 9)), 5)

    assert (small.height, small.width, small.frame) == (20, 20, (2, 2, 2, 2))
    drawn = [small.values[start : start + 3] for start in range(0, len(small.values), 3)]
    assert drawn[21] == pytest.approx(pixels[5:10, 5:10].mean(axis=(0, 1)))
    assert drawn[-1] == pytest.approx(pixels[95:, 95:].mean(axis=(0, 1)))
    medium = medium_of(COLORS)
    (line, *_) = medium.draw(picture(pixels, ""), 50)
    assert line_width(line) == 48


def test_the_receptive_field_is_shown_on_an_image_in_color() -> None:
    pixels = color_images(1, 28).pixels[0]
    planes = tuple(int(value) for value in pixels.transpose(2, 0, 1).flatten())
    colors = {name: Color.parse("black") for name in ("background", "foreground")}

    drawn = image_pixels(planes, 28, 28, colors)
    assert drawn == [tuple(map(int, pixel)) for pixel in pixels.reshape(-1, 3)]
    grays = image_pixels(planes[: 28**2], 28, 28, colors)
    assert set(grays) == {(0, 0, 0)}
