"""Without an assistant the engine trains the same run, and answers no questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.runs import FakeClock, ScriptedInbox, of, only, tiny_config
from tests.protocol.questions import CHECK
from tests.training import train as train_with_laboratory
from tui_trainer.engine.loop import train
from tui_trainer.protocol.commands import Inbox, SetBatchSize, Stop
from tui_trainer.protocol.events import (
    CommandRejected,
    EpochDone,
    RunFinished,
    RunStarted,
    SettingChanged,
    StepDone,
)
from tui_trainer.protocol.probed import UpdateProbed


@pytest.mark.parametrize("model", ["small", pytest.param("era-s6-dropout", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_run_with_and_without_an_assistant(
    tiny: Path, model: str
) -> None:
    config = tiny_config(tiny, model=model)
    alone = list(train(config, Inbox(), clock=FakeClock()))
    assisted = list(train_with_laboratory(config, Inbox(), clock=FakeClock()))

    for kind in (StepDone, UpdateProbed, EpochDone, RunFinished):
        assert of(kind, alone) == of(kind, assisted)
        assert of(kind, alone)


def test_without_an_assistant_there_are_no_layers_and_no_review(tiny: Path) -> None:
    started = only(RunStarted, list(train(tiny_config(tiny), Inbox(), clock=FakeClock())))
    assert (started.layers, started.review) == ((), ())


def test_a_question_is_rejected_and_a_command_applied(tiny: Path) -> None:
    inbox = ScriptedInbox({3: [CHECK, SetBatchSize(20)]}, [[Stop()]])
    events = list(train(tiny_config(tiny), inbox, interactive=True, clock=FakeClock()))

    assert only(CommandRejected, events).command == "check"
    assert only(SettingChanged, events).new == 20
    assert only(RunFinished, events).reason == "completed"
