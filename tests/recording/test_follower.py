"""Following a run of another process: its events, its trainer, and commands for it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.protocol.facts import changed, epoch_done, evaluated, finished, started, step
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import Command, Inbox, Pause, SetBaseLr, Stop
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Event,
    RecordingStarted,
    RecordRead,
    Rewound,
    RunFailed,
    RunResumed,
    StateChanged,
    to_json,
)
from tui_trainer.recording import command_file
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.follower import (
    CHECK_SECONDS,
    CONFIRM_SECONDS,
    NO_TRAINER,
    TAKEOVER_SECONDS,
    UNCONFIRMED,
    Follower,
)
from tui_trainer.recording.journal import PART
from tui_trainer.recording.lock import Lock

LONG = "a long name " * (PART // 10)
SENDER = "ada@lab"

Act = Callable[[], object]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Script(Inbox):
    """Performs one act each time the follower waits, then stops it; no time passes otherwise."""

    def __init__(self, clock: Clock, acts: Iterable[Act], seconds: float) -> None:
        super().__init__()
        self._clock, self._acts, self._seconds = clock, iter(acts), seconds

    def wait(self, seconds: float) -> None:
        self._clock.now += self._seconds
        act = next(self._acts, None)
        if act is None:
            self.send(Stop(test=False))
        else:
            act()


@dataclass
class Trainer:
    """A trainer that was started by the window."""

    is_running: bool = True
    problem: str = ""

    def end(self, problem: str = "") -> None:
        self.is_running, self.problem = False, problem


@dataclass
class Run:
    """A run folder, and what happens to it while it is followed."""

    folder: RunFolder
    lock: Lock | None = None
    trainer: Trainer | None = None
    seconds: float = CHECK_SECONDS
    clock: Clock = field(default_factory=Clock)
    inbox: Inbox = field(default_factory=Inbox)

    def write(self, *events: Event) -> None:
        self.append("".join(f"{to_json(event)}\n" for event in events))

    def append(self, text: str) -> None:
        with self.folder.events.open("a", encoding="utf-8", newline="") as file:
            file.write(text)

    def writes(self, *events: Event) -> Act:
        return lambda: self.write(*events)

    def appends(self, text: str) -> Act:
        return lambda: self.append(text)

    def train(self) -> None:
        self.lock = self.lock or Lock(self.folder.lock)

    def die(self) -> None:
        if self.lock is not None:
            self.lock.release()
        self.lock = None

    def sends(self, command: Command) -> Act:
        return lambda: self.inbox.send(replace(command, by=SENDER))

    def sent(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.folder.commands.read_text().splitlines()]

    def followed(self, *acts: Act) -> list[Event]:
        """Follow the run during these acts; return the events after the record."""
        record, *events = self.all_events(*acts)
        assert isinstance(record, RecordRead)
        return events

    def all_events(self, *acts: Act) -> list[Event]:
        self.inbox = Script(self.clock, acts, self.seconds)
        follower = Follower(self.folder, self.trainer, clock=self.clock)
        return list(follower.events(self.inbox))


def idle() -> None:
    """Nothing happens."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run that another process trains: it has started, and trained one batch."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    command_file.create(folder.commands)
    made = Run(folder)
    made.train()
    made.write(started(), step(1))
    yield made
    made.die()


def killed(at: int = 1) -> StateChanged:
    return StateChanged(state="killed", step=at, detail=NO_TRAINER)


def resumed(lines: int, at: int) -> RunResumed:
    return RunResumed(step=at, epoch=1, images=at * 100, threads=1, lines=lines)


def past_of(event: Event) -> list[Event]:
    """Return the recorded events of a reading of the record."""
    assert isinstance(event, RecordRead)
    folder, *past = event.events
    assert isinstance(folder, RecordingStarted)
    return past


# Lines


def test_the_record_comes_first_then_what_is_appended(run: Run) -> None:
    record, *events = run.all_events(run.writes(step(2)), idle, run.writes(step(3), epoch_done()))
    assert past_of(record) == [started(), step(1)]
    assert events == [step(2), step(3), epoch_done()]


@pytest.mark.parametrize("is_late", [False, True], ids=["before it was followed", "after"])
def test_a_line_is_complete_at_its_line_break(run: Run, is_late: bool) -> None:
    whole = f"{to_json(step(2))}\n"
    parts = [whole[:9], whole[9:-1], whole[-1:]]
    if not is_late:
        run.append(parts.pop(0))
    assert run.followed(*map(run.appends, parts)) == [step(2)]


def test_a_line_grows_byte_by_byte_and_splits_a_character(run: Run) -> None:
    text = f"{to_json(StateChanged(state='preparing', step=0, detail='ä…'))}\n".encode()

    def adds(byte: int) -> Act:
        def add() -> None:
            with run.folder.events.open("ab") as file:
                file.write(bytes([byte]))

        return add

    (event,) = run.followed(*map(adds, text))
    assert isinstance(event, StateChanged)
    assert event.detail == "ä…"


def test_many_events_at_once(run: Run) -> None:
    events = [step(number) for number in range(2, 13_000)]
    assert run.followed(run.writes(*events)) == events
    assert run.folder.events.stat().st_size > PART


def test_a_line_that_is_longer_than_one_part(run: Run) -> None:
    long = StateChanged(state="preparing", step=0, detail=LONG)
    assert run.followed(run.writes(long, step(2))) == [long, step(2)]


def test_line_separators_of_unicode_do_not_split_a_line(run: Run) -> None:
    change = StateChanged(state="preparing", step=0, detail="a\u2028b\u2029c\x85d\x0be\x0cf")
    raw = json.dumps(json.loads(to_json(change)), ensure_ascii=False)
    (event,) = run.followed(run.appends(f"{raw}\n"))
    assert isinstance(event, StateChanged)
    assert event.detail == change.detail


@pytest.mark.parametrize("line", ["{}", "no event", '{"event": "Future"}', "", "\0\0"])
def test_a_line_that_is_no_event_is_one_clear_error(run: Run, line: str) -> None:
    with pytest.raises(InputError) as caught:
        run.followed(idle, run.writes(step(2)), run.appends(f"{line}\n"))
    message = str(caught.value)
    assert f"{run.folder.events}, line 4: not an event" in message
    assert "\n" not in message


def test_a_rewind_keeps_what_is_appended_later(run: Run) -> None:
    rewound = Rewound(step=0, epoch=1, images=0, from_step=1, lines=1)
    assert run.followed(run.writes(rewound, step(1))) == [rewound, step(1)]


def test_a_long_record_is_read_in_parts(run: Run) -> None:
    past: list[Event] = [started(), *(step(number) for number in range(1, 13_000))]
    run.write(*past[2:])
    size = run.folder.events.stat().st_size
    *parts, last = run.all_events(run.writes(step(13_000)))
    records = [part for part in parts if isinstance(part, RecordRead)]
    assert last == step(13_000)
    assert [part.continues for part in records] == [False, *[True] * (len(parts) - 1)]
    assert len(records) == -(-size // PART) > 1
    _, *events = itertools.chain.from_iterable(part.events for part in records)
    assert events == past
    state = RunState.of(records)
    assert state.folder == str(run.folder.path)
    state.folder = None
    assert state == RunState.of(past)


# A resume


def test_after_a_resume_the_record_is_read_again(run: Run) -> None:
    run.write(step(2), step(3))
    again, *events = run.followed(idle, run.writes(resumed(3, 2)), run.writes(step(3, loss=0.4)))
    assert past_of(again) == [started(), step(1), step(2), resumed(3, 2)]
    assert events == [step(3, loss=0.4)]


def test_events_that_come_with_the_resume_are_part_of_the_record(run: Run) -> None:
    new = resumed(2, 1), step(2, loss=0.4)
    (again,) = run.followed(run.writes(step(2), *new))[1:]
    assert past_of(again) == [started(), step(1), *new]


def test_a_resume_removes_a_half_line_and_continues_after_it(run: Run) -> None:
    run.append('{"event": "StepD')

    def resume() -> None:
        whole = run.folder.events.read_bytes().rpartition(b"\n")[0] + b"\n"
        os.truncate(run.folder.events, len(whole))
        run.write(resumed(2, 1))

    (again,) = run.followed(idle, resume)
    assert past_of(again) == [started(), step(1), resumed(2, 1)]


def test_a_full_disk_makes_the_file_shorter_then_the_same_lines_come_again(run: Run) -> None:
    size = run.folder.events.stat().st_size

    def half() -> None:
        run.write(step(2))
        run.append(to_json(step(3))[:20])

    def take_back() -> None:
        os.truncate(run.folder.events, size)

    events = run.followed(half, take_back, idle, run.writes(step(2), step(3), step(4)))
    assert events == [step(2), step(3), step(4)]


# The trainer


def test_a_trainer_that_is_gone_is_reported_once_and_by_its_lock(run: Run) -> None:
    assert run.followed(idle, run.die, idle, idle) == [killed()]


def test_a_test_evaluation_after_the_death_is_no_second_one(run: Run) -> None:
    """An attached window may evaluate the test set: it holds the lock meanwhile."""
    acts = [run.die, idle, run.train, run.writes(evaluated()), run.die, idle, idle]
    assert run.followed(*acts) == [killed(), evaluated()]


def test_a_run_without_a_trainer_from_the_beginning(run: Run) -> None:
    run.die()
    assert run.followed(idle, idle) == [killed()]


def test_events_just_before_the_death_are_shown_first(run: Run) -> None:
    def last() -> None:
        run.write(step(2))
        run.die()

    assert run.followed(last, idle) == [step(2), killed(2)]


@pytest.mark.parametrize("frees_first", [False, True])
@pytest.mark.parametrize("end", [finished(), RunFailed(message="boom", traceback="")])
def test_a_run_that_has_ended_has_no_trainer_and_nothing_is_wrong(
    run: Run, end: Event, frees_first: bool
) -> None:
    def both() -> None:
        # Between two polls: the lock is free before the end is read.
        run.die()
        run.write(end)

    acts = [both] if frees_first else [run.writes(end), idle, run.die]
    assert run.followed(*acts, *[idle] * 90) == [end]


def test_a_finished_run_stays_finished(run: Run) -> None:
    run.write(finished())
    run.die()
    assert run.followed(*[idle] * 90) == []


def test_a_run_that_was_left_is_given_time_for_its_next_trainer(run: Run) -> None:
    left = finished(reason="detached", step=1)
    run.write(left)
    run.die()
    waits = int(TAKEOVER_SECONDS / CHECK_SECONDS)
    assert run.followed(*[idle] * (waits - 1)) == []
    assert run.followed(*[idle] * (waits + 1)) == [killed()]
    again = resumed(3, 1)
    (read,) = run.followed(*[idle] * (waits - 3), run.train, run.writes(again), *[idle] * 90)
    assert past_of(read)[-1] == again


def test_a_trainer_that_resumes_the_run_and_is_killed_too(run: Run) -> None:
    again = resumed(2, 1)
    events = run.followed(run.die, idle, run.train, run.writes(again), idle, run.die, idle)
    assert [type(event) for event in events] == [StateChanged, RecordRead, StateChanged]
    assert events[0] == events[2] == killed()


def test_a_clock_that_stands_still_or_leaps_changes_nothing_for_a_living_trainer(run: Run) -> None:
    run.seconds = 0.0
    assert run.followed(run.writes(step(2)), idle) == [step(2)]
    run.seconds = 1e9
    assert run.followed(idle, run.writes(step(3)), idle) == [step(3)]


def test_only_one_checkpoint_is_seen_until_there_is_another(run: Run) -> None:
    follower = Follower(run.folder, clock=run.clock)
    seen = []
    last = run.folder.checkpoint("last")

    def save() -> None:
        last.parent.mkdir(exist_ok=True)
        last.with_name("new").write_bytes(b"x")
        os.replace(last.with_name("new"), last)

    def note() -> None:
        seen.append(follower.checkpoint)

    acts = [note, save, note, note, save, note]
    for _ in follower.events(Script(run.clock, acts, CHECK_SECONDS)):
        pass
    assert seen[0] is None
    assert seen[1] == seen[2] != seen[3]


# The folder


@pytest.mark.parametrize("gone", ["moved", "deleted", "other"])
def test_a_folder_that_is_moved_or_deleted_is_one_clear_error(run: Run, gone: str) -> None:
    path = run.folder.path

    def go() -> None:
        if gone != "deleted":
            path.rename(path.with_name("elsewhere"))
        else:
            shutil.rmtree(path)
        if gone == "other":
            path.mkdir()
            run.folder.events.touch()

    with pytest.raises(InputError, match="moved or deleted while it was followed") as caught:
        run.followed(idle, go, idle)
    assert str(caught.value).startswith(str(path))


def test_a_folder_without_events(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Run(RunFolder(tmp_path / "none")).followed()


def test_events_that_may_not_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tui_trainer.recording.follower.FileIO", refuse)
    with pytest.raises(InputError, match=r"events\.jsonl: cannot be read: Permission denied"):
        run.followed()


# Commands


def test_a_command_is_written_with_its_sender_and_an_id(run: Run) -> None:
    assert run.followed(run.sends(SetBaseLr(0.02)), idle) == []
    (sent,) = run.sent()
    assert (sent["command"], sent["value"], sent["by"]) == ("SetBaseLr", 0.02, SENDER)
    assert sent["request"]


@pytest.mark.parametrize("answer", [CommandApplied, CommandRejected])
def test_an_answer_to_a_command_ends_its_wait(run: Run, answer: type) -> None:
    def answers() -> None:
        fields = {"reason": "no"} if answer is CommandRejected else {}
        request = str(run.sent()[0]["request"])
        run.write(answer(command="Pause", step=1, by=SENDER, request=request, **fields))

    events = run.followed(run.sends(Pause()), answers, *[idle] * 30)
    assert [type(event) for event in events] == [answer]


def test_a_command_without_an_answer_is_reported_once(run: Run) -> None:
    waits = int(CONFIRM_SECONDS / CHECK_SECONDS)
    assert run.followed(run.sends(Pause()), *[idle] * (waits - 2)) == []
    (event,) = run.followed(run.sends(Pause()), *[idle] * 30)
    assert isinstance(event, CommandRejected)
    assert (event.command, event.reason, event.by) == ("Pause", UNCONFIRMED, SENDER)


def test_a_command_to_a_run_that_nobody_trains_is_not_written(run: Run) -> None:
    run.die()
    death, event = run.followed(idle, run.sends(Pause()))
    assert death == killed()
    assert isinstance(event, CommandRejected)
    assert event.reason == "no process trains this run now"
    assert run.sent() == []


def test_without_permission_to_write_the_command_is_rejected(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, command: Command) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(command_file, "append", refuse)
    (event,) = run.followed(run.sends(Pause()), *[idle] * 30)
    assert isinstance(event, CommandRejected)
    assert event.reason == "commands.jsonl cannot be written: Permission denied"


def test_the_stop_of_a_user_is_sent_and_that_of_the_window_ends_the_following(run: Run) -> None:
    assert run.followed(run.sends(Stop()), run.writes(step(2))) == [step(2)]
    assert [sent["command"] for sent in run.sent()] == ["Stop"]


def test_what_others_changed_is_shown(run: Run) -> None:
    change = replace(changed("base_lr", 0.1, 0.05), by="bob@home")
    assert run.followed(run.writes(change)) == [change]


# A trainer that this process has started


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Run]:
    """A run whose trainer was started by the window, and has recorded nothing yet."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    made = Run(folder, trainer=Trainer())
    yield made
    made.die()


def test_the_window_waits_for_the_trainer_that_it_has_started(begun: Run) -> None:
    def begin() -> None:
        begun.train()
        begun.write(started())

    preparing, record, *events = begun.all_events(idle, begin, begun.writes(step(1)))
    assert isinstance(preparing, StateChanged)
    assert preparing.detail == "starting the trainer"
    assert past_of(record) == [started()]
    assert events == [step(1)]


def test_a_started_trainer_that_fails_before_it_recorded_anything(begun: Run) -> None:
    assert begun.trainer is not None
    trainer = begun.trainer
    with pytest.raises(InputError, match=r"^--data-dir: no such folder$"):
        begun.all_events(idle, lambda: trainer.end("--data-dir: no such folder"))


def test_a_started_trainer_that_ends_without_a_word(begun: Run) -> None:
    assert begun.trainer is not None
    with pytest.raises(InputError, match=r"events\.jsonl: cannot be read"):
        begun.all_events(idle, begun.trainer.end)


def test_a_started_trainer_that_fails_after_it_recorded_something(begun: Run) -> None:
    assert begun.trainer is not None
    trainer = begun.trainer
    begun.train()
    begun.write(started(), step(1))

    def fail() -> None:
        begun.die()
        trainer.end("see train.log")

    events = begun.all_events(idle, fail, idle, idle)[2:]
    assert events[0] == killed()
    (rejected,) = events[1:]
    assert isinstance(rejected, CommandRejected)
    assert (rejected.command, rejected.reason) == ("resume", "see train.log")


def test_a_started_trainer_that_removes_its_empty_run(begun: Run) -> None:
    """A trainer that fails while it prepares leaves no files, and ends some time later."""
    assert begun.trainer is not None
    trainer = begun.trainer
    begun.train()
    begun.write(StateChanged(state="preparing", step=0, detail="reading the data"))

    def forget() -> None:
        begun.folder.events.unlink()
        begun.die()

    with pytest.raises(InputError, match=r"^--data-dir: no such folder$"):
        begun.all_events(
            idle, forget, *[idle] * 9, lambda: trainer.end("--data-dir: no such folder")
        )


def test_a_folder_that_is_moved_while_the_started_trainer_runs(begun: Run) -> None:
    path = begun.folder.path
    begun.train()
    begun.write(started())
    with pytest.raises(InputError, match="moved or deleted while it was followed"):
        begun.all_events(idle, lambda: path.rename(path.with_name("elsewhere")), idle)


def test_while_its_process_runs_a_free_lock_is_no_death(begun: Run) -> None:
    """It loads PyTorch before it takes the lock, and runs hooks after it has released it."""
    begun.write(started())
    assert begun.all_events(*[idle] * 90)[2:] == []


def test_a_stop_while_the_trainer_starts_ends_the_following(begun: Run) -> None:
    assert len(begun.all_events(idle, idle)) == 1
