"""A full or failing disk: the run continues, reports it once, and writes the rest later."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.faults.crash_points import REFUSALS, set_trap
from tests.faults.disks import FREE_AT, FULL_AT, headless, unsaved
from tests.faults.forks import Child, call, command
from tests.faults.runs import (
    COMMANDS,
    CommandInbox,
    Left,
    assert_same,
    begin,
    left_by,
    resume_to_end,
    resumed,
    save_each_step,
)
from tui_trainer.headless.runner import run_headless
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RecordingFailed, RecordingRestored
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder


def no_more_than(size: int) -> None:
    """Limit the file size of this process; a write fails midway."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def test_a_run_whose_files_may_not_grow_ends_and_reports_what_is_not_saved(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"

    def at_step(step: int) -> None:
        if step == FULL_AT:
            shutil.copytree(path, tmp_path / "then")
            no_more_than(RunFolder(path).events.stat().st_size + 100)

    ended = call(lambda: headless(path, config, at_step), tmp_path / "said")
    assert ended.code == ExitCode.UNSAVED, ended.err
    assert unsaved(ended.err) == ["best.safetensors", "events.jsonl", "last.safetensors"]
    assert sum("not saved: " in line for line in ended.err.splitlines()) == 6  # and at the end
    assert "Traceback" not in ended.err

    folder, then = RunFolder(path), RunFolder(tmp_path / "then")
    for name in ("last", "best"):
        assert folder.checkpoint(name).read_bytes() == then.checkpoint(name).read_bytes()
        read_checkpoint(folder.checkpoint(name))
    assert folder.read_events().events
    assert folder.read_summary().state == "completed"
    assert_resumable(path, whole, tmp_path)


def assert_resumable(path: Path, whole: Left, tmp_path: Path) -> None:
    """A run resumes from its checkpoint, and ends like an uninterrupted one."""
    ended = call(lambda: len(resume_to_end(path)) and None, tmp_path / "said")
    assert ended.code == 0, ended.err
    assert_same(path, whole)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits are set from outside")
@pytest.mark.slow
def test_a_disk_that_has_room_again_gets_everything(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    path = tmp_path / "run"

    def at_step(step: int) -> None:
        if step == FULL_AT:
            no_more_than(RunFolder(path).events.stat().st_size + 100)
        if step == FREE_AT:
            while resource.getrlimit(resource.RLIMIT_FSIZE)[0] >= 0:
                time.sleep(0.01)

    child = Child(lambda: headless(path, config, at_step), tmp_path / "said")
    while "last.safetensors" not in unsaved(child.output()):
        time.sleep(0.01)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    ended = child.wait()
    assert ended.code == 0, ended.err
    again = [line.rpartition("/")[2] for line in ended.err.splitlines() if "✓ saved: " in line]
    assert sorted(again) == unsaved(ended.err)
    assert unsaved(ended.err) == ["best.safetensors", "events.jsonl", "last.safetensors"]
    assert_same(path, whole)
    replayed = call(command("replay", path, "--no-ui"), tmp_path / "said")
    assert replayed.code == 0, replayed.err
    assert ": 0 of " in replayed.err


def test_a_kill_while_the_disk_is_full_costs_no_more_than_what_it_refused(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    """The events are refused, the checkpoints are not: each checkpoint is ahead of the journal.

    Killed then, and killed again after resuming: the journal must not take events after the
    checkpoint for events before it.
    """
    path = tmp_path / "run"

    def refuse_events_and_die(first: int, last: int) -> None:
        def at_step(step: int) -> None:
            if step == first:
                _refuse_writes()
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)

        save_each_step()
        if RunFolder(path).checkpoint("last").exists():
            config_, inbox, start = resumed(path, lambda s: CommandInbox(COMMANDS, s, at_step))
            for _ in start(config_, inbox):
                pass
        else:
            for _ in begin(path, config, CommandInbox(COMMANDS, at_step=at_step)):
                pass

    for first, last in ((FULL_AT, FULL_AT + 2), (99, FULL_AT + 2), (99, FREE_AT)):
        ended = call(lambda a=first, b=last: refuse_events_and_die(a, b), tmp_path / "said")  # type: ignore[misc]
        assert ended.signal == signal.SIGKILL, ended.err
    ended = call(lambda: len(resume_to_end(path)) and None, tmp_path / "said")
    assert ended.code == 0, ended.err
    mine = left_by(path)
    steps = [event["step"] for event in mine.records if event["event"] == "StepDone"]
    assert steps == sorted(set(steps))
    missing = set(range(1, 18)) - set(steps)
    assert missing <= {FULL_AT + 1, FULL_AT + 2}
    assert _without(mine, missing) == _without(whole, missing)


def _without(left: Left, steps: set[int]) -> list[dict[str, Any]]:
    """Return the events of the other steps; the figures of findings need all steps."""
    events = [event for event in left.records if event.get("step") not in steps]
    return [event for event in events if event["event"] != "FindingRaised"]


def _refuse_writes() -> None:
    """Make os.write, which only the journal uses, fail from now on."""

    def refuse(handle: int, content: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.write = refuse


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.sampled(3)
def test_a_folder_that_turns_unwritable(
    number: int, config: RunConfig, whole: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **more: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    path, there = tmp_path / "run", {"replace": os.replace, "write": os.write}

    def at_step(step: int) -> None:
        if step == FULL_AT:
            monkeypatch.setattr(os, "replace", refuse)
            monkeypatch.setattr(os, "write", refuse)
        if step == FREE_AT:
            for name, function in there.items():
                monkeypatch.setattr(os, name, function)

    events = list(begin(path, config, CommandInbox(COMMANDS, at_step=at_step)))
    refused = reported(events, RecordingFailed)
    assert refused == Counter(
        ["events.jsonl", "summary.json", "last.safetensors", "best.safetensors"]
    )
    assert reported(events, RecordingRestored) == refused
    assert_same(path, whole)


def reported(events: list[Event], kind: type[RecordingFailed | RecordingRestored]) -> Counter[str]:
    return Counter(Path(event.path).name for event in events if isinstance(event, kind))


def refused_once(place: str, number: int, path: Path, config: RunConfig, whole: Left) -> bool:
    """Refuse one call of many; return False past the last."""

    def refuse() -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def work() -> int:
        save_each_step()
        inbox = CommandInbox(COMMANDS)
        events = begin(path, config, inbox)
        trap = set_trap(place, number, refuse)
        code = run_headless(events, inbox)
        return 99 if trap.calls < number and not code else code

    ended = call(work, path.with_suffix(".said"))
    if ended.code == 99:
        return False
    # A refusal at the very end has no next attempt: it is reported then.
    if ended.code == ExitCode.UNSAVED:
        assert unsaved(ended.err) in (["summary.json"], ["events.jsonl"], ["last.safetensors"])
        assert "recorded in" in ended.err
    else:
        assert ended.code == 0, ended.err
        assert RunFolder(path).read_summary().state == "completed"
        assert ended.err.count("will be retried") == ended.err.count("✓ saved: ")
    assert not [file for file in path.rglob(".*") if file.name != ".lock"]
    if ended.code == 0 or "last.safetensors" not in unsaved(ended.err):
        assert_same(path, whole)
    return True


@pytest.mark.parametrize(
    ("place", "number"),
    [
        pytest.param("half a write", 20, marks=pytest.mark.slow),
        ("replace", 3),
        pytest.param("fsync", 7, marks=pytest.mark.slow),
        pytest.param("half a file", 6, marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_refuses_once(
    place: str, number: int, config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    assert refused_once(place, number, tmp_path / "run", config, whole)


@pytest.mark.slow
def test_a_disk_that_refuses_once_at_every_single_place(
    config: RunConfig, whole: Left, tmp_path: Path
) -> None:
    places, path = Counter[str](), tmp_path / "run"
    for place in REFUSALS:
        while refused_once(place, places[place] + 1, path, config, whole):
            shutil.rmtree(path)
            places[place] += 1
        shutil.rmtree(path)
    print(f"\nENOSPC once at every place: {places.total()} runs to their end ({dict(places)})")
    assert min(places.values()) > 10
