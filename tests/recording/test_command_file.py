"""``commands.jsonl``: its lines, appending, and what a trainer reads from it, poll by poll."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command, Pause, SetBaseLr, Stop, Unusable, name_of
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.recording import command_file
from tui_trainer.recording.command_file import (
    ACCEPTED,
    FLOOD,
    LONGEST_LINE,
    MOST,
    PART,
    CommandFile,
    append,
    create,
    from_line,
    sender,
    to_line,
)
from tui_trainer.recording.folder import RunFolder


def pause(number: int | str) -> Pause:
    return Pause(by="ada@lab-3", request=f"{number}")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.events.touch()
    create(folder.commands)
    return folder


@pytest.fixture
def received() -> list[Command]:
    return []


@pytest.fixture
def file(folder: RunFolder, received: list[Command]) -> Iterator[CommandFile]:
    file = CommandFile(folder, received.append)
    yield file
    file.close()


def write(path: Path, content: bytes) -> None:
    with path.open("ab") as target:
        target.write(content)


def lines(*sent: Command) -> bytes:
    return "".join(f"{to_line(command)}\n" for command in sent).encode()


def polled(file: CommandFile, received: list[Command], polls: int = 1) -> list[Command]:
    """Return the commands of some polls, and forget them."""
    for _ in range(polls):
        file.poll()
    found = list(received)
    received.clear()
    return found


# --- lines

EXAMPLES: list[Command] = [
    commands.SetBaseLr(0.01),
    commands.SetBatchSize(256),
    commands.SetAugmentation(False),
    commands.SetDropout(0.1),
    commands.SetEpochs(20),
    commands.Pause(),
    commands.Resume(),
    commands.RunStep(),
    commands.RunEpoch(),
    commands.EvaluateTest(),
    commands.Rewind(0.01),
    commands.Stop(test=False),
]


@pytest.mark.parametrize("command", EXAMPLES)
def test_a_command_survives_its_line(command: Command) -> None:
    sent = type(command)(
        **{
            name: getattr(command, name)
            for kind in type(command).__mro__
            for name in getattr(kind, "__slots__", ())
        }
        | {"by": "ada@lab-3", "request": "17"}
    )
    assert from_line(to_line(sent).encode()) == sent


def test_every_command_but_questions_can_be_sent() -> None:
    assert {type(command) for command in EXAMPLES} == set(ACCEPTED.values())


def test_the_reason_of_a_stop_is_the_trainers() -> None:
    command = from_line(to_line(Stop(reason="detached", request="1")).encode())
    assert command == Stop(request="1")


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"{", b"null", b"[]", b"pause", b'"Pause"', b"\xff\xfe\x00", b"{}garbage"),
        *(b'{"command": "Pa', b"[" * 5_000, b"9" * 5_000, b'{"a": ' * 5_000),
    ],
)
def test_garbage_is_no_command(line: bytes) -> None:
    command = from_line(line)
    assert isinstance(command, Unusable)
    assert command.request == ""
    assert "a line is no command" in command.reason


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "no command that a trainer takes"),
        ({"command": "Fly"}, "no command that a trainer takes"),
        ({"command": "Ask", "topic": "view/kernels"}, "no command that a trainer takes"),
        ({"command": "Unusable", "reason": "x"}, "no command that a trainer takes"),
        ({"command": ["Pause"]}, "no command that a trainer takes"),
        ({"command": "SetBaseLr"}, "value"),
        ({"command": "SetBaseLr", "value": "0.1"}, "is no number"),
        ({"command": "SetBaseLr", "value": 10**400}, "too large"),
        ({"command": "SetBatchSize", "value": 1.5}, "is no int"),
        ({"command": "SetBatchSize", "value": True}, "is no int"),
        ({"command": "SetBatchSize", "value": 1 << 70}, "is no int"),
        ({"command": "SetAugmentation", "value": 1}, "is no bool"),
        ({"command": "Stop", "test": "no"}, "is no bool"),
        ({"command": "Pause", "schema": SCHEMA + 1}, "was sent by a newer mnist-tui"),
        ({"command": "Land", "schema": 99}, "was sent by a newer mnist-tui (schema 99"),
        ({"command": "Pause", "schema": "new"}, "was sent by a newer mnist-tui"),
        ({"command": "Pause", "schema": True}, "was sent by a newer mnist-tui"),
    ],
)
def test_a_command_that_cannot_be_applied_keeps_its_request(
    record: dict[str, Any], problem: str
) -> None:
    command = from_line(json.dumps({**record, "request": "17", "by": "ada@lab-3"}).encode())
    assert isinstance(command, Unusable)
    assert (command.request, command.by) == ("17", "ada@lab-3")
    assert problem in command.reason
    assert len(command.reason) <= 200


def test_texts_of_a_sender_are_short_and_printable() -> None:
    record = {"command": "Pause", "by": "\x1b[2J" + "x" * 999, "request": {"a": ["\ud800"] * 99}}
    command = from_line(json.dumps(record).encode())
    assert isinstance(command, Pause)
    for text in (command.by, command.request):
        assert len(text) <= 64
        assert text.isprintable()


MUTATIONS = (
    *(b"NaN", b"1e999", b"null", b"true", b'""', b"[]", b"{}", b'"\\ud800"', b"1" * 400),
    *(b"9" * 5_000, b"[" * 900, b"\x00", b"\xff", b"\xef\xbb\xbf", b'"schema"', b":", b","),
)


def test_no_line_stops_the_thread() -> None:
    rng = random.Random(1)
    whole = [to_line(command).encode() for command in EXAMPLES]
    for _ in range(5_000):
        line = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(line) + 1)
            line[place : place + rng.randint(0, 6)] = rng.choice(MUTATIONS)
        command = from_line(bytes(line))
        assert (command.by + command.request + name_of(command)).isprintable()


def test_a_sender_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "@" in sender()

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert sender().split("@")[0] == str(os.getuid())


# --- appending


def test_a_command_is_one_line(folder: RunFolder) -> None:
    append(folder.commands, SetBaseLr(0.01, by="ada@lab-3", request="1"))
    append(folder.commands, pause(2))
    first, second = map(json.loads, folder.commands.read_text().splitlines())
    expected = {"command": "SetBaseLr", "value": 0.01, "by": "ada@lab-3", "request": "1"}
    assert first == {**expected, "schema": SCHEMA}
    assert second["request"] == "2"


def test_half_a_line_is_ended_first(folder: RunFolder) -> None:
    folder.commands.write_bytes(b'{"command": "Sto')
    append(folder.commands, pause(1))
    half, whole = folder.commands.read_bytes().splitlines()
    assert half == b'{"command": "Sto'
    assert from_line(whole) == pause(1)


def test_a_file_is_not_created_by_a_sender(folder: RunFolder) -> None:
    folder.commands.unlink()
    with pytest.raises(FileNotFoundError):
        append(folder.commands, pause(1))
    create(folder.commands)
    append(folder.commands, pause(1))
    create(folder.commands)
    assert folder.commands.read_bytes() == lines(pause(1))


def test_neither_a_link_nor_a_pipe_is_written(folder: RunFolder) -> None:
    folder.commands.unlink()
    folder.commands.symlink_to("events.jsonl")
    with pytest.raises(OSError, match="symbolic"):
        append(folder.commands, pause(1))
    folder.commands.unlink()
    os.mkfifo(folder.commands)
    with pytest.raises(OSError, match="not a file"):
        append(folder.commands, pause(1))
    assert folder.events.read_bytes() == b""


class FullDisk(FileIO):
    """A file on a disk with room for some bytes."""

    room = 0

    def write(self, content: Any) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        return super().write(content[: self.room])


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_full_disk_leaves_no_part_of_a_command(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    append(folder.commands, pause(1))
    monkeypatch.setattr(command_file, "FileIO", FullDisk)
    monkeypatch.setattr(FullDisk, "room", room)
    with pytest.raises(OSError, match="No space left"):
        append(folder.commands, pause(2))
    assert folder.commands.read_bytes() == lines(pause(1))


def test_without_locks_a_command_is_written_all_the_same(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: FileIO, *, shared: bool) -> None:
        raise OSError(37, "No locks available")

    waits: list[float] = []
    monkeypatch.setattr(command_file, "acquire", refuse)
    monkeypatch.setattr(command_file, "time", SimpleNamespace(sleep=waits.append))
    append(folder.commands, pause(1))
    assert folder.commands.read_bytes() == lines(pause(1))
    assert sum(waits) < 0.3


# --- reading


def test_commands_are_read_as_they_are_appended(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    assert polled(file, received) == []
    append(folder.commands, pause(1))
    append(folder.commands, pause(2))
    assert polled(file, received) == [pause(1), pause(2)]
    append(folder.commands, pause(3))
    assert polled(file, received) == [pause(3)]
    assert polled(file, received) == []


def test_earlier_commands_were_for_an_earlier_trainer(
    folder: RunFolder, received: list[Command]
) -> None:
    append(folder.commands, pause(1))
    file = CommandFile(folder, received.append)
    append(folder.commands, pause(2))
    assert polled(file, received) == [pause(2)]
    file.close()


def test_half_a_line_is_read_once_it_is_complete(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    whole = lines(pause(1))
    for place in range(len(whole) - 1):
        write(folder.commands, whole[place : place + 1])
        assert polled(file, received) == []
    write(folder.commands, b"\n")
    assert polled(file, received) == [pause(1)]


def test_half_a_line_of_a_dead_sender_is_no_command(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    write(folder.commands, lines(Stop())[:20])
    assert polled(file, received) == []
    append(folder.commands, pause(1))
    half, whole = polled(file, received)
    assert isinstance(half, Unusable)
    assert whole == pause(1)


def test_garbage_is_reported_once(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    write(folder.commands, b"pause\n\n\x00\xff\n{}\n" + lines(pause(1)) + b"\r\n[1]\n")
    first, second = polled(file, received)
    assert isinstance(first, Unusable)
    assert "further ones" in first.reason
    assert second == pause(1)
    write(folder.commands, b"more\n" + lines(pause(2)))
    assert polled(file, received) == [pause(2)]


@pytest.mark.parametrize("length", [LONGEST_LINE + 1, PART, PART + 1, 1_000_000, FLOOD + 9])
def test_a_line_without_an_end_is_ignored(
    folder: RunFolder, file: CommandFile, received: list[Command], length: int
) -> None:
    write(folder.commands, b"x" * length)
    reports = polled(file, received, 20)
    assert [type(report) for report in reports] == [Unusable] * (2 if length > FLOOD else 1)
    write(folder.commands, b"x\n" + lines(pause(1)))
    found = [command for command in polled(file, received) if command.request]
    assert found == [pause(1)]


def test_every_command_of_a_burst_is_read(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    sent = [pause(number) for number in range(3_000)]
    write(folder.commands, lines(*sent))
    assert PART < folder.commands.stat().st_size < FLOOD
    assert polled(file, received) == sent[:MOST]
    assert polled(file, received, len(sent) // MOST) == sent[MOST:]
    assert polled(file, received) == []


def test_of_a_flood_only_the_end_is_read(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    write(folder.commands, lines(*map(pause, range(20_000))))
    report, *found = polled(file, received, 200)
    assert isinstance(report, Unusable)
    assert "only the last are read" in report.reason
    numbers = [int(command.request) for command in found]
    assert numbers == list(range(numbers[0], 20_000))
    assert len(lines(*map(pause, numbers))) <= PART
    write(folder.commands, lines(*map(pause, range(20_000))))
    assert all(isinstance(command, Pause) for command in polled(file, received))


# --- other files in its place


def test_a_file_that_is_emptied(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    append(folder.commands, pause(1))
    assert polled(file, received) == [pause(1)]
    folder.commands.write_bytes(b"")
    assert polled(file, received) == []
    append(folder.commands, pause(2))
    assert polled(file, received) == [pause(2)]
    folder.commands.write_bytes(lines(pause(3))[:-1])  # between two polls
    folder.commands.write_bytes(b"")
    append(folder.commands, pause("x"))
    assert len(polled(file, received)) <= 1


def test_a_file_that_is_deleted_and_created_again(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    append(folder.commands, pause("first"))
    assert polled(file, received) == [pause("first")]
    folder.commands.unlink()
    assert polled(file, received) == []
    create(folder.commands)
    append(folder.commands, pause("second"))
    append(folder.commands, pause("third"))
    assert polled(file, received) == [pause("second"), pause("third")]


def test_an_edited_copy_does_not_repeat_its_commands(
    folder: RunFolder, file: CommandFile, received: list[Command], tmp_path: Path
) -> None:
    append(folder.commands, pause(1))
    assert polled(file, received) == [pause(1)]
    copy = tmp_path / "copy"
    copy.write_bytes(folder.commands.read_bytes() + lines(pause(2)))
    os.replace(copy, folder.commands)
    assert polled(file, received) == [pause(2)]
    copy.write_bytes(folder.commands.read_bytes())
    os.replace(copy, folder.commands)
    assert polled(file, received, 2) == []


def test_a_renamed_folder_is_followed(
    folder: RunFolder, file: CommandFile, received: list[Command], tmp_path: Path
) -> None:
    moved = RunFolder(tmp_path / "moved")
    folder.path.rename(moved.path)
    assert polled(file, received) == []
    append(moved.commands, pause(1))
    assert polled(file, received) == [pause(1)]
    moved.path.rename(folder.path)
    append(folder.commands, pause(2))
    assert polled(file, received) == [pause(2)]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_refused_once(
    folder: RunFolder, file: CommandFile, received: list[Command], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "other").write_bytes(lines(Stop(request="1")))
    folder.commands.unlink()
    match kind:
        case "link":
            folder.commands.symlink_to(tmp_path / "other")
        case "pipe":
            os.mkfifo(folder.commands)
        case _:
            folder.commands.mkdir()
    (report,) = polled(file, received, 3)
    assert isinstance(report, Unusable)
    assert "is not an ordinary file; its commands are ignored" in report.reason
    folder.commands.rmdir() if kind == "folder" else folder.commands.unlink()
    create(folder.commands)
    append(folder.commands, pause(2))
    assert polled(file, received) == [pause(2)]


def test_what_is_no_file_from_the_start_is_reported(
    folder: RunFolder, received: list[Command]
) -> None:
    folder.commands.unlink()
    os.mkfifo(folder.commands)
    file = CommandFile(folder, received.append)
    (report,) = polled(file, received, 3)
    assert isinstance(report, Unusable)
    folder.commands.unlink()
    create(folder.commands)
    append(folder.commands, pause(1))
    assert polled(file, received) == [pause(1)]
    file.close()


def test_a_file_that_is_missing_at_first(folder: RunFolder, received: list[Command]) -> None:
    folder.commands.unlink()
    file = CommandFile(folder, received.append)
    assert polled(file, received, 3) == []
    create(folder.commands)
    append(folder.commands, pause(1))
    assert polled(file, received) == [pause(1)]
    file.close()


class Owners:
    """A fake of ``lstat`` and ``fstat`` that reports another owner for one file."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_other = True
        self.calls = 0
        self._path = path
        self._lstat = os.lstat
        monkeypatch.setattr(os, "lstat", self)

    def __call__(self, path: Any, **options: Any) -> os.stat_result:
        found = self._lstat(path, **options)
        if path != self._path:
            return found
        self.calls += 1
        fields = list(found[:10])
        fields[4] += self.is_other
        return os.stat_result(fields, {"st_mtime_ns": found.st_mtime_ns})


def test_the_file_of_another_user_is_refused(
    folder: RunFolder, received: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = Owners(folder.commands, monkeypatch)
    append(folder.commands, pause(0))
    file = CommandFile(folder, received.append)
    append(folder.commands, pause(1))
    (report,) = polled(file, received, 3)
    assert isinstance(report, Unusable)
    assert "belongs to another user than the run; its commands are ignored" in report.reason
    append(folder.commands, pause(2))
    assert polled(file, received) == []
    owners.is_other = False
    append(folder.commands, pause(3))
    assert polled(file, received) == [pause(3)], "those before stay refused"
    owners.is_other = True
    append(folder.commands, pause(4))
    assert polled(file, received) == []
    file.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_a_file_that_is_really_of_another_user(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    os.chown(folder.commands, 65_534, -1)
    append(folder.commands, pause(1))
    (report,) = polled(file, received)
    assert isinstance(report, Unusable)


def test_a_file_that_cannot_be_read_is_reported_once(
    folder: RunFolder, file: CommandFile, received: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(command_file, "_read_at", refuse)
        write(folder.commands, lines(pause(1)))
        (report,) = polled(file, received, 3)
        assert isinstance(report, Unusable)
        assert report.reason == "cannot be read: Input/output error"
    write(folder.commands, lines(pause(2)))
    assert polled(file, received) == [pause(1), pause(2)]


# --- cost


class Counted:
    """Counts the calls of the operating system's functions on files."""

    NAMES = ("stat", "lstat", "fstat", "open", "read", "pread", "lseek", "listdir", "scandir")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        for name in self.NAMES:
            monkeypatch.setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            return function(*arguments, **options)

        return call


@pytest.mark.parametrize("content", [b"", b'{"command": "Pau', lines(pause(1))])
def test_a_poll_without_news_is_one_stat(
    folder: RunFolder,
    file: CommandFile,
    received: list[Command],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    write(folder.commands, content)
    file.poll()
    received.clear()
    counted = Counted(monkeypatch)
    assert polled(file, received, 100) == []
    assert counted.calls == ["lstat"] * 100


def test_its_thread_polls_until_it_is_closed(folder: RunFolder) -> None:
    arrived = threading.Event()
    file = CommandFile(folder, lambda command: arrived.set())
    file.start()
    append(folder.commands, pause(1))
    assert arrived.wait(30)
    file.close()
    for thread in threading.enumerate():
        if thread.name == "commands":
            thread.join(30)
            assert not thread.is_alive()


def test_a_closed_file_sends_nothing(
    folder: RunFolder, file: CommandFile, received: list[Command]
) -> None:
    append(folder.commands, pause(1))
    file.close()
    assert polled(file, received) == []
