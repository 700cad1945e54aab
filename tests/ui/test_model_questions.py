from __future__ import annotations

import time

import pytest

from tests.protocol.questions import ask_field
from tests.ui.fakes import finished, until, wait_for_events, window
from tests.ui.model_screen import (
    EPOCH,
    FIELDS,
    MODEL,
    answer,
    asked,
    field_text,
    model,
    names,
    show,
    still,
)
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.bridge import EventsArrived
from tui_trainer.ui.screens.base_screen import ASK_EVERY
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.widgets.field_panel import FieldPanel
from tui_trainer.ui.widgets.status_lines import TopLine


async def test_the_answer_is_drawn_with_its_numbers() -> None:
    app, _ = model()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        words = field_text(screen)
        assert "conv1 · feature 14,14 of 28×28" in words
        assert "theory 3×3" in words
        assert "measured 3×3 ✓ equal" in words
        assert "half of it in 4 of 9 pixels" in words
        assert "digit 0, a 4 · step 30" in words
        assert words.count("▀") > 28 * 14 * 2


async def test_the_input_has_no_receptive_field_and_the_next_layer_does() -> None:
    app, engine = model()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("up", "up")
        await still(pilot, app)
        assert "choose a layer" in field_text(screen)
        before = len(asked(engine))
        await pilot.press("down", "down", "down")
        await still(pilot, app)
        assert dict(asked(engine)[-1].choices)["place"] == 2
        assert len(asked(engine)) > before
        assert "conv1_norm" in field_text(screen)


async def test_arrows_move_the_feature_once_tab_has_focused_the_field() -> None:
    app, engine = model()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("tab", "tab")
        assert isinstance(screen.focused, FieldPanel)
        for key in ("up", "left", "d", "pagedown"):
            await pilot.press(key)
            await still(pilot, app)
        assert asked(engine)[1:] == [
            ask_field(1, 13, 14, 0),
            ask_field(1, 13, 13, 0),
            ask_field(1, 13, 13, 1),
            ask_field(2, 14, 14, 1),
        ]
        for _ in range(20):
            screen.action_move_feature(-1, 0)
        await still(pilot, app)
        assert "feature 0,14" in field_text(screen)


async def test_at_most_one_question_is_pending_and_the_newest_is_next() -> None:
    app, engine = model()
    engine.answers = False
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda _: bool(asked(engine)), app)
        screen = app.screen
        assert isinstance(screen, ModelScreen)
        assert "waiting for the engine" in field_text(screen)
        await pilot.press("down", "down", "down")
        await pilot.pause(0.1)
        assert asked(engine) == [ask_field(1, 14, 14, 0)]
        app.post_message(EventsArrived((answer(asked(engine)[-1]),), app.live_run.bridge))
        await until(pilot, lambda _: len(asked(engine)) > 1, app)
        assert asked(engine)[1:] == [ask_field(4, 14, 14, 0)]
        assert "waiting for the engine" in field_text(screen)
        app.post_message(EventsArrived((answer(asked(engine)[-1]),), app.live_run.bridge))
        await until(pilot, lambda _: "measured" in field_text(screen), app)
        assert len(asked(engine)) == 2
        assert "measured 5×5" in field_text(screen)


async def test_a_rejected_question_shows_the_reason_and_does_not_stop_the_next() -> None:
    app, engine = model()
    engine.fields = [field for field in FIELDS if field.place > 1]
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        app.live_run.requested["base_lr"] = 0.5
        assert "there is no layer 1" in field_text(screen)
        await pilot.press("down")
        await still(pilot, app)
        assert "✓ equal" in field_text(screen)
        assert app.live_run.requested == {"base_lr": 0.5}


async def test_a_finished_run_is_still_measured() -> None:
    events = [*MODEL, finished(step=30)]
    app, engine = model(events)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app, events)
        await pilot.press("down")
        await still(pilot, app)
        assert dict(asked(engine)[-1].choices)["place"] == 2
        assert "✓ equal" in field_text(screen)
        assert "finished" in screen.query_one(TopLine).render_line(0).text


async def test_a_failed_run_cannot_be_measured() -> None:
    app, engine = window(MODEL, error=RuntimeError("no"), fields=FIELDS)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        assert "the run has failed" in field_text(screen)
        assert names(screen)[0] == "input"
        await pilot.press("down", "c", "d")
        await still(pilot, app)
        assert isinstance(app.screen, ModelScreen)
        assert engine.received == []
        await pilot.press("i")
        assert app.screen is not screen


async def test_an_epoch_asks_again_only_while_active_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, engine = model(kind=MnistTui)
    async with app.run_test(size=(120, 40)) as pilot:

        async def epoch() -> int:
            app.post_message(EventsArrived((EPOCH,), app.live_run.bridge))
            await still(pilot, app)
            return len(asked(engine))

        await wait_for_events(pilot, app, MODEL)
        assert await epoch() == 0
        screen = await show(pilot, app)
        now = time.monotonic() + ASK_EVERY
        monkeypatch.setattr(screen, "_clock", lambda: now)
        assert await epoch() == 2
        assert await epoch() == 2
        now += ASK_EVERY
        assert await epoch() == 3
        await pilot.press("question_mark")
        now += ASK_EVERY
        assert await epoch() == 3
        await pilot.press("escape")
        await still(pilot, app)
        assert len(asked(engine)) == 4
        await pilot.press("1")
        now += ASK_EVERY
        assert await epoch() == 4


async def test_a_kept_question_is_dropped_when_the_screen_is_suspended() -> None:
    app, engine = model()
    engine.answers = False
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda _: bool(asked(engine)), app)
        await pilot.press("down", "1")
        app.post_message(EventsArrived((answer(asked(engine)[-1]),), app.live_run.bridge))
        await pilot.pause(0.1)
        assert len(asked(engine)) == 1
