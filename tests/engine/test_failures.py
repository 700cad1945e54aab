from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.runs import ScriptedInbox, of, only, run, tiny_config
from tests.training import train
from tui_trainer.engine import loop
from tui_trainer.engine.run import Run
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    Diverged,
    EpochDone,
    Event,
    RunFinished,
    StepDone,
    TestEvaluated,
)


def diverging(folder: Path, **settings: Any) -> RunConfig:
    return tiny_config(
        folder,
        model="era-s6-plain",
        lr=1_000.0,
        schedule="constant",
        weight_decay=0.0,
        batch_size=8,
        **settings,
    )


def test_a_diverged_run_reports_it_and_skips_the_test_set(tiny: Path) -> None:
    events = run(diverging(tiny))

    *_, step, diverged, end = events
    assert isinstance(step, StepDone)
    assert not math.isfinite(step.loss)
    assert all(math.isfinite(earlier.loss) for earlier in of(StepDone, events)[:-1])
    assert diverged == Diverged(step=step.step, epoch=step.epoch, lr=1_000.0)
    assert isinstance(end, RunFinished)
    assert (end.reason, end.test_accuracy, end.test_loss, end.test_evaluations) == (
        "diverged",
        None,
        None,
        0,
    )
    assert (end.test_correct, end.test_total, end.test_interval) == (None, None, None)
    assert not of(TestEvaluated, events)


def test_diverged_reports_the_lr_of_its_step(tiny: Path) -> None:
    config = RunConfig(**diverging(tiny).as_dict() | {"schedule": "cosine"})

    events = run(config)

    assert only(Diverged, events).lr == of(StepDone, events)[-1].lr


@pytest.mark.parametrize(
    ("val_size", "value"),
    [
        (0, math.inf),
        (10, math.nan),
        (10, 3e38),
    ],  # the last loss is finite, but no logit after it is
)
def test_non_finite_weights_after_the_last_update_are_detected(
    tiny: Path, val_size: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No loss is computed after it: only the weights or the validation show it."""
    train_step = loop.train_step

    def breaking_weights(run: Run) -> None:
        train_step(run)
        if run.batches.stream.remaining == 0:
            for weight in run.model.parameters():
                weight.data.fill_(value)

    monkeypatch.setattr(loop, "train_step", breaking_weights)

    events = run(tiny_config(tiny, val_size=val_size, epochs=1))

    assert math.isfinite(of(StepDone, events)[-1].loss)
    assert only(Diverged, events).step == len(of(StepDone, events))
    assert not of(EpochDone, events)
    assert only(RunFinished, events).reason == "diverged"
    assert only(RunFinished, events).test_evaluations == 0


def test_a_run_stopped_with_non_finite_weights_has_diverged(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = loop.train_step

    def breaking_weights(run: Run) -> None:
        train_step(run)
        next(run.model.parameters()).data.fill_(math.inf)

    monkeypatch.setattr(loop, "train_step", breaking_weights)

    events = run(tiny_config(tiny), ScriptedInbox({1: [Stop()]}))

    assert only(RunFinished, events).reason == "diverged"
    assert not of(TestEvaluated, events)


def refusal(config: RunConfig) -> tuple[list[Event], str]:
    events: list[Event] = []
    with pytest.raises(InputError) as caught:
        events.extend(train(config, Inbox()))
    text = str(caught.value)
    assert text.isprintable()
    return events, text


def test_untrainable_configs_are_refused_in_one_line(tiny: Path) -> None:
    assert "--val-size 120" in refusal(tiny_config(tiny, val_size=120))[1]
    assert "--train-size 111" in refusal(tiny_config(tiny, train_size=111))[1]
    assert "nowhere" in refusal(tiny_config(tiny / "nowhere"))[1]


def test_a_missing_device_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert "--device cuda" in refusal(tiny_config(tiny, device="cuda"))[1]


def test_dropout_for_a_model_without_it_is_refused_before_data_is_read(tiny: Path) -> None:
    events, text = refusal(tiny_config(tiny / "nowhere", model="small", dropout=0.1))

    assert "--dropout 0.1: small has no dropout layer" in text
    assert events == []
