"""The keys of the lessons: footer, palette, help, and the lesson key."""

from __future__ import annotations

from dataclasses import replace

from textual.widgets import Static

from tests.protocol.questions import ask_lesson
from tests.ui.fakes import LearnFirst, wait_for_events, window
from tests.ui.found import DEAD, mid_run
from tests.ui.test_learn_screen import MODEL, asked, learn, show, still
from tui_trainer.course.lesson import SLUGS
from tui_trainer.protocol.events import RunStarted
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.help_screen import HelpScreen
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.review_panel import review_lines


async def test_l_opens_the_lesson_of_the_chosen_finding_and_asks_only_for_it() -> None:
    events = mid_run(DEAD)
    app, engine = learn(events, kind=MnistTui)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("l")
        await still(pilot, app)
        assert isinstance(app.screen, LearnScreen)
        assert app.screen.lesson.topic == DEAD.lesson
        assert asked(engine) == [ask_lesson(SLUGS[DEAD.lesson])]


async def test_the_footer_of_the_smallest_window_is_complete_and_has_no_gaps() -> None:
    app, _ = learn()
    async with app.run_test(size=(60, 16)) as pilot:
        screen = await show(pilot, app)
        footer = screen.query_one(KeyFooter)
        for view in ("lesson", "experiment", "list"):
            assert screen.view == view
            line = "".join(piece.text for piece in footer.pieces).rstrip()
            assert 40 < len(line) <= 60
            assert "  " not in line
            assert {"show_help", "quit"} <= {piece.action for piece in footer.pieces}
            await pilot.press("v")


async def test_the_palette_has_the_keys_of_the_focused_panel_once_each() -> None:
    app, _ = learn()
    async with app.run_test(size=(120, 40)) as pilot:
        await show(pilot, app)
        assert "Reset controls" not in titles(app)
        await pilot.press("enter")
        assert {
            "Confirm",
            "Reset controls",
            "Increase control",
            "Control below",
            "Answer",
            "Next",
        } <= set(titles(app))
        assert len(titles(app)) == len(set(titles(app)))
        (turn,) = [c for c in app.get_system_commands(app.screen) if c.title == "Increase control"]
        turn.callback()
        await still(pilot, app)
        assert dict(app.live_run.experiment._choices[SLUGS[0]]) == {"place": "late"}


def titles(app: MnistTui) -> list[str]:
    return [command.title for command in app.get_system_commands(app.screen)]


async def test_the_help_explains_typing_and_the_symbols_of_a_control() -> None:
    app, _ = window(MODEL, kind=LearnFirst)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = app.screen.query_one(".text Static", Static)
        lines = [text.render_line(y).text.rstrip() for y in range(text.size.height)]
        assert "  0 … 9   Type a number, where the chosen control takes one" in lines
        assert any(line.startswith("  ‹ ›     a control can change") for line in lines)
        assert all(len(line) <= text.size.width for line in lines)


def test_a_verdict_without_room_for_its_topic_still_shows_the_lesson_key() -> None:
    review = next(event.review for event in MODEL if isinstance(event, RunStarted))
    verdict = replace(review[0], title="pools before it normalizes", lesson=11)
    for width, line in ((90, 0), (34, 1)):
        cells = review_lines([verdict], width, verdict)[line]
        assert cells[-1].text.strip().startswith("l ▸ lesson 11")
        assert cells[-1].style == "intervention"
    assert not any("l ▸" in c.text for line in review_lines([verdict], 90) for c in line)


async def test_footer_keys_have_tooltips_and_dim_ones_only_ring() -> None:
    app, _ = learn(mid_run())
    value: list[bool] = []
    app.bell = lambda: value.append(True)  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app, mid_run())
        footer = screen.query_one(KeyFooter)
        line = "".join(piece.text for piece in footer.pieces)
        await pilot.hover(KeyFooter, offset=(line.index("nb lesson") + 1, 0))
        assert footer.tooltip == "Previous lesson"
        # The first lesson has none before it.
        await pilot.click(KeyFooter, offset=(line.index("nb lesson") + 1, 0))
        assert value
        await pilot.click(KeyFooter, offset=(line.index("nb lesson"), 0))
        await still(pilot, app)
        assert screen.lesson.topic == 1
        await pilot.hover(KeyFooter, offset=(line.index("nb lesson") + 4, 0))
        assert not footer.tooltip
