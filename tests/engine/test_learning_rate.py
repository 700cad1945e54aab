from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.engine.runs import ScriptedInbox, bare_config, of, run
from tui_trainer.engine import loop
from tui_trainer.engine.run import Run
from tui_trainer.protocol.commands import SetBaseLr, SetBatchSize
from tui_trainer.protocol.config import SCHEDULES
from tui_trainer.protocol.events import StepDone
from tui_trainer.protocol.schedules import factor


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_lr_of_each_step_is_base_times_schedule(tiny: Path, schedule: str) -> None:
    config = bare_config(tiny, schedule=schedule, epochs=3, step_size=1, gamma=0.5)
    inbox = ScriptedInbox({4: [SetBaseLr(0.02)], 9: [SetBaseLr(0.3)]})

    steps = of(StepDone, run(config, inbox))

    for before, step in pairwise([None, *steps]):
        assert step is not None
        seen = before.images if before else 0
        base = 0.05 if step.step <= 4 else 0.02 if step.step <= 9 else 0.3
        assert step.lr == pytest.approx(base * factor(config, seen / 110), rel=1e-12)
    if schedule != "constant":
        assert len({step.lr for step in steps}) > 3 - 1


def test_the_reported_lr_is_the_lr_of_the_update(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SGD without momentum changes each weight by lr × gradient."""
    rates: list[float] = []
    train_step = loop.train_step

    def measuring(run: Run) -> None:
        weight = next(run.model.parameters())
        before = weight.detach().clone()
        train_step(run)
        assert weight.grad is not None
        rates.append(float((before - weight.detach()).norm() / weight.grad.norm()))

    monkeypatch.setattr(loop, "train_step", measuring)
    config = bare_config(tiny, momentum=0.0, nesterov=False, weight_decay=0.0, schedule="cosine")

    steps = of(StepDone, run(config, ScriptedInbox({3: [SetBaseLr(0.5)]})))

    assert rates == pytest.approx([step.lr for step in steps], rel=1e-3)


def test_the_schedule_depends_on_images_not_on_steps(tiny: Path) -> None:
    config = bare_config(tiny, schedule="cosine")
    rates = []
    for script in ({}, {2: [SetBatchSize(8)], 9: [SetBatchSize(4)]}):
        steps = of(StepDone, run(config, ScriptedInbox(script)))
        rates.append({step.images - step.batch_size: step.lr for step in steps})

    assert len(rates[1]) > len(rates[0])
    common = rates[0].keys() & rates[1].keys()
    assert len(common) > 7
    assert all(rates[0][images] == rates[1][images] for images in common)
