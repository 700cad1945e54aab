"""A recorded run: questions are answered, test evaluations counted, nothing else changes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.runs import FakeClock, ScriptedInbox, of, only, tiny_config
from tests.protocol.questions import answers, ask_field, ask_view, exhibit_of
from tests.training import train
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.resuming import Resumption
from tui_trainer.history.history import History
from tui_trainer.lab.standalone import inspect_run
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Command, EvaluateTest, Inbox, SetBaseLr, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandRejected,
    Event,
    RunStarted,
    StateChanged,
    TestEvaluated,
)
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.recorder import Recorder

OPENS = ask_view("confusion", (("images", "test"),), mode="confirmed")


def config(tiny: Path, **settings: object) -> RunConfig:
    return tiny_config(tiny, model="mlp", **settings)


@pytest.fixture(scope="module")
def once(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs, with a checkpoint of each."""
    path = tmp_path_factory.mktemp("once") / "it"
    recorder = Recorder.create(path, config(tiny).resolved())
    store = CheckpointStore(recorder.folder.checkpoints, recorder.position, every=1)
    events = train(config(tiny), Inbox(), store=store, clock=FakeClock())
    for _ in recorder.record(events):
        pass
    return path


@pytest.fixture
def folder(once: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(once, tmp_path / "it"))


def inspected(
    tiny: Path,
    folder: RunFolder,
    *commands: Command,
    checkpoint: str = "last",
    evaluations: int = 1,
) -> list[Event]:
    path = folder.checkpoint(checkpoint)
    inbox = ScriptedInbox(paused=[*([command] for command in commands), [Stop()]])
    resume = Resumption(read_checkpoint(path), path, evaluations)
    return list(inspect_run(config(tiny), inbox, folder, resume, clock=FakeClock()))


def content(folder: RunFolder) -> dict[str, str]:
    """Return the content of every file of the folder except the lock."""
    files = (path for path in folder.path.rglob("*") if path.is_file() and path != folder.lock)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(("checkpoint", "step"), [("last", 14), ("epoch-1", 7)])
def test_answers_use_the_weights_of_the_checkpoint(
    tiny: Path, folder: RunFolder, checkpoint: str, step: int
) -> None:
    before = content(folder)
    questions = (ask_view("confusion"), ask_field(place=0, row=0, column=0))
    events = inspected(tiny, folder, *questions, checkpoint=checkpoint)
    reported = answers(events, "view")[0]
    assert reported.step == step
    right = read_metadata(folder.checkpoint(checkpoint))["val_accuracy"]
    assert f"Accuracy {100 * right:.2f} %" in exhibit_of(reported).evidence
    assert answers(events, "field")[0].step == step
    assert not of(CommandRejected, events)
    assert content(folder) == before


def test_its_state_names_folder_and_checkpoint(tiny: Path, folder: RunFolder) -> None:
    history = History()
    for event in (*folder.read_events().events, *inspected(tiny, folder)):
        history.apply(event)
    assert history.is_viewing
    assert history.is_over
    assert history.detail == "it · checkpoint last"
    assert len(history.epochs) == 2


def test_commands_that_change_the_run_are_rejected(tiny: Path, folder: RunFolder) -> None:
    before = content(folder)
    events = inspected(tiny, folder, SetBaseLr(0.1), EvaluateTest())
    refused = of(CommandRejected, events)
    assert [event.command for event in refused] == ["SetBaseLr", "EvaluateTest"]
    assert {event.reason for event in refused} == {
        "this is a recorded run: only questions are answered"
    }
    assert content(folder) == before


def test_a_test_evaluation_is_counted_once_in_the_folder(tiny: Path, folder: RunFolder) -> None:
    events = inspected(tiny, folder, OPENS, OPENS)
    assert only(TestEvaluated, events).evaluation == 2
    certainties = [exhibit_of(event).evidence for event in answers(events, "view")]
    assert ["test evaluation 2" in words for words in certainties] == [True, True]
    recorded = folder.read_events()
    assert recorded.test_evaluations == 2
    assert recorded.events[-1] == only(TestEvaluated, events)
    # The next process reads the count from the folder, not from its own start.
    again = inspected(tiny, folder, OPENS, evaluations=1)
    assert only(TestEvaluated, again).evaluation == 3


def test_a_run_in_use_is_shown_without_test_evaluations(tiny: Path, folder: RunFolder) -> None:
    recorded = folder.read_events()
    other = Recorder.reopen(folder, recorded, recorded.events)
    before = content(folder)
    try:
        sealed = ask_view("confusion", (("images", "test"),))
        events = inspected(tiny, folder, ask_view("confusion"), OPENS, sealed)
    finally:
        other.close()
    assert "in use" in only(CommandRejected, events).reason
    assert not of(TestEvaluated, events)
    shown, closed = answers(events, "view")
    assert "validation" in exhibit_of(shown).evidence
    assert "test evaluation 2" in exhibit_of(closed).trains
    assert content(folder) == before


def test_a_test_evaluation_that_cannot_be_recorded_is_not_shown(
    tiny: Path, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Recorder, event: Event, *, wait: bool = False) -> Iterator[Event]:
        raise InputError("the disk is full")

    monkeypatch.setattr(Recorder, "write", full)
    events = inspected(tiny, folder, OPENS, ask_view("confusion", (("images", "test"),)))
    assert "full" in only(CommandRejected, events).reason
    closed = only(Answered, events)
    assert "test evaluation 2" in exhibit_of(closed).trains
    assert folder.read_events().test_evaluations == 1


def test_a_checkpoint_of_other_data_is_refused(
    tiny: Path, folder: RunFolder, tmp_path: Path
) -> None:
    path = folder.checkpoint("last")
    resume = Resumption(read_checkpoint(path), path)
    other = config(tiny, val_size=20)
    with pytest.raises(InputError, match="was trained on other data"):
        list(inspect_run(other, Inbox(), folder, resume, clock=FakeClock()))


def test_no_training_events_are_emitted(tiny: Path, folder: RunFolder) -> None:
    events = inspected(tiny, folder, ask_view("confusion"))
    assert not of(RunStarted, events)
    assert {type(event) for event in events} == {StateChanged, Answered}
