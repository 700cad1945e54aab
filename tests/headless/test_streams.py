"""Streams that cannot show, or no longer accept, the output; the pipes are real ones."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.headless.fakes import Engine, FakeClock, FakeTerminal, finished, whole_run
from tui_trainer.headless.runner import run_headless
from tui_trainer.headless.streams import Console
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.events import RecordingFailed
from tui_trainer.text.fmt import Cell

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
from tests.headless.fakes import whole_run
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox

def engine():
    try:
        for _ in range(2_000):
            yield from whole_run()
    finally:
        print("engine closed", file=sys.stderr)

sys.exit(run_headless(engine(), Inbox(), json_lines="--json" in sys.argv))
"""


def start(*arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    environment.pop("PYTHONUNBUFFERED", None)  # otherwise nothing is left to flush at the exit
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    "arguments", [(), pytest.param(("--json",), marks=pytest.mark.slow)], ids=["text", "json"]
)
def test_a_closed_pipe_ends_the_run_without_a_message(arguments: tuple[str, ...]) -> None:
    """No traceback, not even from the interpreter's own last flush."""
    with start(*arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        output = process.stderr.read()
        assert process.wait(timeout=30) == 141
    assert "engine closed\n" in output
    assert "Traceback" not in output
    assert "rror" not in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full device is Linux's own")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full, start(stdout=full) as process:
        assert process.stderr is not None
        output = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert "mnist-tui: error: cannot write to standard output: No space left on device\n" in output
    assert "Traceback" not in output
    assert "Exception ignored" not in output


def test_a_closed_stderr_does_not_end_the_run() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    out = io.StringIO()
    assert run_headless(Engine(whole_run()), Inbox(), stdout=out, stderr=Closed()) == 0
    assert out.getvalue().startswith("epoch 1/2")


def test_missing_streams_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run_headless(Engine(whole_run()), Inbox()) == 0


class AsciiTerminal(io.TextIOWrapper):
    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="ascii", newline="\n")

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode("ascii")


def test_ascii_streams_get_ascii_glyphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    out, err = AsciiTerminal(), AsciiTerminal()
    failed = RecordingFailed(path="runs/café", message="full")
    events = [*whole_run()[:-1], failed, finished()]
    assert run_headless(Engine(events), Inbox(), stdout=out, stderr=err, clock=FakeClock()) == 7
    assert "test 99.31 % [99.13, 99.45] - 9,931 of 10,000, evaluations: 1\n" in out.text
    assert "! not saved: runs/caf?: full" in err.text
    assert "epoch 1/2 [####...............]  loss" in err.text
    assert "cpu x2" in err.text


def test_parts_that_may_not_go_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "23")
    monkeypatch.setenv("TERM", "xterm")
    err = FakeTerminal()
    Console(err, FakeClock()).draw([Cell("a" * 15), Cell("b" * 15), Cell("c", rank=1)])
    assert err.getvalue() == f"\r{'a' * 15}bbbb…\x1b[K"


def test_json_on_an_ascii_stream_loses_nothing() -> None:
    out = AsciiTerminal()
    failed = RecordingFailed(path="runs/café \U0001f600", message="full")
    run_headless(
        Engine([failed, finished()]), Inbox(), json_lines=True, stdout=out, stderr=io.StringIO()
    )
    assert json.loads(out.text.splitlines()[0])["path"] == "runs/café \U0001f600"
