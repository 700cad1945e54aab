"""The preflight check in the window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.protocol.questions import CHECK
from tests.ui.fakes import until, wait_for_events, window
from tests.ui.found import CHECKS, MID_RUN, item
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.events import CommandRejected, Event, RunFailed, StateChanged
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.dialogs import CheckScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.check_panel import CheckPanel, check_lines


def checked(*events: Event) -> LiveRun:
    run = LiveRun(RunConfig(), lambda config, inbox: iter(()), lambda message: None)
    run.apply(tuple(MID_RUN[:20]))
    run.check.begin()
    (question,) = run.inbox.take(0)
    assert isinstance(question, Ask)
    for event in events:
        if isinstance(event, Answered):
            event = replace(event, question=question)
        run.apply((event,))
    return run


def answers(count: int = len(CHECKS)) -> list[Answered]:
    whole = len(CHECKS)
    numbered = enumerate(CHECKS[:count], 1)
    return [part(one, number, whole) for number, one in numbered]


def part(found: Diagnosis, done: int = 1, total: int = 1) -> Answered:
    return Answered(question=CHECK, content=found, step=0, done=done, total=total)


def panel(run: LiveRun, width: int = 70) -> list[str]:
    lines = ["".join(cell.text for cell in line) for line in check_lines(run, width)[0]]
    assert all(len(line) <= width for line in lines)
    return lines


def test_a_running_check_shows_its_progress_and_that_training_waits() -> None:
    assert panel(checked())[0].startswith("checking …, training waits")
    numbered = panel(checked(*answers(4)))
    assert numbered[0].startswith("checking … 4 of 12, training waits  ━━━━")
    assert sum(line.lstrip("▸ ")[:1] in "✗▲✓" for line in numbered if line.strip()) == 4
    paused = checked(StateChanged(state="paused", step=9), *answers(4))
    assert "waits" not in panel(paused)[0]


def test_a_finished_check_shows_what_its_result_means() -> None:
    assert panel(checked(*answers()))[0] == "✗ 1 error, 2 warnings, 9 ok: training would fail"
    fine = part(item(1))
    assert panel(checked(fine))[0].startswith(
        "✓ 0 errors, 0 warnings, 1 ok: ready for a long training"
    )


def test_the_most_severe_item_is_shown_in_full_until_another_is_chosen() -> None:
    run = checked(*answers())
    numbered = panel(run)
    place = next(number for number, line in enumerate(numbered) if line.startswith("▸"))
    assert numbered[place].startswith("▸ ✗ the loss rises in the first 100 steps ")
    assert numbered[place].endswith(" loss 4.870")
    assert numbered[place + 1 : place + 4] == [
        "    from 2.31 to 4.87, mean of the last 20 batches",
        "    try: use learning rate 0.05 instead of 0.5",
        "    lesson 19: seeing early that a network fails",
    ]
    assert run.check.choose(-1)
    assert sum("try:" in line for line in panel(run)) == 0


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (CommandRejected(command="check", reason="no more memory", step=1), "no more memory"),
        (RunFailed(message="it broke", traceback=""), "the training failed"),
    ],
)
def test_a_rejected_check_shows_the_reason(event: Event, reason: str) -> None:
    run = checked(*answers(2), event)
    assert not run.check.is_waiting
    assert panel(run)[0] == f"▲ not checked: {reason}"


def test_a_long_title_is_clipped_and_its_number_is_not() -> None:
    one = part(item(1, title="very " * 20))
    (title,) = (line for line in panel(checked(one), 40) if line.startswith("▸"))
    assert title.endswith("…  std 1.00")


async def test_c_checks_once_and_keeps_items_that_arrive_after_closing() -> None:
    app, engine = window(MID_RUN, checks=CHECKS)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, MID_RUN)
        await pilot.press("c")
        assert isinstance(app.screen, CheckScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, TrainScreen)
        await until(pilot, lambda app: len(app.live_run.check.items) == len(CHECKS), app)
        await pilot.press("c")
        panel = app.screen.query_one(CheckPanel)
        assert "r again" in str(panel.border_subtitle)
        assert engine.received == [CHECK]
        await pilot.press("up", "up", "down")
        assert app.live_run.check.chosen == 7
        await pilot.press("r")
        await until(pilot, lambda app: not app.live_run.check.is_waiting, app)
        assert engine.received == [CHECK, CHECK]
        assert len(app.live_run.check.items) == len(CHECKS)
