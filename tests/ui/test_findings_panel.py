"""The findings panel, the finding line, and their keys."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol import facts
from tests.ui.fakes import wait_for_events, window
from tests.ui.found import ALL, BATCH, DEAD, MID_RUN, NOTE, OVERFITTING, STUCK, mid_run
from tui_trainer.findings import evaluable_rules
from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, FindingCleared, RunStarted
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.widgets.finding_panel import FindingPanel
from tui_trainer.ui.widgets.findings_panel import (
    FindingLine,
    FindingsPanel,
    findings_lines,
    headline,
)
from tui_trainer.ui.widgets.key_footer import KeyFooter

START = [event for event in MID_RUN if isinstance(event, RunStarted)]


def live(*events: Event, config: RunConfig | None = None) -> LiveRun:
    run = LiveRun(config or RunConfig(), lambda config, inbox: iter(()), lambda message: None)
    run.apply((*START, *events))
    return run


def panel(run: LiveRun, width: int = 70) -> list[str]:
    lines = ["".join(cell.text for cell in line) for line in findings_lines(run, width)[0]]
    assert all(len(line) <= width for line in lines)
    return lines


def line(run: LiveRun) -> str:
    return "".join(cell.text for cell in headline(run))


def test_the_chosen_finding_is_shown_in_full() -> None:
    text = panel(live(OVERFITTING), 80)
    assert text[0].startswith("▲ overfitting since epoch 3")
    assert text[0].endswith("lesson 15: overfitting, and when to use dropout")
    assert text[3] == "  ▅▅▅▂▂▂▁▁▁▁▁▁▄▄▄▆▆▆███  validation loss, epochs 3 to 9 (0.0412 to 0.0523)"
    assert text[4] == "  likely cause: the model memorizes 500 images with 19,568 parameters"
    assert text[5] == "  try: switch augmentation on — press f to apply"


def test_a_narrow_panel_has_the_plot_above_its_caption_and_cuts_nothing() -> None:
    text = panel(live(OVERFITTING), 40)
    place = next(number for number, words in enumerate(text) if "█" in words)
    assert text[place].strip() == "▅▅▅▂▂▂▁▁▁▁▁▁▄▄▄▆▆▆███"
    assert text[place + 1].startswith("  validation loss, epochs 3 to 9")


def test_other_warnings_show_evidence_and_other_notes_only_titles() -> None:
    text = "\n".join(panel(live(*ALL)))
    assert text.count("likely cause:") == text.count("try:") == text.count("▸") == 1
    assert DEAD.evidence in text
    assert NOTE.title in text
    assert NOTE.evidence not in text


def test_a_finding_without_a_fix_shows_no_advice() -> None:
    text = "\n".join(panel(live(NOTE)))
    assert "· validation accuracy above training accuracy" in text
    assert "likely cause: augmentation makes the training images harder" in text
    assert "try:" not in text
    assert "press f" not in text


def test_a_note_displaces_neither_a_warning_nor_the_result() -> None:
    title = "· a larger batch size would be as good (+1)"
    assert line(live(NOTE, BATCH)).startswith(f"{title} · batch size 256 · f to apply")
    assert line(live(NOTE, facts.evaluated())).startswith("◆ test 90.00 %")
    change = facts.changed("batch_size", 128, 256)
    assert line(live(NOTE, change)).startswith("▼ batch 128 → 256")
    assert line(live(NOTE, DEAD, facts.evaluated())).startswith(
        "▲ 12 of 16 units of conv3 are dead"
    )


def test_the_panel_names_evaluated_rules_and_missing_probes() -> None:
    run = live()
    names = evaluable_rules(run.history)
    (text,) = (line for line in panel(run, 200) if "rules evaluated" in line)
    named, more = text.removeprefix("  rules evaluated: ").split(" and ")
    assert set(named.split(", ")) < set(names)
    assert more == f"{len(names) - 3} more"
    blind = live(config=RunConfig(probes=False))
    assert f"{text}; probes are off" in panel(blind, 200)


def test_the_panel_has_the_first_cause_and_the_names_of_the_others() -> None:
    text = panel(live(STUCK), 80)
    assert text[2:7] == [
        "  likely cause: the learning rate is too high",
        "    update-to-weight ratio 15 %, about 0.1 % is usual",
        "  try: divide the learning rate by 10 (--lr 0.3) — press f to apply",
        "  also likely: dead ReLUs · also possible: images and labels do not match; the",
        "    images do not reach the first layer intact",
    ]


async def test_a_small_window_has_a_line_for_the_advice_and_clips_it() -> None:
    long = replace(DEAD, advice=" ".join(["initialize biases to 0"] * 5), fix_setting=None)
    events = mid_run(long)
    app, _ = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, events)
        line = app.screen.query_one("#finding-advice", FindingLine)
        text = line.render_line(0).text.rstrip()
        assert text.startswith("  try: initialize biases to 0")
        assert text.endswith("…")
        await pilot.press("z")
        assert not line.display


async def test_enter_shows_all_causes_and_f_applies_the_first_advice() -> None:
    events = mid_run(STUCK)
    app, engine = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("enter")
        (dialog,) = app.screen.query(FindingPanel)
        text = "\n".join("".join(cell.text for cell in line) for line in dialog.lines(76))
        for cause in STUCK.causes:
            assert cause.title in text
        assert text.count("try:") == len(STUCK.causes)
        assert dialog.max_scroll_y == 0
        await pilot.press("f")
        await pilot.pause(0.1)
        assert engine.received == [commands.SetBaseLr(0.3)]
        assert not app.screen.query(FindingPanel)


async def test_an_open_finding_is_updated_and_stays_when_it_is_cleared() -> None:
    worse = replace(STUCK, evidence="loss 2.400")
    events = mid_run(STUCK)
    app, _ = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("enter")
        dialog = app.screen.query_one(FindingPanel)
        app.live_run.apply((worse,))
        app._show()
        assert "loss 2.400" in str(dialog.text(70))
        app.live_run.apply((FindingCleared(code=STUCK.code, step=40),))
        app._show()
        assert "cleared" in str(dialog.text(70))
        await pilot.press("f")
        assert app.screen.query(FindingPanel)
        await pilot.press("escape", "enter")
        assert not app.screen.query(FindingPanel)


def test_snoozed_findings_are_counted_and_their_key_is_shown() -> None:
    run = live(OVERFITTING)
    run.selection.snooze()
    text = "\n".join(panel(run))
    assert "1 snoozed: Z to show" in text
    assert OVERFITTING.title not in text
    assert "nothing to report" not in text


def shown(app: MnistTui) -> str:
    return app.screen.query_one("#finding-line", FindingLine).render_line(0).text.strip()


async def test_keys_choose_fix_snooze_and_unsnooze_a_finding() -> None:
    events = mid_run(*ALL)
    app, engine = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, events)
        panel = app.screen.query_one(FindingsPanel)
        assert panel.border_title == "findings · 2 · 2 notes"
        assert shown(app).startswith("▲ overfitting since epoch 3 (+3)")
        await pilot.press("down")
        assert shown(app).startswith("▲ 12 of 16 units of conv3 are dead (+3)")
        await pilot.press("f")
        await pilot.pause(0.1)
        assert engine.received == [commands.SetBaseLr(0.01)]
        await pilot.press("z")
        assert panel.border_title == "findings · 1 · 2 notes · 1 snoozed"
        assert shown(app).startswith("▲ overfitting since epoch 3 (+2)")
        await pilot.press("down", "down")
        assert shown(app).startswith("· validation accuracy above training accuracy")
        assert app.check_action("apply_fix", ()) is None
        await pilot.press("Z")
        assert panel.border_title == "findings · 2 · 2 notes"
        assert engine.received == [commands.SetBaseLr(0.01)]


async def test_in_the_panel_arrow_keys_choose_and_it_scrolls_along() -> None:
    events = mid_run(*(replace(DEAD, code=f"dead-{n}") for n in range(6)))
    app, _ = window(events)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, events)
        panel = app.screen.query_one(FindingsPanel)
        panel.focus()
        await pilot.press(*["down"] * 5)
        await pilot.pause()
        assert panel.scroll_offset.y > 0
        await pilot.press(*["up"] * 5)
        await pilot.pause()
        assert panel.scroll_offset.y == 0


async def test_a_replay_has_the_same_keys_except_for_the_fix() -> None:
    run = RecordedRun("one", RunConfig(), mid_run(*ALL))
    run.is_paused = True
    app, engine = window()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(ReplayScreen(run))
        await pilot.press("end", "down", "f", "z")
        line = app.screen.query_one("#finding-line", FindingLine).render_line(0).text
        assert line.startswith("▲ overfitting since epoch 3 (+2)")
        assert "f to apply" not in line
        assert str(app.screen.query_one(FindingsPanel).border_title).endswith("1 snoozed")
        assert engine.received == []


async def test_the_footer_of_a_small_window_never_overflows() -> None:
    events = [replace(e, dropout=0.1) if isinstance(e, RunStarted) else e for e in mid_run(*ALL)]
    app, _ = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, events)
        footer = app.screen.query_one(KeyFooter)
        line = "".join(piece.text for piece in footer.pieces).rstrip()
        assert 70 < len(line) <= 80
        actions = {piece.action for piece in footer.pieces}
        assert {"check", "apply_fix", "quit", "show_help"} <= actions
