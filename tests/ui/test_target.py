"""The verdict on the target of a single run in the window."""

from __future__ import annotations

import pytest

from tests.ui.fakes import recording, wait_for_events, window
from tui_trainer.protocol.config import RunConfig
from tui_trainer.ui.exit_message import exit_message
from tui_trainer.ui.widgets.status_lines import state_cells

FINISHED = recording("finished")
MID_RUN = recording("mid-run")


@pytest.mark.parametrize(
    ("accuracy", "word", "severity", "message"),
    [
        (0.5, "reached", "information", "validation at least 50.00 % in "),
        (1.0, "missed", "warning", "validation 98.22 % in the last epoch (2), 1.78 points below "),
    ],
)
async def test_a_finished_run_has_a_verdict(
    accuracy: float, word: str, severity: str, message: str
) -> None:
    app, _ = window(FINISHED, config=RunConfig(target_accuracy=accuracy, last=1))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, FINISHED)
        line = "".join(cell.text for cell in state_cells(app.live_run))
        assert f"target {word}" in line
        (shown,) = app._notifications
        assert (shown.title, shown.severity) == (f"target {word}", severity)
        assert shown.message.startswith(message)
    assert f"\ntarget {word}: {shown.message}" in exit_message(app)[1]


async def test_the_status_line_counts_the_last_epochs_so_far() -> None:
    app, _ = window(MID_RUN, config=RunConfig(target_accuracy=0.5, last=2))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MID_RUN)
        epochs = min(2, len(app.live_run.history.epochs))
        cells = state_cells(app.live_run)
        assert cells[-1].text == f" · {epochs}/2 ≥ 50.00 %"


async def test_a_run_without_a_target_has_no_verdict() -> None:
    app, _ = window(FINISHED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, FINISHED)
        assert not any("target" in cell.text for cell in state_cells(app.live_run))
        assert not app._notifications
    assert "target" not in exit_message(app)[1]
