"""A small file system that is really full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

import pytest

from tests.faults.disks import FREE_AT, FULL_AT, headless, unsaved
from tests.faults.forks import call, command
from tests.faults.runs import Left, assert_same, begin
from tests.faults.senders import SteeredInbox
from tui_trainer.protocol.commands import SetBaseLr
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import CommandApplied, RunFinished, SettingChanged
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder


@pytest.fixture
def little_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB: two checkpoints, a third in progress, and little else."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=10, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"no mount for us: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], timeout=10, check=False)


def test_a_disk_that_is_really_full(
    config: RunConfig, whole: Left, little_disk: Path, tmp_path: Path
) -> None:
    path, filler = little_disk / "run", little_disk / "filler"

    def at_step(step: int) -> None:
        if step == FULL_AT:
            fill(filler)
        if step == FREE_AT:
            filler.unlink()

    path.mkdir()
    ended = call(lambda: headless(path, config, at_step), tmp_path / "said")
    assert ended.code == 0, ended.err
    assert "No space left on device" in ended.err
    assert {"last.safetensors", "best.safetensors"} <= set(unsaved(ended.err))
    assert_same(path, whole)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        write_on(file)


def write_on(file: IO[bytes]) -> NoReturn:
    while True:
        file.write(bytes(512))


@pytest.mark.parametrize("before", [b"", b"\n" * 4_070], ids=["no room", "room for half a line"])
def test_a_command_that_does_not_fit(
    config: RunConfig, little_disk: Path, tmp_path: Path, before: bytes
) -> None:
    """The sender reports it, the file has no part of it, and the run goes on."""
    path, filler = little_disk / "run", little_disk / "filler"
    errors: list[str] = []

    def send() -> None:
        RunFolder(path).commands.write_bytes(before)
        fill(filler)
        ended = call(command("send", path, "lr", 0.5), tmp_path / "said")
        assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
        errors.append(ended.err)
        assert RunFolder(path).commands.read_bytes() == before
        filler.unlink()

    inbox = SteeredInbox(path, [(3, send), (3, [SetBaseLr(0.01)])])
    events = list(begin(path, config, inbox))
    (line,) = errors[0].splitlines()
    assert line.endswith("commands.jsonl: cannot be written: No space left on device")
    assert [event.new for event in events if isinstance(event, SettingChanged)] == [0.01]
    assert len([event for event in events if isinstance(event, CommandApplied)]) == 1
    assert isinstance(events[-1], RunFinished)


def test_a_run_on_a_full_disk_cannot_begin(
    config: RunConfig, little_disk: Path, tmp_path: Path
) -> None:
    path = little_disk / "run"
    fill(little_disk / "filler")
    words = ("--no-ui", "--data-dir", config.data_dir, "--model", "tiny", "--threads", 1)
    ended = call(command(*words, "--epochs", 1, "--out", path), tmp_path / "said")
    assert ended.code == ExitCode.BAD_INPUT
    (line,) = ended.err.splitlines()
    assert "cannot be written: No space left on device" in line
