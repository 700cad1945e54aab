from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.widgets import OptionList, Static

from tests.protocol.questions import ask_field, ask_model
from tests.ui.fakes import finished, until, wait_for_events
from tests.ui.model_screen import (
    ARROWS,
    MODEL,
    ROWS,
    asked,
    column,
    field_text,
    line,
    model,
    names,
    show,
    still,
)
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.events import RunStarted, StepDone
from tui_trainer.protocol.layers import LayerRow, blocks
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.bridge import EventsArrived
from tui_trainer.ui.screens.dialogs import ChooseScreen, CompareScreen, ComparisonPanel
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.model_table import LayersTable, ModelTable
from tui_trainer.ui.widgets.review_panel import ReviewPanel
from tui_trainer.ui.widgets.status_lines import TopLine


async def test_2_shows_the_model_of_the_run_and_1_returns() -> None:
    app, engine = model(kind=MnistTui)
    async with app.run_test(size=(200, 55)) as pilot:
        screen = await show(pilot, app)
        assert names(screen)[:4] == ["input", "▾ 28×28", "  conv1", "  conv1_norm"]
        assert column(screen, "field")[2] == "3×3"
        assert line(screen, "totals").startswith("total")
        assert "19,568" in line(screen, "totals")
        assert "conv1 · conv 3×3 from 28×28×1" in line(screen, "about-layer")
        review = screen.query_one(ReviewPanel)
        assert review.border_subtitle == "0 errors, 0 warnings, 2 notes, 22 ok"
        assert "training" in screen.query_one(TopLine).render_line(0).text
        assert asked(engine) == [ask_field(1, 14, 14, 0)]
        await pilot.press("1")
        assert isinstance(app.screen, TrainScreen)


async def test_enter_folds_a_block_and_z_all_and_the_cursor_stays() -> None:
    app, engine = model()
    async with app.run_test(size=(200, 55)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("enter")
        assert names(screen)[1:4] == ["▸ 28×28", "▾ 14×14", "  conv3"]
        assert screen.query_one(LayersTable).cursor_row == 1
        await still(pilot, app)
        assert line(screen, "about-layer").startswith("pool1")
        assert asked(engine)[-1] == ask_field(10, 7, 7, 0)
        await pilot.press("enter")
        assert names(screen)[1:3] == ["▾ 28×28", "  conv1"]
        await pilot.press("z")
        assert [name[:1] for name in names(screen)[1:]] == ["▸"] * len(blocks(ROWS))
        assert line(screen, "totals").startswith("total")
        await pilot.press("z")
        assert len(names(screen)) == len(ROWS) + len(blocks(ROWS))


async def test_the_batch_size_changes_the_memory_and_pause_works_here() -> None:
    app, engine = model()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        assert column(screen, "memory")[2] == "6.4 MB"
        await pilot.press("down", "greater_than_sign", "space")
        await until(pilot, lambda app: app.live_run.is_paused, app)
        assert commands.SetBatchSize(256) in engine.received
        assert commands.Pause() in engine.received
        assert column(screen, "memory")[2] == "12.8 MB"
        assert "batch of 256" in str(screen.query_one(ModelTable).border_subtitle)
        assert screen.query_one(LayersTable).cursor_row == 3
        assert "paused" in screen.query_one(TopLine).render_line(0).text


async def test_keys_without_a_visible_effect_do_nothing() -> None:
    app, engine = model()
    async with app.run_test(size=(120, 40)) as pilot:
        await show(pilot, app)
        engine.received.clear()
        await pilot.press("x", "T", "a", "f", "e", "s", "plus", "minus", "r")
        await pilot.pause(0.1)
        assert engine.received == []
        assert isinstance(app.screen, ModelScreen)


async def test_another_model_is_compared_side_by_side() -> None:
    app, engine = model()
    async with app.run_test(size=(120, 40)) as pilot:
        await show(pilot, app)
        await pilot.press("c")
        assert isinstance(app.screen, ChooseScreen)
        choices = app.screen.query_one(OptionList)
        assert "era-s6" not in [option.id for option in choices.options]
        choices.highlighted = choices.get_option_index("small")
        await pilot.press("enter")
        await still(pilot, app)
        assert ask_model("small") in engine.received
        assert isinstance(app.screen, CompareScreen)
        panel = app.screen.query_one(ComparisonPanel)
        for width in (60, 72, 115):
            words = panel.text(width).plain.splitlines()
            assert all(len(row) <= width for row in words)
            assert "19,568" in words[1]
            assert "19,810" in words[1]
            assert any("≠" in row for row in words)
        await pilot.press("escape")
        assert isinstance(app.screen, ModelScreen)


async def test_a_model_that_cannot_be_built_is_reported_and_escape_asks_nothing() -> None:
    app, engine = model()
    async with app.run_test(size=(120, 40)) as pilot:
        await show(pilot, app)
        await pilot.press("c", "escape")
        await pilot.pause()
        assert not any(isinstance(c, Ask) and c.kind == "model" for c in engine.received)
        await pilot.press("c", "enter")
        await still(pilot, app)
        assert isinstance(app.screen, ModelScreen)
        assert "no model mlp" in [notice.message for notice in app._notifications]


def as_recorded_before(row: LayerRow) -> LayerRow:
    return LayerRow(
        name=row.name,
        kind=row.kind,
        kernel=row.kernel,
        output_shape=row.output_shape,
        parameters=row.parameters,
    )


async def test_an_older_table_shows_dashes_and_no_review() -> None:
    events = [
        replace(event, layers=tuple(map(as_recorded_before, event.layers)), review=(), about="")
        if isinstance(event, RunStarted)
        else event
        for event in MODEL
    ]
    app, _ = model(events)
    async with app.run_test(size=(200, 55)) as pilot:
        screen = await show(pilot, app, events)
        assert set(column(screen, "field")) == {"–"}
        assert set(column(screen, "multiply-adds")) == {"–"}
        assert "not recorded" in line(screen, "about-layer")
        assert "without a design review" in screen.query_one(ReviewPanel).text(60).plain
        assert "theory —" in field_text(screen)


async def test_before_the_start_it_shows_the_preparation() -> None:
    app, engine = model(MODEL[:1])
    async with app.run_test(size=(120, 40)) as pilot:
        await still(pilot, app)
        await pilot.press("2")
        await still(pilot, app)
        assert isinstance(app.screen, ModelScreen)
        assert "Building the model" in str(app.screen.query_one("#not-yet", Static).content)
        await pilot.press("z", "d", "c", "tab", *ARROWS, "enter")
        assert isinstance(app.screen, ModelScreen)
        assert engine.received == []
        app.post_message(EventsArrived(tuple(MODEL), app.live_run.bridge))
        await until(pilot, lambda _: bool(asked(engine)), app)
        assert isinstance(app.screen.focused, LayersTable)
        assert names(app.screen)[0] == "input"
        assert asked(engine) == [ask_field(1, 14, 14, 0)]


async def test_steps_paint_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = model()
    painted: list[object] = []

    def spy(original: Callable[..., object]) -> Callable[..., object]:
        def noted(*args: object, **more: object) -> object:
            painted.append(original)
            return original(*args, **more)

        return noted

    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        await still(pilot, app)
        for widget in screen.walk_children():
            monkeypatch.setattr(widget, "refresh", spy(widget.refresh))
        steps = tuple(event for event in MODEL if isinstance(event, StepDone))
        app.post_message(EventsArrived(steps, app.live_run.bridge))
        await still(pilot, app)
        assert painted == []


async def test_v_cycles_through_the_views_of_a_small_window() -> None:
    app, _ = model()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, app)

        def shown() -> set[str | None]:
            return {panel.id for panel in screen.query("#parts > *") if panel.display}

        for view in ("model-table", "review", "field", "model-table"):
            assert shown() == {view}
            focused = screen.focused
            assert focused is not None
            assert screen.query_one(f"#{view}") in (focused, focused.parent)
            active = app.screen.active_bindings.values()
            keys = {shown.binding.action for shown in active if shown.enabled}
            assert ("next_digit" in keys) is (view == "field")
            assert ("screen.fold_all" in keys) is (view == "model-table")
            await pilot.press("v")


@pytest.mark.slow
async def test_all_sizes_and_themes_work() -> None:
    app, _ = model()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        for size in ((20, 5), (60, 16), (80, 60), (300, 20)):
            await pilot.resize_terminal(*size)
            await pilot.press("t")
            while screen.is_small and screen.view != "table":
                await pilot.press("v")
            await pilot.pause()
            table = screen.query_one(LayersTable)
            assert not table.is_on_screen or table.virtual_size.width <= size[0] - 2
        assert app.is_running


async def test_a_new_run_has_a_new_model() -> None:
    events = [*MODEL, finished(step=30)]
    app, _ = model(events)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app, events)
        first = app.live_run
        await pilot.press("z", "1", "r")
        await wait_for_events(pilot, app, events)
        await pilot.press("2")
        await still(pilot, app)
        assert app.live_run is not first
        assert not first.bridge.is_alive
        assert screen.shown is app.live_run
        assert "✓ equal" in field_text(screen)


async def test_the_palette_has_the_keys_of_this_screen() -> None:
    app, _ = model()
    async with app.run_test(size=(120, 40)) as pilot:
        await show(pilot, app)
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Fold all", "Image", "Compare", "Pause", "Batch up", "Train", "Runs"} <= titles
        assert not {"Model", "Stop", "Lr up"} & titles
