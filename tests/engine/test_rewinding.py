"""A diverged run waits for a command, and rewinds to its last good checkpoint."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only
from tests.training import train
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.history.history import History
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.commands import (
    Command,
    Pause,
    Resume,
    Rewind,
    SetBaseLr,
    SetBatchSize,
    Stop,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandRejected,
    Diverged,
    EpochDone,
    Event,
    Rewound,
    RunFinished,
    SettingChanged,
    StateChanged,
    StepDone,
)
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RunFolder

WRECK = 1_000.0
"""A learning rate after which no loss is finite."""


def config(tiny: Path) -> RunConfig:
    return bare_config(
        tiny, model="era-s6-plain", schedule="constant", weight_decay=0.0, batch_size=10
    )


def diverged_run(
    tiny: Path, answers: list[list[Command]], store: CheckpointStore | None = None
) -> tuple[list[Event], ScriptedInbox]:
    """Train to the middle of epoch 2, diverge, and send these commands."""
    # After its end the run answers questions until a stop.
    after: list[list[Command]] = [*answers, [Stop()]]
    inbox = ScriptedInbox({14: [SetBatchSize(5)], 15: [SetBaseLr(WRECK)]}, after)
    events = train(config(tiny), inbox, store=store, interactive=True, clock=FakeClock())
    return list(events), inbox


def test_rewind_restores_the_checkpoint_and_keeps_the_knobs(tiny: Path) -> None:
    events, _ = diverged_run(tiny, [[Rewind(0.01)]])
    diverged, back = only(Diverged, events), only(Rewound, events)
    # The last good checkpoint is of the end of epoch 1: 11 batches of 10.
    assert diverged.last_good_step == 11
    assert (back.step, back.epoch, back.images) == (11, 1, 110)
    assert back.from_step == diverged.step
    after = events[events.index(back) :]
    changes = {event.setting: (event.old, event.new) for event in of(SettingChanged, after)}
    assert changes == {"base_lr": (0.05, 0.01), "batch_size": (10, 5)}
    assert [event.epoch for event in of(EpochDone, after)] == [2]
    assert all(math.isfinite(step.loss) for step in of(StepDone, after))
    assert only(RunFinished, events).reason == "completed"


def test_the_epoch_after_a_rewind_sees_every_image_once(tiny: Path) -> None:
    events, _ = diverged_run(tiny, [[Rewind(0.01)]])
    after = of(StepDone, events[events.index(only(Rewound, events)) :])
    assert sum(step.batch_size for step in after) == 110
    assert [step.step for step in after] == list(range(12, 12 + len(after)))


def test_a_history_rewinds_too(tiny: Path) -> None:
    events, _ = diverged_run(tiny, [[Rewind(0.01)]])
    history = History()
    for event in events[: events.index(only(Rewound, events)) + 1]:
        history.apply(event)
    assert history.last_step is not None
    assert (history.last_step.step, history.epoch) == (11, 1)
    assert max(history.train_loss.x) <= 1.0
    assert history.divergence is None
    assert [epoch.epoch for epoch in history.epochs] == [1]
    assert history.interventions == []
    assert history.settings["base_lr"] == 0.05


def test_a_non_interactive_run_does_not_wait(tiny: Path) -> None:
    inbox = ScriptedInbox({15: [SetBaseLr(WRECK)]})
    events = list(train(config(tiny), inbox, clock=FakeClock()))
    assert only(RunFinished, events).reason == "diverged"
    assert inbox.waits == []


def test_impossible_commands_are_rejected_with_the_reason(tiny: Path) -> None:
    events, _ = diverged_run(tiny, [[SetBatchSize(8), Pause()], [Rewind(-1.0)], [Resume(), Stop()]])
    reasons = [event.reason for event in of(CommandRejected, events)]
    assert reasons[:2] == ["the run has diverged; rewind or stop it"] * 2
    assert "learning rate" in reasons[2]
    assert only(RunFinished, events).reason == "diverged"


def test_a_run_that_has_not_diverged_is_not_rewound(tiny: Path) -> None:
    inbox = ScriptedInbox({3: [Rewind(0.1)]}, [[Stop()]])
    events = list(train(config(tiny), inbox, interactive=True, clock=FakeClock()))
    assert only(CommandRejected, events).reason == "the run has not diverged"
    assert len(of(StepDone, events)) == 22


def test_it_can_diverge_and_be_rewound_again(tiny: Path) -> None:
    events, _ = diverged_run(tiny, [[Rewind(WRECK)], [Rewind(0.01)]])
    assert [event.step for event in of(Rewound, events)] == [11, 11]
    assert only(RunFinished, events).reason == "completed"


@pytest.mark.parametrize("interactive", [False, True])
def test_the_last_good_checkpoint_is_never_overwritten(
    tiny: Path, tmp_path: Path, interactive: bool
) -> None:
    class Watching(CheckpointStore):
        def keep(self, state: Checkpoint, *args: object, **more: object):  # type: ignore[no-untyped-def]
            for name, tensor in state.part("model").items():
                assert bool(tensor.isfinite().all()), name
            return super().keep(state, *args, **more)  # type: ignore[arg-type]

    store = Watching(RunFolder(tmp_path).checkpoints, seconds=0.0)  # saves after each step
    inbox = ScriptedInbox({15: [SetBaseLr(WRECK)]}, [[Stop()], [Stop()]])
    events = list(
        train(config(tiny), inbox, store=store, interactive=interactive, clock=FakeClock())
    )
    diverged = only(Diverged, events)
    assert 15 <= diverged.last_good_step < diverged.step
    assert read_metadata(RunFolder(tmp_path).checkpoint("last"))["step"] == diverged.last_good_step


def test_the_state_is_diverged_while_waiting(tiny: Path) -> None:
    events, inbox = diverged_run(tiny, [[Rewind(0.01)]])
    after = events[events.index(only(Rewound, events)) :]
    assert of(StateChanged, after)[0].state == "training"
    assert len(inbox.waits) == 2  # for the rewind, and for questions after the end
