"""What the findings panel and its line say, and what their keys do."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol import facts
from tests.ui.fakes import settle, window
from tests.ui.found import ALL, BATCH, DEAD, MID_RUN, NOTE, OVERFITTING, mid_run
from tui_trainer.findings import evaluable_rules
from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RunStarted
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.replay_screen import ReplayScreen
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


def test_the_chosen_finding_is_told_in_full() -> None:
    told = panel(live(OVERFITTING), 80)
    assert told[0].startswith("▲ overfitting since epoch 3")
    assert told[0].endswith("topic 15: overfitting, and when to use dropout")
    assert told[3] == "  ▅▅▅▂▂▂▁▁▁▁▁▁▄▄▄▆▆▆███  validation loss, epochs 3 to 9 (0.0412 to 0.0523)"
    assert told[4] == "  likely: 500 images for 19,568 parameters: they are learned by heart"
    assert told[5] == "  try: switch augmentation on — press f to apply"


def test_a_narrow_panel_has_the_plot_above_its_caption_and_cuts_nothing() -> None:
    told = panel(live(OVERFITTING), 40)
    place = next(number for number, words in enumerate(told) if "█" in words)
    assert told[place].strip() == "▅▅▅▂▂▂▁▁▁▁▁▁▄▄▄▆▆▆███"
    assert told[place + 1].startswith("  validation loss, epochs 3 to 9")


def test_of_the_others_warnings_keep_their_evidence_and_notes_their_title() -> None:
    told = "\n".join(panel(live(*ALL)))
    assert told.count("likely:") == told.count("try:") == told.count("▸") == 1
    assert DEAD.evidence in told
    assert NOTE.title in told
    assert NOTE.evidence not in told


def test_where_there_is_nothing_to_mend_nothing_is_advised() -> None:
    told = "\n".join(panel(live(NOTE)))
    assert "· validation better than training" in told
    assert "likely: augmentation makes the training images harder" in told
    assert "try:" not in told
    assert "press f" not in told


def test_a_note_displaces_neither_a_warning_nor_the_result() -> None:
    assert line(live(NOTE, BATCH)).startswith("· larger batches would do (+1) · batch 256 · press")
    assert line(live(NOTE, facts.look())).startswith("◆ test 90.00 %")
    change = facts.changed("batch_size", 128, 256)
    assert line(live(NOTE, change)).startswith("▼ batch 128 → 256")
    assert line(live(NOTE, DEAD, facts.look())).startswith("▲ 12 of 16 units of conv3 are dead")


def test_what_is_watched_for_is_said_and_what_hinders_it() -> None:
    run = live()
    names = evaluable_rules(run.history)
    (told,) = (line for line in panel(run, 200) if "rules evaluated" in line)
    named, more = told.removeprefix("  rules evaluated: ").split(" and ")
    assert set(named.split(", ")) < set(names)
    assert more == f"{len(names) - 3} more"
    blind = live(config=RunConfig(probes=False))
    assert f"{told}; probes are off" in panel(blind, 200)


def test_what_is_snoozed_is_counted_and_the_way_back_told() -> None:
    run = live(OVERFITTING)
    run.selection.snooze()
    told = "\n".join(panel(run))
    assert "1 snoozed: Z to show" in told
    assert OVERFITTING.title not in told
    assert "nothing to report" not in told


def shown(app: MnistTui) -> str:
    return app.screen.query_one(FindingLine).render_line(0).text.strip()


async def test_keys_choose_a_finding_mend_it_put_it_off_and_bring_it_back() -> None:
    events = mid_run(*ALL)
    app, engine = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, app, events)
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
        assert shown(app).startswith("· validation better than training")
        assert app.check_action("apply_fix", ()) is None
        await pilot.press("Z")
        assert panel.border_title == "findings · 2 · 2 notes"
        assert engine.received == [commands.SetBaseLr(0.01)]


async def test_in_the_panel_the_arrows_choose_and_it_follows() -> None:
    events = mid_run(*(replace(DEAD, code=f"dead-{n}") for n in range(6)))
    app, _ = window(events)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, app, events)
        panel = app.screen.query_one(FindingsPanel)
        panel.focus()
        await pilot.press(*["down"] * 5)
        await pilot.pause()
        assert panel.scroll_offset.y > 0
        await pilot.press(*["up"] * 5)
        await pilot.pause()
        assert panel.scroll_offset.y == 0


async def test_a_replay_has_the_same_keys_but_that_which_mends() -> None:
    run = RecordedRun("one", RunConfig(), mid_run(*ALL))
    run.is_paused = True
    app, engine = window()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(ReplayScreen(run))
        await pilot.press("end", "down", "f", "z")
        line = app.screen.query_one(FindingLine).render_line(0).text
        assert line.startswith("▲ overfitting since epoch 3 (+2)")
        assert "press f" not in line
        assert str(app.screen.query_one(FindingsPanel).border_title).endswith("1 snoozed")
        assert engine.received == []


async def test_the_footer_of_a_small_window_never_overflows() -> None:
    events = [replace(e, dropout=0.1) if isinstance(e, RunStarted) else e for e in mid_run(*ALL)]
    app, _ = window(events)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot, app, events)
        footer = app.screen.query_one(KeyFooter)
        line = "".join(piece.text for piece in footer.pieces).rstrip()
        assert 70 < len(line) <= 80
        actions = {piece.action for piece in footer.pieces}
        assert {"check", "apply_fix", "quit", "show_help"} <= actions
