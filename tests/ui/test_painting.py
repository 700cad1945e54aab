"""What is painted: as little as has changed, and nothing that nobody can see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from tui_trainer.render.plots import Line, Scale
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.run_curves import ChartContent
from tui_trainer.ui.theming.themes import available
from tui_trainer.ui.widgets.cell_line import CellLine
from tui_trainer.ui.widgets.chart import Chart

ROOM = (60, 20)


class ChartApp(App[None]):
    """One widget in a theme of ours."""

    AUTO_FOCUS = None

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        for theme in available()[0].values():
            self.register_theme(theme)
        self.theme = "midnight"
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Widget], list[tuple[Region, ...]]]:
    """Return the regions that a widget repaints; no regions mean all of it."""

    def spy(widget: Widget) -> list[tuple[Region, ...]]:
        asked: list[tuple[Region, ...]] = []
        refresh = widget.refresh

        def noted(*regions: Region, **more: bool) -> Widget:
            asked.append(regions)
            return refresh(*regions, **more)

        monkeypatch.setattr(widget, "refresh", noted)
        return asked

    return spy


def content(last: float, *, figure: str = "0.5") -> Callable[[ChartView], ChartContent]:
    curve = Line([1.0, 2.0, 3.0], [2.0, 1.0, last], "train", [2.0, 1.0, last], [2.0, 1.0, last])
    return lambda _: ChartContent(
        x_max=4, lines=(curve,), legend=(Cell(f" {figure}", style="train"),)
    )


async def test_a_chart_paints_only_the_rows_that_differ(
    painted: Callable[[Widget], list[tuple[Region, ...]]],
) -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    async with ChartApp(chart).run_test(size=ROOM) as pilot:
        chart.show(content(0.5))
        await pilot.pause()
        before = [chart.render_line(y).text for y in range(chart.size.height)]
        asked = painted(chart)
        chart.show(content(0.6))
        await pilot.pause()
        after = [chart.render_line(y).text for y in range(chart.size.height)]
        differ = [y for y in range(len(after)) if after[y] != before[y]]
    (regions,) = asked
    assert 0 < len(differ) < len(after)
    assert [region.y for region in regions] == differ


async def test_the_same_content_paints_nothing_and_a_new_figure_the_title(
    painted: Callable[[Widget], list[tuple[Region, ...]]],
) -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    app = ChartApp(chart)
    async with app.run_test(size=ROOM) as pilot:
        chart.show(content(0.5))
        await pilot.pause()
        asked = painted(chart)
        chart.show(content(0.5))
        assert asked == []
        chart.show(content(0.5, figure="0.4"))
        await pilot.pause()
        assert [region.y for regions in asked for region in regions] == [-1]
        assert "loss 0.4" in app.screen._compositor.render_strips()[0].text


async def test_a_hidden_chart_is_not_drawn_until_it_is_visible() -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    drawn: list[float] = []

    def counted(view: ChartView) -> ChartContent:
        drawn.append(1)
        return content(0.5)(view)

    async with ChartApp(chart).run_test(size=ROOM) as pilot:
        chart.display = False
        await pilot.pause()
        chart.show(counted)
        await pilot.pause()
        assert drawn == []
        chart.display = True
        await pilot.pause()
        assert drawn
        text = "".join(chart.render_line(y).text for y in range(chart.size.height))
        assert any("⠀" < character <= "⣿" for character in text)


async def test_a_new_theme_paints_everything_in_its_colors() -> None:
    chart = Chart("loss", Scale("log"), id="loss")
    app = ChartApp(chart)
    async with app.run_test(size=ROOM) as pilot:
        chart.show(content(0.5))
        await pilot.pause()
        colors = [str(segment.style) for segment in chart.render_line(3)]
        app.theme = "daylight"
        await pilot.pause()
        assert [str(segment.style) for segment in chart.render_line(3)] != colors


class Counter(CellLine):
    """A line that shows a number."""

    number = 1

    def cells(self, width: int) -> list[Cell]:
        return [Cell(f"{self.number}", style="title bold")]


async def test_a_line_is_painted_when_a_cell_changes_and_in_a_new_theme(
    painted: Callable[[Widget], list[tuple[Region, ...]]],
) -> None:
    line = Counter()
    app = ChartApp(line)
    async with app.run_test(size=ROOM) as pilot:
        await pilot.pause()
        asked = painted(line)
        line.update()
        assert asked == []
        line.number = 2
        line.update()
        assert asked == [()]
        first = line.render_line(0)
        assert first.text.strip() == "2"
        assert first._segments[0].style is not None
        assert first._segments[0].style.bold
        app.theme = "daylight"
        await pilot.pause()
        assert line.render_line(0)._segments[0].style != first._segments[0].style
