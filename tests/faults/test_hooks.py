"""Commands of ``--on-end`` and ``--on-finding`` never touch the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.runs import COMMANDS, CommandInbox, Left, assert_same
from tui_trainer.cli.starts import Job, Start
from tui_trainer.headless.hooks import Hooks
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import FindingRaised, HookFailed
from tui_trainer.recording.recorder import Recorder


@pytest.mark.skipif(os.name == "nt", reason="the commands are for a POSIX shell")
@pytest.mark.parametrize(
    "command",
    [
        *("true", "no-such-command", "yes >&2"),
        pytest.param("cat; exit 3", marks=pytest.mark.slow),
        pytest.param("kill -KILL $$", marks=pytest.mark.slow),
    ],
)
def test_a_run_with_hooks_leaves_the_same_bits(
    config: RunConfig, whole: Left, tmp_path: Path, command: str
) -> None:
    hooks = Hooks(command, command, limit=0.2)
    recorder = Recorder.create(tmp_path / "run", config.resolved())
    start = Start(Job(recorder), hooks=hooks)
    events = list(start(config, CommandInbox(COMMANDS)))
    assert_same(tmp_path / "run", whole)
    found = {event.code for event in events if isinstance(event, FindingRaised)}
    failed = [event for event in events if isinstance(event, HookFailed)]
    assert found, "on-finding has something to do"
    assert bool(failed) == (command != "true")
    recorded = (tmp_path / "run" / "events.jsonl").read_text("utf-8")
    assert "HookFailed" not in recorded
