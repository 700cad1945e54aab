"""A trainer whose ``commands.jsonl`` has garbage, floods, other files in its place, or is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.runs import of, only
from tests.faults.forks import Child
from tests.faults.runs import begin, resumed, small_run
from tests.faults.senders import BY, SteeredInbox, answers, send
from tui_trainer.cli.starts import Job, Start
from tui_trainer.protocol.commands import (
    Command,
    EvaluateTest,
    Pause,
    Resume,
    Rewind,
    RunEpoch,
    RunStep,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
    SetEpochs,
    Stop,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Diverged,
    EpochDone,
    Event,
    RunFinished,
    SettingChanged,
    StateChanged,
    StepDone,
)
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.recording import command_file
from tui_trainer.recording.command_file import create, to_line
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.recorder import Recorder

STEPS = 21
"""The steps of the run: three epochs of seven."""


def trained(path: Path, config: RunConfig, *script: object, first: int = 0) -> list[Event]:
    """Train with a script of commands; return the recorded events."""
    inbox = SteeredInbox(path, script, first)  # type: ignore[arg-type]
    for _ in begin(path, config, inbox):
        pass
    return recorded(path)


def recorded(path: Path) -> list[Event]:
    return list(RunFolder(path).read_events().events)


def assert_complete(events: list[Event]) -> None:
    assert only(RunFinished, events).reason == "completed"
    assert [event.step for event in of(StepDone, events)] == list(range(1, STEPS + 1))


def assert_applied(events: list[Event], lr: float = 0.01) -> None:
    """The run is complete, and the one valid command was applied and answered."""
    assert_complete(events)
    assert only(SettingChanged, events).new == lr
    assert only(CommandApplied, events).by == BY


# --- what is in the file

TOO_NEW = f'{{"command": "Land", "height": 3, "request": "new", "schema": {SCHEMA + 1}}}\n'

CONTENTS = {
    "text": b"pause\n" * 99,
    "json": b'{"a": 1}\n[]\n17\n"Pause"\nnull\n{"command": null}\n',
    "binary": bytes(range(256)) * 64,
    "half a line": to_line(Stop()).encode()[:30],
    "only line breaks": b"\n" * 50_000,
    "a line of 1 MB": b"x" * 1_000_000,
    "half a line of JSON of 1 MB": b'{"command": "Stop", "by": "' + b"x" * 1_000_000,
    "deep JSON": b'{"command": ' + b"[" * 4_000 + b"\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_garbage_before_a_command(config: RunConfig, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run"
    events = trained(path, config, (3, lambda: write(path, content)), (3, [SetBaseLr(0.01)]))
    assert_applied(events)
    reported = of(CommandRejected, events)
    assert len(reported) <= 1, "it is reported once"
    assert all(event.command == "commands.jsonl" for event in reported)


def write(path: Path, content: bytes) -> None:
    with RunFolder(path).commands.open("ab") as file:
        file.write(content)


def test_a_command_from_a_later_version_is_answered(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"
    later = (3, lambda: write(path, TOO_NEW.encode()))
    events = trained(path, config, later, (3, [SetBaseLr(0.01)]))
    assert_applied(events)
    rejected = answers(events)["new"]
    assert isinstance(rejected, CommandRejected)
    assert rejected.command == "Land"
    assert "was sent by a newer mnist-tui" in rejected.reason


@pytest.mark.slow
@pytest.mark.parametrize("is_command", [False, True])
def test_a_million_lines_while_it_trains(
    config: RunConfig, tmp_path: Path, is_command: bool
) -> None:
    path = tmp_path / "run"
    line = f"{to_line(SetDropout(0.2, by='flood@lab-3', request='x'))}\n" if is_command else "x\n"
    children: list[Child] = []

    def flood() -> None:
        for _ in range(100):
            write(path, line.encode() * 10_000)

    events = trained(
        path,
        config,
        (2, lambda: children.append(Child(flood, tmp_path / "said"))),
        (15, lambda: children[0].wait()),
        (15, [SetBaseLr(0.01)]),
    )
    assert RunFolder(path).commands.read_bytes().count(b"\n") == 1_000_001
    assert_complete(events)
    assert len(events) < 5_000
    (changed,) = [event for event in of(SettingChanged, events) if event.setting == "base_lr"]
    assert changed.by == BY
    assert len([event for event in of(CommandRejected, events) if not event.request]) <= 2


@pytest.mark.slow
def test_two_senders_at_once(config: RunConfig, tmp_path: Path) -> None:
    """The run is paused meanwhile; every command of both processes is answered once."""
    path, sent = tmp_path / "run", 200
    config = small_run(Path(str(config.data_dir)), epochs=1)

    def sending(name: str) -> Child:
        def work() -> None:
            for number in range(sent):
                value = SetBaseLr(0.001 * (number + 1)) if number % 3 else SetBatchSize(0)
                send(path, value, name)

        return Child(work, tmp_path / name)

    def both() -> None:
        for child in [sending("a@one"), sending("b@two")]:
            assert child.wait().code == 0, child.output()
        send(path, Resume())

    events = trained(path, config, (3, [Pause()]), (3, both))
    found = answers(events)
    for name in ("a@one", "b@two"):
        mine = [event for event in found.values() if event.by == name]
        assert len(mine) == sent
        assert len(of(CommandRejected, mine)) == len(range(0, sent, 3))
    assert len(found) == 2 * sent + 2
    assert len(of(SettingChanged, events)) == 2 * sent - 2 * 67
    assert only(RunFinished, events).reason == "completed"


# --- what is in its place


def fresh(path: Path, content: bytes = b"") -> None:
    RunFolder(path).commands.unlink()
    create(RunFolder(path).commands)
    write(path, content)


def emptied(path: Path) -> None:
    RunFolder(path).commands.write_bytes(b"")


def replaced(path: Path) -> None:
    copy = path / "copy"
    copy.write_bytes(RunFolder(path).commands.read_bytes())
    os.replace(copy, RunFolder(path).commands)


@pytest.mark.parametrize("change", [fresh, pytest.param(emptied, marks=pytest.mark.slow), replaced])
def test_a_file_that_changes_while_it_trains(
    config: RunConfig, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "run"

    def polled() -> None:
        change(path)
        time.sleep(3 * command_file.INTERVAL)  # so that the trainer sees the file as it is

    events = trained(path, config, (3, [SetBaseLr(0.02)]), (5, polled), (5, [SetBaseLr(0.01)]))
    assert_complete(events)
    assert [event.new for event in of(SettingChanged, events)] == [0.02, 0.01]
    assert not of(CommandRejected, events)


def linked(path: Path) -> None:
    target = path / "other"
    target.write_text(f"{to_line(Stop(request='x'))}\n")
    RunFolder(path).commands.symlink_to(target)


def piped(path: Path) -> None:
    os.mkfifo(RunFolder(path).commands)


@pytest.mark.parametrize(
    "place",
    [pytest.param(linked, marks=pytest.mark.slow), piped, lambda path: None],
    ids=["link", "pipe", "none"],
)
def test_what_is_no_file_is_ignored_and_the_run_trains_on(
    config: RunConfig, tmp_path: Path, place: Callable[[Path], None]
) -> None:
    path = tmp_path / "run"

    def change() -> None:
        RunFolder(path).commands.unlink()
        place(path)
        time.sleep(3 * command_file.INTERVAL)

    events = trained(path, config, (3, change))
    assert_complete(events)
    assert len(of(CommandRejected, events)) == (0 if place not in (linked, piped) else 1)
    assert not answers(events)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_the_file_of_another_user(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"

    def change() -> None:
        os.chown(RunFolder(path).commands, 65_534, -1)
        send(path, Stop())
        time.sleep(3 * command_file.INTERVAL)

    events = trained(path, config, (3, change))
    assert_complete(events)
    assert "belongs to another user than the run" in only(CommandRejected, events).reason


def test_a_folder_that_is_renamed(config: RunConfig, tmp_path: Path) -> None:
    """The open files go on: neither steps nor commands are lost."""
    path, moved = tmp_path / "run", tmp_path / "moved"
    config = small_run(Path(str(config.data_dir)), epochs=3)
    inbox = SteeredInbox(moved, [(3, lambda: path.rename(moved)), (4, [SetBaseLr(0.01)])])
    for _ in begin(path, config, inbox):
        pass
    assert_applied(recorded(moved))


# --- when they come


def test_a_clock_that_jumps(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps: Iterator[float] = iter([0.0, 1e10, -1e10, 1e9] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    events = trained(tmp_path / "run", config, (3, [SetBaseLr(0.01)]))
    assert_applied(events)


def test_commands_from_before_a_resume_are_not_applied(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"
    trained(path, config, (9, [SetBaseLr(0.02), Stop(test=False)]))
    send(path, SetBaseLr(0.5))
    write(path, to_line(Stop()).encode()[:20])
    script = [(12, [SetBaseLr(0.01)])]
    settings, inbox, start = resumed(path, lambda step: SteeredInbox(path, script, step))
    for _ in start(settings, inbox):
        pass
    events = recorded(path)
    assert_complete(events)
    assert [event.new for event in of(SettingChanged, events)] == [0.02, 0.01]


def test_commands_while_it_is_paused(config: RunConfig, tmp_path: Path) -> None:
    events = trained(
        tmp_path / "run",
        config,
        (3, [Pause()]),
        (3, [SetBaseLr(0.02), RunStep()]),
        (4, [EvaluateTest()]),
        (4, [RunEpoch()]),
        (7, [SetBaseLr(0.01), Resume()]),
    )
    assert_complete(events)
    steps = [answer.step for answer in answers(events).values()]
    assert steps == [3, 3, 3, 4, 4, 7, 7]
    assert not of(CommandRejected, events)
    paused = [event.step for event in of(StateChanged, events) if event.state == "paused"]
    assert [step for place, step in enumerate(paused) if step not in paused[:place]] == [3, 4]


def test_commands_during_validation(config: RunConfig, tmp_path: Path) -> None:
    """Those of the last epoch can add epochs; a pause has no batch left to come before."""
    path = tmp_path / "run"
    sent: dict[int, list[Command]] = {1: [SetBaseLr(0.01)], 3: [SetEpochs(4)], 4: [Pause()]}
    inbox = SteeredInbox(path, [])
    epoch = 0
    for event in begin(path, config, inbox):
        if isinstance(event, StateChanged) and event.state == "validating":
            epoch += 1
            inbox.wait_for([send(path, command) for command in sent.get(epoch, [])])
    events = recorded(path)
    assert [event.epoch for event in of(EpochDone, events)] == [1, 2, 3, 4]
    assert only(RunFinished, events).reason == "completed"
    lr, epochs, pause = answers(events).values()
    assert [type(lr), type(epochs), type(pause)] == [
        *(CommandApplied, CommandApplied, CommandRejected)
    ]
    assert isinstance(pause, CommandRejected)
    assert pause.reason == "the last epoch is done"


def diverging(config: RunConfig) -> RunConfig:
    settings = {"schedule": "constant", "weight_decay": 0.0, "batch_size": 10, "epochs": 2}
    return small_run(Path(str(config.data_dir)), **{"model": "era-s6-plain", **settings})


def test_a_diverged_run_ends_without_a_window(config: RunConfig, tmp_path: Path) -> None:
    script = [(5, [SetBaseLr(1_000.0)])]
    events = trained(tmp_path / "run", diverging(config), *script)
    assert only(RunFinished, events).reason == "diverged"
    assert len(answers(events)) == 1


def test_a_diverged_run_with_a_window_takes_a_rewind_or_a_stop(
    config: RunConfig, tmp_path: Path
) -> None:
    path, settings = tmp_path / "run", diverging(config)
    inbox = SteeredInbox(path, [(5, [SetBaseLr(1_000.0)])])
    start = Start(Job(Recorder.create(path, settings.resolved())), interactive=True)
    ids: list[str] = []
    events: list[Event] = []
    for event in start(settings, inbox):
        events.append(event)
        if isinstance(event, Diverged):
            is_first = len(of(Diverged, events)) == 1
            last = Rewind(0.01) if is_first else Stop()
            ids += [send(path, each) for each in (SetBaseLr(0.1), Pause(), Rewind(-1.0), last)]
        if isinstance(event, CommandApplied) and event.command == "Rewind":
            inbox.wait_for([send(path, SetBaseLr(1_000.0))])
        if isinstance(event, RunFinished):
            inbox.send(Stop())  # it answers questions until then
    assert only(RunFinished, events).reason == "diverged"
    found = answers(events)
    rejected = [isinstance(found[request], CommandRejected) for request in ids]
    assert rejected == [True, True, True, False] * 2
