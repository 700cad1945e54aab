"""The keys and the mouse of a chart."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.ui.fakes import recording, wait_for_events, window
from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.render.plots import Line, Mark, Scale
from tui_trainer.text.fmt import Cell, columns
from tui_trainer.ui.app import ReplayApp
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.run_curves import ChartContent, LegendRow
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.theming.themes import available
from tui_trainer.ui.widgets.chart import Chart, legend_lines

PAUSED = recording("paused")
SIZE = (80, 24)
END = 10.0
X = [END * (i + 1) / 200 for i in range(200)]


def content(view: ChartView) -> ChartContent:
    factor = {"epoch": 1, "step": 100, "images": 1_000, "seconds": 2}[view.x]
    line = Line([factor * x for x in X], [1 / x for x in X], "train")
    marks = (Mark(factor * END / 2, "intervention", name="lr 0.1 → 0.05"),)
    place = "" if view.cursor is None else f"  at {view.cursor:.2f}"
    return ChartContent(factor * END, lines=(line,), marks=marks, legend=(Cell(place),))


class ChartApp(App[None]):
    """One chart in a theme of ours."""

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        for theme in available()[0].values():
            self.register_theme(theme)
        self.theme = "midnight"
        self.chart = chart

    def compose(self) -> ComposeResult:
        yield self.chart


def text(chart: Chart) -> str:
    return "\n".join(chart.render_line(y).text for y in range(chart.size.height))


async def shown(pilot: Pilot[None], chart: Chart) -> None:
    chart.show(content)
    chart.focus()
    await pilot.pause()


async def test_the_arrow_keys_read_values_and_zoom() -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    async with ChartApp(chart).run_test(size=SIZE) as pilot:
        await shown(pilot, chart)
        await pilot.press("right")
        assert chart.view.cursor == END  # the latest value comes first
        await pilot.press("left", "left")
        assert chart.view.cursor is not None
        assert 9.5 < chart.view.cursor < END
        assert "│" in text(chart)
        assert "loss  at 9." in str(chart.border_title)
        await pilot.press("home")
        assert chart.view.cursor == 0
        await pilot.press("up", "up")
        assert chart.view.window == (0.0, 2.5)
        assert "×4" in str(chart.border_subtitle)
        await pilot.press("pagedown")
        assert chart.view.window == (1.25, 3.75)
        await pilot.press("down")
        assert chart.view.range(END)[1] - chart.view.range(END)[0] == 5
        await pilot.press("w")
        assert chart.view.window is None


async def test_a_letter_changes_an_axis_or_the_smoothing() -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    async with ChartApp(chart).run_test(size=SIZE) as pilot:
        await shown(pilot, chart)
        await pilot.press("end", "up", "y", "m")
        assert (chart.view.y, chart.view.smoothing) == ("linear", "strong")
        assert "linear · smooth · ×2" in str(chart.border_subtitle)
        await pilot.press("y", "m", "m")
        assert (chart.view.y, chart.view.smoothing) == (None, "light")
        await pilot.press("h")
        # The zoom and the cursor stay at their places.
        assert chart.view == ChartView("step", None, "light", (500.0, 1_000.0), 1_000.0)
        await pilot.press("h", "h", "h")
        assert chart.view == ChartView("epoch", None, "light", (5.0, 10.0), 10.0)


async def test_an_accuracy_has_three_scales() -> None:
    chart = Chart("accuracy %", Scale("nines", is_percent=True), id="accuracy")
    async with ChartApp(chart).run_test(size=SIZE) as pilot:
        await shown(pilot, chart)
        seen = []
        for _ in range(3):
            await pilot.press("y")
            seen.append(chart.view.y)
        assert seen == ["linear", "log", None]


async def test_escape_leaves_step_by_step_and_enter_shows_one_chart() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        chart = app.screen.query_one("#loss", Chart)
        await pilot.press("tab", "enter", "left")
        await pilot.pause(0.1)
        assert app.screen.maximized is chart
        assert chart.size.width > 110
        assert app.screen.focused is chart
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert app.screen.maximized is None
        assert chart.size.width < 70
        assert chart.view.cursor is not None
        await pilot.press("escape")
        assert chart.view.cursor is None
        assert app.screen.focused is chart
        await pilot.press("escape")
        assert app.screen.focused is None


async def test_without_focus_the_keys_belong_to_the_run() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("m", "h", "w", "y", "left", "up")
        chart = app.screen.query_one("#loss", Chart)
        assert chart.view == ChartView()
        await pilot.press("tab", "h", "plus")
        assert chart.view.x == "step"
        await pilot.pause(0.1)
        assert isinstance(engine.received[-1], commands.SetBaseLr)


async def test_charts_of_a_run_share_x_axis_zoom_and_cursor() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("tab", "end", "up", "h", "m", "y")
        loss, accuracy = (app.screen.query_one(f"#{name}", Chart) for name in ("loss", "accuracy"))
        assert accuracy.view.x == loss.view.x == "step"
        assert accuracy.view.window == loss.view.window
        assert accuracy.view.cursor == loss.view.cursor
        assert (loss.view.y, loss.view.smoothing) == ("linear", "strong")
        assert (accuracy.view.y, accuracy.view.smoothing) == (None, "light")
        assert "step" in str(accuracy.border_title)


async def test_the_next_run_keeps_the_view() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("tab", "h", "m")
        app.begin_run(RunConfig())
        await wait_for_events(pilot, app, PAUSED)
        chart = app.screen.query_one("#loss", Chart)
        assert (chart.view.x, chart.view.smoothing) == ("step", "strong")
        assert chart.border_subtitle == "steps · smooth"


async def test_a_focused_chart_has_the_arrow_keys_of_a_replay() -> None:
    run = RecordedRun("a-run", RunConfig(), PAUSED)
    run.is_paused = True
    app = ReplayApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("end")
        position = run.position
        await pilot.press("tab", "left", "left")
        chart = app.screen.query_one("#loss", Chart)
        assert run.position == position
        assert chart.view.cursor is not None
        await pilot.press("escape", "escape")
        await pilot.pause()
        await pilot.press("left")
        await pilot.pause()
        assert run.position < position


async def test_the_mouse_zooms_pans_and_reads() -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    async with ChartApp(chart).run_test(size=SIZE) as pilot:
        await shown(pilot, chart)
        await pilot.click(Chart, offset=(40, 10))
        first = chart.view.cursor
        assert first is not None
        assert 4 < first < 6
        await pilot.mouse_down(Chart, offset=(40, 10))
        await pilot.hover(Chart, offset=(50, 10))
        await pilot.mouse_up(Chart, offset=(50, 10))
        assert chart.view.window is None  # nothing to pan
        await pilot.press("up")
        before = chart.view.range(END)
        await pilot.mouse_down(Chart, offset=(40, 10))
        await pilot.hover(Chart, offset=(50, 10))
        await pilot.mouse_up(Chart, offset=(50, 10))
        after = chart.view.range(END)
        assert after[0] < before[0]
        assert after[1] - after[0] == pytest.approx(before[1] - before[0])
        assert chart.view.cursor == first
        await pilot.click(Chart, offset=(40, 10), times=2)
        await pilot.pause()
        assert chart.screen.maximized is chart


async def test_a_mark_is_named_at_the_cursor() -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    async with ChartApp(chart).run_test(size=SIZE) as pilot:
        await shown(pilot, chart)
        assert "lr 0.1" not in text(chart)
        chart.set_view(ChartView(cursor=END / 2))
        assert "▼ lr 0.1 → 0.05" in text(chart)


ROWS = tuple(
    LegendRow(f"a-run-with-a-long-name-{place}", "●", "run-1", f"99.{place}") for place in range(9)
)


@pytest.mark.parametrize("size", [(20, 4), (80, 24), (120, 40)])
async def test_the_legend_of_several_runs_fits(size: tuple[int, int]) -> None:
    chart = Chart("validation accuracy %", Scale("nines"), id="overlay")
    async with ChartApp(chart).run_test(size=size) as pilot:
        chart.show(lambda view: ChartContent(x_max=1.0, rows=ROWS))
        await pilot.pause()
        lines = text(chart).splitlines()
        assert len(lines) == chart.size.height
        assert all(columns(line) == chart.size.width for line in lines)
        if size[0] >= 80:
            assert "a-run-with-a-long-name-0  99.0" in "\n".join(lines)
        if size == (120, 40):
            assert "99.8" in "\n".join(lines)


def test_a_short_legend_counts_the_runs_that_it_omits() -> None:
    lines = ["".join(part.text for part in row) for row in legend_lines(ROWS, 24, 4)]
    assert len(lines) == 4
    assert lines[0] == "● a-run-with-a-lo…  99.0"
    assert lines[-1] == "… and 6 more"
    assert legend_lines((), 24, 4) == []
    assert legend_lines(ROWS, 24, 0) == []
