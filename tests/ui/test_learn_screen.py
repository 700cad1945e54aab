"""The Learn screen in a window on a fake engine.

pytest tests/ui/test_learn_screen.py --snapshot-update
python -m tests.ui.png          # all of them as PNG, to look at
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Static

from tests.protocol.questions import ask_lesson
from tests.ui.exhibits import CURVES, tries
from tests.ui.fakes import (
    FakeEngine,
    LearnFirst,
    ModelFirst,
    finished,
    recording,
    until,
    wait_for_events,
    window,
)
from tests.ui.found import DEAD, mid_run
from tests.ui.test_snapshots import LARGE, MEDIUM, SMALL, SnapCompare
from tui_trainer.course.lesson import SLUGS, Lesson, lessons
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, CancelQuestion
from tui_trainer.protocol.events import EpochDone, Event, RunStarted, SettingChanged, StepDone
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.bridge import EventsArrived
from tui_trainer.ui.screens.base_screen import ASK_EVERY
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.lesson_panel import LessonList, LessonPanel
from tui_trainer.ui.widgets.number_line import NumberLine
from tui_trainer.ui.widgets.review_panel import ReviewPanel
from tui_trainer.ui.widgets.tour_panel import TourPanel

MODEL = recording("network")
STARTED = next(event for event in MODEL if isinstance(event, RunStarted))
EPOCH = next(event for event in recording("finished") if isinstance(event, EpochDone))
SOFTMAX = SLUGS.index("softmax")


def learn(
    events: Iterable[Event] = MODEL, kind: type[MnistTui] = LearnFirst
) -> tuple[MnistTui, FakeEngine]:
    return window(events, kind=kind, tries=tries)


async def show(pilot: Pilot[None], app: MnistTui, events: list[Event] = MODEL) -> LearnScreen:
    """Wait for the run, and for the answers on the screen."""
    await wait_for_events(pilot, app, events)
    if not isinstance(app.screen, LearnScreen):
        await pilot.press("4")
    await still(pilot, app)
    assert isinstance(app.screen, LearnScreen)
    return app.screen


async def still(pilot: Pilot[None], app: MnistTui) -> None:
    """Wait until no question is pending, or for a second: not all fake engines answer."""
    await pilot.pause(0.05)
    await until(pilot, lambda app: not app.live_run.experiment.is_waiting, app, tries=50)


def asked(engine: FakeEngine) -> list[Ask]:
    return [command for command in engine.received if isinstance(command, Ask)]


def lesson_text(screen: LearnScreen) -> str:
    """Return the whole rendered lesson, including the hidden part."""
    return "\n".join(rendered(screen.query_one(LessonPanel)))


def rendered(panel: LessonPanel | LessonList) -> list[str]:
    text = panel.query_one(Static)
    return [text.render_line(y).text.rstrip() for y in range(text.size.height)]


def exhibit_text(screen: LearnScreen) -> str:
    return "\n".join(screen.query_one(ExhibitPanel).lines())


def joined(words: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(words.split())


async def post_events(pilot: Pilot[None], app: MnistTui, *events: Event) -> None:
    """Let the engine say something more."""
    app.post_message(EventsArrived(events, app.live_run.bridge))
    await pilot.pause(0.05)


def shown(engine: FakeEngine, exhibit: Exhibit) -> Answered:
    return Answered(question=asked(engine)[-1], content=exhibit, step=30)


async def test_4_shows_the_lessons_and_asks_once_for_the_experiment() -> None:
    app, engine = learn(kind=MnistTui)
    async with app.run_test(size=(200, 55)) as pilot:
        screen = await show(pilot, app)
        assert asked(engine) == [ask_lesson(SLUGS[0])]
        assert "early × 2 = 1." in exhibit_text(screen)
        assert "▷ enter: train two models: about 15 s" in exhibit_text(screen)
        words = rendered(screen.query_one(LessonList))
        assert words[0].startswith("▸  0 ")
        await pilot.press("1")
        assert isinstance(app.screen, TrainScreen)


async def test_arrows_in_the_list_and_n_and_b_anywhere_choose_a_lesson() -> None:
    app, engine = learn()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        panel = screen.query_one(LessonPanel)
        heights = [panel.size.height]
        await pilot.press("b", "up", "down")
        await still(pilot, app)
        assert screen.lesson.slug == SLUGS[1]
        for keys in (("tab", "n"), ("tab", "n", "b")):
            await pilot.press(*keys)
            await still(pilot, app)
            heights.append(panel.size.height)
        # It has more room while it is read.
        assert heights[0] == heights[2] < heights[1]
        assert [question.name for question in asked(engine)][:3] == list(SLUGS[:3])
        assert screen.lesson.slug == app.live_run.experiment.subject == SLUGS[2]
        assert lessons()[2].title in str(screen.query_one(LessonPanel).border_title)
        screen.open(len(SLUGS) - 1)
        await pilot.press("n")
        assert screen.lesson.slug == SLUGS[-1]


async def test_arrows_change_the_controls_once_tab_has_focused_them() -> None:
    app, engine = learn()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("enter")
        assert isinstance(screen.focused, ExhibitPanel)
        for key in ("left", "right", "down", "right", "right"):
            await pilot.press(key)
            await still(pilot, app)
        # The first control stood at its end: nothing was asked.
        assert [dict(question.choices) for question in asked(engine)[1:]] == [
            {"place": "late"},
            {"place": "late", "count": 5.0},
            {"place": "late", "count": 10.0},
        ]
        assert not any(question.mode == "confirmed" for question in asked(engine))
        assert "late × 10 = 1." in exhibit_text(screen)
        assert "‹ 10 ·" in exhibit_text(screen).splitlines()[0]
        await pilot.press("down", "down")
        assert screen.query_one(ExhibitPanel).scroll_offset.y == 2
        assert "count ‹ 10" in screen.query_one(ExhibitPanel).render_line(0).text


async def test_a_number_can_be_typed_where_a_control_takes_one_and_must_be_one() -> None:
    app, engine = learn()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("v", "down", "3", "full_stop", "5", "enter")
        await still(pilot, app)
        assert asked(engine)[-1].choices == (("count", 3.5),)
        assert "early × 3.5 = 1." in exhibit_text(screen)
        assert isinstance(screen.focused, ExhibitPanel)
        assert not screen.query_one(NumberLine).display
        await pilot.press("right")
        await still(pilot, app)
        assert asked(engine)[-1].choices == (("count", 5.0),)
        before = len(asked(engine))
        await pilot.press("9", "9", "9", "9", "enter")
        note = screen.query_one("#number-note", Static)
        assert str(note.content) == "✗ type a number from 0.5 to 1,000"
        assert note.size.height == 1
        assert len(str(note.content)) <= note.size.width
        await pilot.press("x", "enter")
        assert str(note.content) == "✗ not a number; type for example 5"
        await pilot.press("escape")
        assert isinstance(screen.focused, ExhibitPanel)
        assert len(asked(engine)) == before
        # It accepts no negative numbers; the first control accepts only words.
        await pilot.press("minus", "up", "2")
        await pilot.pause()
        assert app.live_run.history.settings["base_lr"] < STARTED.base_lr
        assert isinstance(app.screen, ModelScreen)


@pytest.mark.parametrize("burst", ["12.5", "1e2", "750\r"])
@pytest.mark.sampled(2)
async def test_keys_pressed_before_the_line_is_open_are_typed(burst: str) -> None:
    app, engine = learn()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("v", "down")
        names = {".": "full_stop", "\r": "enter"}
        for sign in burst:
            app.post_message(Key(names.get(sign, sign), sign))
        await pilot.pause()
        if not burst.endswith("\r"):
            await pilot.press("enter")
        await still(pilot, app)
        assert asked(engine)[-1].choices == (("count", float(burst)),)
        assert not any(question.mode == "confirmed" for question in asked(engine))
        assert app.screen is screen


async def test_enter_trains_and_its_result_stays() -> None:
    app, engine = learn()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("enter", "enter")
        await still(pilot, app)
        assert asked(engine)[-1] == ask_lesson(SLUGS[0], mode="confirmed")
        words = exhibit_text(screen)
        assert "Early is better by 1.2 points." in words
        assert "evidence: 1,000 images, one seed" in words
        assert "again" in str(screen.query_one(ExhibitPanel).border_subtitle)
        await pilot.press("1", "4")
        await post_events(pilot, app, EPOCH)
        assert len(asked(engine)) == 2
        assert "Early is better by 1.2 points." in exhibit_text(screen)


async def test_while_it_trains_the_run_waits_and_escape_stops_it() -> None:
    app, engine = learn()
    part, whole = tries(ask_lesson(SLUGS[0], mode="confirmed"))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        engine.answers = False
        await pilot.press("enter", "enter")
        await post_events(pilot, app, shown(engine, part))
        assert " 50 %  training waits · esc stops" in exhibit_text(screen)
        await pilot.press("enter")
        assert len(asked(engine)) == 2
        await pilot.press("escape")
        await pilot.pause(0.05)
        assert engine.received[-1] == CancelQuestion("lesson")
        assert "‖ stopped at 50 %; enter starts it again" in exhibit_text(screen)
        await pilot.press("escape", "enter")
        await post_events(pilot, app, shown(engine, part), shown(engine, whole))
        assert "Early is better" in exhibit_text(screen)
        assert engine.received.count(CancelQuestion("lesson")) == 1


async def test_a_rejection_shows_the_reason_and_another_lesson_works() -> None:
    app, engine = learn()
    engine.tries = None
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        assert f"there is no lesson {SLUGS[0]}" in exhibit_text(screen)
        assert not app._notifications
        engine.tries = tries
        await pilot.press("n")
        await still(pilot, app)
        assert "early × 2 = 1." in exhibit_text(screen)


async def test_before_the_start_the_lesson_is_shown_and_nothing_is_asked() -> None:
    app, engine = learn(MODEL[:1])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, is_laid_out, app)
        screen = app.screen
        assert isinstance(screen, LearnScreen)
        assert "Preparing the run" in exhibit_text(screen)
        assert joined(screen.lesson.no_observations) in joined(lesson_text(screen))
        await pilot.press("enter", "left", "right", "1", "4", "enter", "n", "o", "escape")
        assert engine.received == []
        await post_events(pilot, app, *MODEL)
        await until(pilot, lambda _: bool(asked(engine)), app)
        assert asked(engine) == [ask_lesson(SLUGS[1])]


async def test_a_failed_run_has_no_experiments() -> None:
    app, engine = window(MODEL, kind=LearnFirst, error=RuntimeError("it broke"), tries=tries)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: app.live_run.history.failure is not None, app)
        screen = app.screen
        assert isinstance(screen, LearnScreen)
        assert "The run has failed. Start it again" in joined(exhibit_text(screen))
        assert joined(screen.lesson.rule) in joined(lesson_text(screen))
        before = len(asked(engine))
        await pilot.press("n", "enter", "right", "enter")
        assert len(asked(engine)) == before


async def test_a_finished_run_still_has_experiments_and_a_new_run_asks_again() -> None:
    events = [*MODEL, finished(step=30)]
    app, engine = learn(events)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app, events)
        first = app.live_run
        assert "early × 2" in exhibit_text(screen)
        await pilot.press("1", "r")
        await wait_for_events(pilot, app, events)
        await pilot.press("4")
        await still(pilot, app)
        assert screen.shown is app.live_run is not first
        assert "early × 2" in exhibit_text(screen)
        assert [question.name for question in asked(engine)] == [SLUGS[0]] * 2


async def test_the_answer_is_hidden_until_o_shows_it() -> None:
    app, _ = learn()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, app)
        answer = joined(screen.lesson.answer)
        assert answer not in joined(lesson_text(screen))
        await pilot.press("o")
        await pilot.pause()
        panel = screen.query_one(LessonPanel)
        assert answer in joined(lesson_text(screen))
        assert panel.scroll_offset.y > 0
        await pilot.press("o")
        assert answer not in joined(lesson_text(screen))
        await pilot.press("o", "n")
        assert joined(screen.lesson.answer) not in joined(lesson_text(screen))


async def test_active_findings_are_in_their_lesson_and_f_fixes_them_there() -> None:
    events = mid_run(DEAD)
    app, engine = learn(events)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app, events)
        assert DEAD.title not in lesson_text(screen)
        await pilot.press("f")
        screen.open(DEAD.lesson)
        words = joined(lesson_text(screen))
        assert f"✗ {DEAD.title}" in words or f"▲ {DEAD.title}" in words
        assert "press f to apply" in words
        await pilot.press("f")
        await until(pilot, lambda _: commands.SetBaseLr(0.01) in engine.received, app)
        await until(pilot, lambda app: not app.live_run.requested, app)
        assert engine.received.count(commands.SetBaseLr(0.01)) == 1
        assert "lr 0.01" in lesson_text(screen)


async def test_a_requested_setting_is_shown_at_once() -> None:
    app, engine = learn()
    engine.answers = False
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        await pilot.press("plus")
        await pilot.pause()
        assert isinstance(app.screen, LearnScreen)
        assert "lr 0.1 → 0.2" in lesson_text(app.screen)


async def test_steps_paint_nothing_here_and_an_epoch_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, engine = learn()
    still_life = Exhibit(blocks=(CURVES,))
    engine.tries = lambda question: [still_life]
    painted: list[object] = []

    def spy(original: Callable[..., object]) -> Callable[..., object]:
        def noted(*args: object, **more: object) -> object:
            painted.append(original)
            return original(*args, **more)

        return noted

    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        await pilot.press("g")
        await until(pilot, lambda app: any(app.screen.query_one(TourPanel)._strips), app)
        await pilot.pause()
        for widget in [*screen.walk_children(), screen]:
            monkeypatch.setattr(widget, "refresh", spy(widget.refresh))
        steps = tuple(event for event in MODEL if isinstance(event, StepDone))
        await post_events(pilot, app, *steps)
        # The same once more is nothing new either.
        await post_events(pilot, app, shown(engine, still_life))
        assert painted == []
        changed = SettingChanged(setting="base_lr", old=0.1, new=0.5, step=30, epoch=2, images=60)
        await post_events(pilot, app, changed)
        assert painted
        now = 0.0
        screen._clock = lambda: now
        screen._asked_at = 0.0
        await post_events(pilot, app, EPOCH)
        assert len(asked(engine)) == 1
        now = ASK_EVERY
        await post_events(pilot, app, EPOCH)
        await still(pilot, app)
        assert len(asked(engine)) == 2


async def test_v_cycles_through_the_views_of_a_small_window() -> None:
    app, _ = learn()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await show(pilot, app)

        def seen() -> set[str | None]:
            return {panel.id for panel in screen.query("#learn > *") if panel.display}

        for view in ("lesson", "experiment", "lessons", "lesson"):
            assert seen() == {view}
            assert screen.focused is screen.query_one(f"#{view}")
            active = {key.binding.action for key in screen.active_bindings.values() if key.enabled}
            assert ("toggle_answer" in active) is (view == "lesson")
            assert ("adjust_control(1)" in active) is (view == "experiment")
            if view == "lessons":
                titles = rendered(screen.query_one(LessonList))
                assert all(any(one.title in line for line in titles) for one in lessons())
                screen.open(len(SLUGS) - 1)
                await pilot.pause()
                panel = screen.query_one(LessonList)
                assert panel.scroll_offset.y == panel.max_scroll_y > 0
            await pilot.press("v")


@pytest.mark.slow
async def test_all_sizes_and_themes_work() -> None:
    app, _ = learn()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await show(pilot, app)
        for size in ((20, 5), (60, 16), (300, 20)):
            await pilot.resize_terminal(*size)
            await pilot.press("t", "v")
            await pilot.pause()
            panel = screen.query_one(ExhibitPanel)
            seen = panel.is_on_screen
            assert not seen or all(len(line) <= size[0] for line in panel.lines())
        assert app.is_running


async def test_l_opens_the_lesson_of_the_chosen_verdict() -> None:
    app, _ = learn(kind=ModelFirst)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        await pilot.press("l")
        assert isinstance(app.screen, ModelScreen)
        panel = app.screen.query_one(ReviewPanel)
        panel.focus()
        await pilot.press("down", "down", "up", "down")
        chosen = [line for line in panel.text(60).plain.splitlines() if "l ▸ lesson" in line]
        assert len(chosen) == 1
        topic = panel.topic
        assert topic is not None
        assert f"lesson {topic}" in chosen[0]
        await pilot.press("l")
        await still(pilot, app)
        assert isinstance(app.screen, LearnScreen)
        assert app.screen.lesson.topic == topic


def is_shown(words: str, text: str) -> bool:
    return joined(words) in joined(text)


def is_whole(screen: LearnScreen, lesson: Lesson) -> None:
    """Check that a lesson can be read from its first word to its last."""
    panel = screen.query_one(LessonPanel)
    assert lesson.title in str(panel.border_title)
    assert len(str(panel.border_title)) <= panel.size.width - 2
    text = panel.query_one(Static)
    room = panel.scrollable_content_region
    assert text.size.width <= room.width
    assert panel.max_scroll_y + room.height >= text.size.height
    words = rendered(panel)
    assert all(len(line) <= room.width for line in words)
    whole = "\n".join(words)
    for part in (lesson.what, lesson.why, lesson.rule, lesson.reason, lesson.trap):
        assert is_shown(part, whole), part
    assert is_shown(lesson.question, whole)
    assert all(is_shown(formula, whole) for formula in lesson.formulas)
    titles = "\n".join(rendered(screen.query_one(LessonList)))
    assert is_shown(lesson.title, titles.replace("▸", " ")) or screen.is_small


@pytest.mark.slow
async def test_every_lesson_is_readable_before_and_during_a_run() -> None:
    app, engine = learn(MODEL[:1])
    async with app.run_test(size=SMALL) as pilot:
        await wait_for_events(pilot, app, MODEL[:1])
        screen = app.screen
        assert isinstance(screen, LearnScreen)
        panel = screen.query_one(LessonPanel)
        for size in (SMALL, MEDIUM):
            await pilot.resize_terminal(*size)
            for topic, one in enumerate(lessons()):
                screen.open(topic)
                # Without a run only one sentence differs; it is checked below.
                words = panel.text(panel.scrollable_content_region.width).plain
                assert all(
                    is_shown(part, words) for part in (one.rule, one.question, one.no_observations)
                )
        assert not asked(engine)
        await post_events(pilot, app, *MODEL)
        for size in (SMALL, MEDIUM):
            await pilot.resize_terminal(*size)
            for topic, one in enumerate(lessons()):
                screen.open(topic)
                await until(pilot, partial(is_rendered, one), app)
                is_whole(screen, one)
                exhibit = screen.query_one(ExhibitPanel)
                width = exhibit.scrollable_content_region.width
                assert not width or all(len(line) <= width for line in exhibit.lines())
                await until(pilot, is_answered, app, tries=50)
        assert {question.name for question in asked(engine)} == set(SLUGS)


def is_laid_out(app: MnistTui) -> bool:
    """Return whether the lesson is laid out; on a busy machine this takes time."""
    screen = app.screen
    return isinstance(screen, LearnScreen) and screen.query_one(LessonPanel).max_scroll_y > 0


def is_rendered(lesson: Lesson, app: MnistTui) -> bool:
    screen = app.screen
    return isinstance(screen, LearnScreen) and is_shown(lesson.question, lesson_text(screen))


def is_answered(app: MnistTui) -> bool:
    return not app.live_run.experiment.is_waiting


def snapshot(
    snap_compare: SnapCompare,
    *keys: str,
    size: tuple[int, int] = MEDIUM,
    events: list[Event] = MODEL,
) -> None:
    app, _ = learn(events)

    async def before(pilot: Pilot[None]) -> None:
        screen = await show(pilot, app, events)
        screen.open(SOFTMAX)
        await still(pilot, app)
        for key in keys:
            await pilot.press(key)
        await still(pilot, app)

    assert snap_compare(app, terminal_size=size, run_before=before)


def test_learn(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, "tab", "tab", "down", "right")


def test_learn_small(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, size=SMALL)


def test_learn_small_experiment(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, "v", "enter", size=SMALL)


@pytest.mark.slow
def test_learn_large_with_a_finding(snap_compare: SnapCompare) -> None:
    raised = replace(DEAD, severity="error", lesson=SOFTMAX)
    snapshot(snap_compare, "o", size=LARGE, events=mid_run(raised))
