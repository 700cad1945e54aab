"""The drawing pad of the Inspect screen, in a window on a fake engine.

pytest tests/ui/test_pad.py --snapshot-update
python -m tests.ui.png          # all of them as PNG, to look at
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from textual.content import Content
from textual.events import MouseDown, MouseMove, MouseUp
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from tests.ui.fakes import FakeEngine, recording, until, wait_for_events
from tests.ui.test_painting import ChartApp
from tests.ui.test_snapshots import LARGE, MEDIUM, SMALL, SnapCompare
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Command
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Picture, Pictures
from tui_trainer.protocol.inspection import NAMES
from tui_trainer.protocol.strokes import Drawing, drawing_of
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.help_screen import HelpScreen
from tui_trainer.ui.screens.inspect_screen import InspectScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.pad import Pad
from tui_trainer.ui.widgets.sketch import BLANK, BRUSHES, MAX_UNDO, SIDE, STEPS, Sketch
from tui_trainer.ui.widgets.view_list import ViewList

MODEL = recording("network")
DRAW = NAMES.index("draw")


class InspectFirst(MnistTui):
    """The app, opened at the Inspect screen."""

    DEFAULT_MODE = "inspect"


@dataclass
class InkEngine(FakeEngine):
    """Answers with the share of ink in each tenth of a drawing's columns."""

    def _answer(self, command: Command) -> Iterator[Event]:
        if isinstance(command, Ask):
            step = self.step.step if self.step else 0
            yield Answered(question=command, content=seen(command), step=step)
        else:
            yield from super()._answer(command)


def seen(question: Ask) -> Exhibit:
    text = str(dict(question.choices).get("drawing", ""))
    if question.name != "draw" or not text:
        return Exhibit(blocks=(), result=f"no drawing for {question.name}")
    drawing = drawing_of(text)
    tenths = [0] * 10
    for place, ink in enumerate(drawing.ink):
        tenths[place % drawing.width * 10 // drawing.width] += ink
    total = sum(tenths)
    most = tenths.index(max(tenths))
    shrunk = tuple(float(drawing.ink[2 * y * SIDE + 2 * x]) for y in range(28) for x in range(28))
    picture = Picture(
        caption="as the model sees it", height=28, width=28, values=shrunk, low=0, high=255
    )
    bars = tuple(
        Bar(label=str(n), share=x / total, number=f"{100 * x / total:5.1f} %", is_marked=n == most)
        for n, x in enumerate(tenths)
    )
    return Exhibit(
        blocks=(
            Pictures(caption="", items=(picture,)),
            Bars(caption="ink per tenth of the columns", bars=bars),
        ),
        result=f"Most ink is in tenth {most}.",
    )


def inspection() -> tuple[MnistTui, InkEngine]:
    engine = InkEngine(MODEL)
    app = InspectFirst(
        engine,
        RunConfig(),
        theme="midnight",
        governor=Governor(cpu_time=lambda: 0.0),
        runs=Path("no-runs-here"),
    )
    return app, engine


async def open_pad(pilot: Pilot[None], app: MnistTui) -> tuple[InspectScreen, Pad]:
    """Wait for the run, and open the pad."""
    await wait_for_events(pilot, app, MODEL)
    screen = app.screen
    assert isinstance(screen, InspectScreen)
    screen.open("draw")
    await still(pilot, app)
    return screen, screen.query_one(Pad)


async def still(pilot: Pilot[None], app: MnistTui) -> None:
    """Wait until no question is pending, or for a second: not all fake engines answer."""
    await pilot.pause(0.05)
    await until(pilot, lambda app: not app.live_run.inspection.is_waiting, app, tries=50)
    await pilot.pause()


def drawings(engine: InkEngine) -> list[str]:
    """Return the drawings that were asked about, nothing twice in a row."""
    lines = [
        str(dict(command.choices).get("drawing", ""))
        for command in engine.received
        if isinstance(command, Ask) and command.topic == "view/draw"
    ]
    return [text for place, text in enumerate(lines) if not place or text != lines[place - 1]]


def lines(pad: Pad) -> list[str]:
    return [pad.render_line(y).text for y in range(pad.size.height)]


async def drag(pad: Pad, pilot: Pilot[None], *cells: tuple[int, int], button: int = 1) -> None:
    """Drag the mouse from one character of the picture to the next."""
    region = pad.content_region
    for place, (x, y) in enumerate(cells):
        at = {"x": region.x + x, "y": region.y + y}
        kind = MouseMove if place else MouseDown
        _mouse(pilot, kind, button=button, **at)
        await pilot.pause()  # the mouse is captured by then, wherever it goes
    _mouse(pilot, MouseUp, button=button, **at)
    await pilot.pause()


def _mouse(
    pilot: Pilot[None],
    kind: type[MouseDown | MouseMove | MouseUp],
    *,
    x: float,
    y: float,
    button: int,
) -> None:
    screen = pilot.app.screen
    event = kind(screen, x, y, 0, 0, button, False, False, False, screen_x=x, screen_y=y)
    screen._forward_event(event)


def focused(app: MnistTui) -> Widget | None:
    return app.screen.focused


def shown(app: MnistTui) -> str:
    return "\n".join(app.screen.query_one(ExhibitPanel).lines())


def ink(drawing: Drawing) -> int:
    return sum(drawing.ink)


def test_a_line_has_no_gaps_between_distant_mouse_events() -> None:
    coarse, fine = Sketch(), Sketch()
    for sketch, points in ((coarse, (5, 45)), (fine, range(5, 46, 2))):
        sketch.begin((points[0], 20.0))
        for x in points[1:]:
            sketch.go_to((float(x), 20.0))
        sketch.end()
    assert coarse.drawing == fine.drawing
    assert all(coarse.drawing.ink[20 * SIDE + x] == 255 for x in range(5, 45))
    assert coarse.place == (22, 10)


def test_undo_takes_back_one_stroke_or_clear_at_a_time() -> None:
    sketch = Sketch()
    states = [sketch.drawing]
    for y in (10.0, 30.0):
        sketch.begin((8.0, y))
        sketch.go_to((40.0, y))
        sketch.go_to((40.0, y + 8))
        sketch.end()
        states.append(sketch.drawing)
    sketch.clear()
    assert sketch.text == ""
    sketch.clear()
    for state in reversed(states):
        assert sketch.can_undo
        sketch.undo()
        assert sketch.drawing == state
    assert not sketch.can_undo
    sketch.undo()
    assert sketch.drawing == BLANK


def test_undo_takes_back_a_current_stroke_and_skips_empty_ones() -> None:
    sketch = Sketch()
    sketch.put_down()
    sketch.move(3, 0)
    sketch.undo()
    assert (sketch.is_down, sketch.text, sketch.can_undo) == (False, "", False)
    sketch.toggle_eraser()
    sketch.put_down()
    sketch.end()
    assert not sketch.can_undo
    sketch.toggle_eraser()
    for place in range(MAX_UNDO + 9):
        sketch.begin((place / 2, place / 2))
        sketch.end()
    assert len(sketch._before) == MAX_UNDO


def test_the_eraser_erases_even_in_the_middle_of_a_stroke() -> None:
    sketch = Sketch()
    sketch.put_down()
    sketch.move(0, 5)
    whole = sketch.drawing
    sketch.toggle_eraser()
    assert sketch.is_erasing
    for _ in range(5):
        sketch.move(0, -1)
    sketch.end()
    assert ink(sketch.drawing) == 0 < ink(whole)
    sketch.begin((20.0, 20.0), erases=False)
    assert not sketch.is_erasing
    sketch.end()
    assert sketch.is_erasing


def test_brushes_grow_thicker_and_the_pen_stays_on_the_pad() -> None:
    sketch = Sketch()
    sketch.change_brush(-1)
    inks = []
    for _ in BRUSHES:
        sketch.clear()
        sketch.begin((5.0, 25.0))
        sketch.go_to((45.0, 25.0))
        sketch.end()
        inks.append(ink(sketch.drawing) / 255 / 40)
        sketch.change_brush(1)
    assert inks == pytest.approx([2 * radius for _, radius in BRUSHES], rel=0.2)
    assert BRUSHES[sketch.brush][0] == "thin"
    for _ in range(STEPS):
        sketch.move(-1, 1)
    assert sketch.place == (0, STEPS - 1)
    sketch.begin((-9.0, 500.0))
    assert sketch.place == (0, STEPS - 1)


async def test_the_mouse_draws_and_the_model_predicts_it() -> None:
    app, engine = inspection()
    async with app.run_test(size=(80, 24)) as pilot:
        _, pad = await open_pad(pilot, app)
        assert "draw a digit" in "".join(lines(pad))
        assert drawings(engine) == [""]
        await drag(pad, pilot, (4, 3), (20, 3), (20, 11))
        await still(pilot, app)
        drawing = drawing_of(drawings(engine)[-1])
        assert drawing == pad.sketch.drawing
        # From the center of a character to that of the next: two pixels of the drawing.
        assert all(drawing.ink[14 * SIDE + x] == 255 for x in range(9, 41))
        assert all(drawing.ink[y * SIDE + 41] == 255 for y in range(14, 46))
        assert "Most ink is in tenth 7." in shown(app)
        assert "draw a digit" not in "".join(lines(pad))
        before = len(drawings(engine))
        await drag(pad, pilot, (12, 3), (30, 3), button=3)
        await still(pilot, app)
        assert len(drawings(engine)) > before
        assert not any(pad.sketch.drawing.ink[14 * SIDE + 26 : 15 * SIDE])
        assert focused(app) is pad


async def test_pixel_mice_draw_finer_and_a_button_released_outside_ends_the_stroke() -> None:
    app, _ = inspection()
    async with app.run_test(size=(120, 40)) as pilot:
        _, pad = await open_pad(pilot, app)
        left, top = pad.content_region.offset
        at = {"x": left + 10.25, "y": top + 10.75}
        _mouse(pilot, MouseDown, button=1, **at)
        await pilot.pause()
        assert pad.sketch._pen == (10.25, 21.5)
        _mouse(pilot, MouseMove, button=0, x=left + 30, y=top + 3)
        await pilot.pause()
        assert not pad.sketch.is_down
        assert app.mouse_captured is None
        was = pad.sketch.drawing
        _mouse(pilot, MouseMove, button=1, x=left + 30, y=top + 3)
        # Nothing starts next to the picture.
        _mouse(pilot, MouseDown, button=1, x=left + 30, y=top + 30)
        await pilot.pause()
        assert pad.sketch.drawing is was
        assert not pad.sketch.is_down


@pytest.mark.parametrize("size", [SMALL, pytest.param(MEDIUM, marks=pytest.mark.slow)])
async def test_the_keys_draw_the_same_whatever_the_window(size: tuple[int, int]) -> None:
    app, engine = inspection()
    async with app.run_test(size=size) as pilot:
        _, pad = await open_pad(pilot, app)
        await pilot.press("u", "up", "left", "w", "space", "down", "end", "right", "pageup")
        assert pad.sketch.is_down
        assert Content.from_markup(pad.border_title or "").plain == "pad · pen down · thick"
        await pilot.press("space", "home", "left_square_bracket", "left_square_bracket")
        assert not pad.sketch.is_down
        await still(pilot, app)
        expected = BLANK.stroke([(27, 27), (27, 29), (25, 31), (27, 31), (29, 29)], BRUSHES[2][1])
        assert drawing_of(drawings(engine)[-1]) == expected
        assert pad.sketch.place == (13, 13)
        await pilot.press("e", "space", "down", "space", "right_square_bracket", "e", "u", "u")
        await still(pilot, app)
        assert drawings(engine)[-1] == ""
        # None of these keys has acted on the run.
        assert {type(command) for command in engine.received} == {Ask}


@pytest.mark.slow
async def test_the_drawing_survives_other_views_modes_windows_and_runs() -> None:
    app, engine = inspection()
    async with app.run_test(size=(120, 40)) as pilot:
        _, pad = await open_pad(pilot, app)
        await drag(pad, pilot, (10, 5), (40, 20))
        await still(pilot, app)
        text = pad.sketch.text
        await pilot.press("n")
        assert not pad.display
        assert isinstance(focused(app), ExhibitPanel)
        await pilot.press("1", "3", "b")
        await still(pilot, app)
        assert drawings(engine)[-1] == pad.sketch.text == text
        assert focused(app) is pad
        small = [sum(map(ord, line)) for line in lines(pad)]
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert len(small) != len(lines(pad))
        assert pad.sketch.text == text
        engine.received.clear()
        app.begin_run(RunConfig())
        await wait_for_events(pilot, app, MODEL)
        await still(pilot, app)
        assert drawings(engine)[-1] == text
        assert "Most ink" in shown(app)
        # The controls are reset, the drawing is not.
        await pilot.press("tab", "backspace")
        await still(pilot, app)
        assert drawings(engine)[-1] == text
        await pilot.press("tab", "delete")
        await still(pilot, app)
        assert drawings(engine)[-1] == ""
        assert "no drawing for draw" in shown(app)


@pytest.mark.slow
async def test_the_pad_gets_the_focus_if_the_list_has_no_room_and_returns_it() -> None:
    app, _ = inspection()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        screen = app.screen
        assert isinstance(screen, InspectScreen)
        views, pad = screen.query_one(ViewList), screen.query_one(Pad)
        views.focus()
        screen.open(NAMES[DRAW - 1])
        await pilot.press("down")
        await pilot.pause()
        assert focused(app) is pad
        assert not views.display
        await pilot.press("tab")
        assert isinstance(focused(app), ExhibitPanel)
        await pilot.press("tab", "n")
        await pilot.pause()
        assert focused(app) is views
        assert views.display
        await pilot.resize_terminal(200, 55)
        await pilot.press("up")
        await pilot.pause()
        # There is room for both: the list keeps its keys until the pad is asked for.
        assert focused(app) is views
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert focused(app) is pad
        await pilot.resize_terminal(80, 24)
        await pilot.press("v")
        assert focused(app) is views
        assert not pad.display
        await pilot.press("up", "down", "enter")
        await pilot.pause()
        assert focused(app) is pad
        assert screen.query_one(ExhibitPanel).display


async def test_the_keys_of_the_window_still_work_and_lift_the_pen() -> None:
    app, _ = inspection()
    async with app.run_test(size=(80, 24)) as pilot:
        _, pad = await open_pad(pilot, app)
        await pilot.press("space", "down", "tab")
        await pilot.pause()
        assert isinstance(focused(app), ExhibitPanel)
        assert not pad.sketch.is_down
        await pilot.press("tab", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape", "1")
        assert isinstance(app.screen, TrainScreen)
        await pilot.press("3", "q")
        assert isinstance(app.screen, ConfirmScreen)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.sampled(2)
async def test_the_footer_is_complete(width: int) -> None:
    app, _ = inspection()
    async with app.run_test(size=(width, 16)) as pilot:
        screen, pad = await open_pad(pilot, app)
        footer = screen.query_one(KeyFooter)
        line = "".join(piece.text for piece in footer.pieces).rstrip()
        assert 40 < len(line) <= width
        assert {"toggle_pen", "move_view(1)", "quit"} <= {p.action for p in footer.pieces}
        # The smallest window holds the whole picture all the same.
        assert pad.size == (28, 14)


async def test_only_the_lines_of_a_stroke_are_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pad = Pad(id="pad")
    async with ChartApp(pad).run_test(size=(60, 20)) as pilot:
        pad.focus()
        await pilot.press("space", "up")
        await pilot.pause()
        before = [pad.render_line(y) for y in range(pad.size.height)]
        asked: list[tuple[Region, ...]] = []
        monkeypatch.setattr(pad, "refresh", lambda *regions, **_: asked.append(regions))
        await pilot.press("up")
        after = [pad.render_line(y) for y in range(pad.size.height)]
        monkeypatch.undo()
        (regions,) = asked
    differ = {y for y in range(len(after)) if after[y] != before[y]}
    assert differ <= {region.y for region in regions}
    assert 0 < len(differ) <= len(regions) <= 5


THREE = (
    *((18, 16), (21, 11), (27, 9), (33, 10), (36, 15), (34, 21), (28, 25)),
    *((34, 28), (38, 34), (36, 41), (30, 45), (23, 45), (17, 41)),
)


def _draws_three(app: MnistTui) -> bool:
    """Draw a digit once the pad is mounted; return whether there is an answer."""
    pad = app.screen.query_one(Pad)
    if not isinstance(app.screen, InspectScreen) or not pad.size.width:
        return False
    sketch = pad.sketch
    if sketch.text and not sketch.is_down:
        return "Most ink" in shown(app)
    pad._do(lambda: sketch.begin(THREE[0]))
    for point in THREE:
        pad._do(partial(sketch.go_to, point))
    pad._do(sketch.end)
    return False


@pytest.mark.parametrize(
    ("size", "is_drawn"),
    [
        pytest.param(SMALL, False, id="80x24-blank"),
        pytest.param(SMALL, True, id="80x24-drawn"),
        pytest.param(MEDIUM, True, id="120x40-drawn", marks=pytest.mark.slow),
        pytest.param(LARGE, True, id="200x55-drawn", marks=pytest.mark.slow),
    ],
)
def test_pad(snap_compare: SnapCompare, size: tuple[int, int], is_drawn: bool) -> None:
    app, _ = inspection()

    async def before(pilot: Pilot[None]) -> None:
        await open_pad(pilot, app)
        if is_drawn:
            await until(pilot, _draws_three, app)
            await pilot.press("left", "up")
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=before)
