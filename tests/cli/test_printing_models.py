"""Models that print in every way: data on stdout stay whole, the window too."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.forked_programs import ForkedProgram
from tui_trainer.recording.folder import RunFolder

LOUD = """
import atexit, ctypes, logging, os, sys, warnings
from torch import nn
logging.basicConfig(level=logging.INFO)
print("importing")
atexit.register(print, "leaving")
libc = ctypes.CDLL(None)
class Loud(nn.Sequential):
    def __init__(self, in_channels, image_size, classes):
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size ** 2, classes))
    def forward(self, x):
        print("by print")
        sys.stdout.write("by write, without an end")
        sys.__stdout__.write("by the first stdout\\n")
        os.write(1, b"by descriptor 1\\n")
        os.write(2, b"by descriptor 2\\n")
        libc.puts(b"by C")
        libc.fflush(None)
        os.system("echo by a child")
        logging.warning("by logging")
        warnings.warn("by warning")
        return super().forward(x)
"""
PRINTED = [
    *("importing", "by print", "by write", "by the first stdout", "by descriptor 1"),
    *("by descriptor 2", "by C", "by a child", "by logging", "by warning"),
]
BRIEF = ["--threads", "1", "--device", "cpu", "--epochs", "1", "--batch-size", "16"]
PATIENCE = 60.0


@pytest.fixture
def here(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "images", gzip=False)
    (tmp_path / "loud.py").write_text(LOUD)
    return tmp_path


def call(here: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui_trainer", *words],
        cwd=here,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )


NEW = ["--model", "loud.py:Loud", "--data-dir", "images", *BRIEF]


def test_json_lines_stay_whole(here: Path) -> None:
    done = call(here, "--no-ui", "--json", *NEW, "--out", "run")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (events[0], events[-1]) == ("RecordingStarted", "RunFinished")
    assert [word for word in PRINTED if word not in done.stderr] == []
    assert "leaving" in done.stderr
    assert not RunFolder(here / "run").output.exists()


@pytest.mark.slow
def test_the_data_of_every_command_stay_whole(here: Path) -> None:
    assert call(here, "--no-ui", *NEW, "--out", "runs/one").returncode == 0
    for words in (
        ["model", "loud.py:Loud", "--json"],
        ["review", "loud.py:Loud", "--json"],
        ["compare", "loud.py:Loud", "tiny", "--json"],
        ["evaluate", "--json", "--view", "confusion"],
        ["runs", "--json"],
        ["diagnose", "--json"],
    ):
        assert json.loads(call(here, *words).stdout), words
    for words in (
        ["model", "loud.py:Loud", "--format", "markdown"],
        ["model", "loud.py:Loud", "--format", "torchinfo"],
        ["evaluate", "--view", "confusion"],
        ["learn", "softmax", "loud.py:Loud"],
        ["export", "--as", "weights"],
        ["check", *NEW],
    ):
        done = call(here, *words)
        assert done.returncode in (0, 5, 6), done.stderr
        assert not [word for word in PRINTED if word in done.stdout], words


class Terminal:
    """A pseudo-terminal with a process."""

    start: type[subprocess.Popen[bytes]] = subprocess.Popen

    def __init__(self, here: Path, *words: str, **more: str):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", **more}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        environment["MNIST_TUI_PICTURES"] = "blocks"
        self.process = self.start(
            [sys.executable, "-m", "tui_trainer", *words],
            cwd=here,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = b""

    def until(self, what: str) -> bool:
        deadline = time.monotonic() + PATIENCE
        while what.encode() not in self.shown and time.monotonic() < deadline and self._read():
            pass
        return what.encode() in self.shown

    def _read(self) -> bool:
        ready, _, _ = select.select([self.ours], [], [], 0.2)
        try:
            piece = os.read(self.ours, 1 << 16) if ready else b""
        except OSError:  # the other end is closed
            return False
        self.shown += piece
        return bool(piece) or self.process.poll() is None

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self._read() and time.monotonic() < deadline:
            pass
        os.close(self.ours)
        return self.process.wait(timeout=PATIENCE)

    @property
    def text(self) -> str:
        return self.shown.decode(errors="replace")


class ForkedTerminal(Terminal):
    """The same with a forked process, which starts quickly."""

    start = ForkedProgram


@pytest.mark.slow
def test_the_live_line_stays_whole(here: Path) -> None:
    terminal = Terminal(here, "--no-ui", *NEW, "--no-save")
    assert terminal.end() == 0
    assert [word for word in PRINTED if word not in terminal.text] == []
    drawn = re.findall(r"epoch 1/1[^\r\n]*", terminal.text)
    assert drawn
    assert not [line for line in drawn if "by " in line]


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--out", "run"], ["--no-save"]], ids=["saved", "not saved"])
def test_the_window_stays_whole(here: Path, words: list[str]) -> None:
    terminal = Terminal(here, *NEW, *words, COLUMNS="999999999", LINES="3")
    assert terminal.until("finished"), terminal.text
    terminal.press("q")
    assert terminal.end() == 0
    screen, _, after = terminal.text.rpartition("\x1b[?1049l")
    assert not [word for word in PRINTED if word in screen]
    log = RunFolder(here / "run").output
    if words == ["--no-save"]:
        assert not log.exists()
        return
    assert "output of the model: run/output.log" in after
    assert [word for word in PRINTED if word not in log.read_text()] == []


@pytest.mark.slow
def test_a_window_in_which_nothing_is_printed_leaves_no_log(here: Path) -> None:
    words = ["tiny", "--data-dir", "images", *BRIEF, "--out", "run"]
    terminal = Terminal(here, *words, PYTHONIOENCODING="ascii")
    assert terminal.until("finished")
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.shown.isascii(), "an ASCII terminal gets ASCII"
    assert sorted(path.name for path in (here / "run").iterdir()) == [
        *(".lock", "checkpoints", "commands.jsonl", "config.toml", "events.jsonl"),
        "summary.json",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("words", [["nowhere.py:Net"], ["loud.py:Nothing"]])
def test_a_window_that_cannot_begin_leaves_no_folder(here: Path, words: list[str]) -> None:
    terminal = Terminal(here, *words, "--data-dir", "images")
    assert terminal.end() == 2
    assert "mnist-tui: error: " in terminal.text
    assert not (here / "runs").exists()


@pytest.mark.parametrize("kind", ["dumb", "unknown", ""])
@pytest.mark.parametrize(
    ("words", "instead"),
    [
        ([], "add --no-ui"),
        (["resume"], "add --no-ui"),
        (["replay"], "add --no-ui"),
        (["inspect"], "use mnist-tui evaluate"),
    ],
)
@pytest.mark.sampled(5)
def test_a_terminal_that_moves_no_cursor(
    tmp_path: Path, kind: str, words: list[str], instead: str
) -> None:
    terminal = ForkedTerminal(tmp_path, *words, TERM=kind)
    assert terminal.end() == 2
    what = f"TERM is {kind!r}" if kind else "TERM is not set"
    assert " ".join(terminal.text.split()) == (
        f"mnist-tui: error: {what}: the window needs a terminal with cursor control; {instead}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"), [("TEXTUAL_DRIVER", "nonsense"), ("TEXTUAL_COLOR_SYSTEM", "nonsense")]
)
def test_an_environment_variable_that_breaks_the_window_is_named(
    here: Path, name: str, value: str
) -> None:
    terminal = Terminal(here, *NEW, **{name: value})
    assert terminal.end() == 2
    assert name in terminal.text
    assert not (here / "runs").exists()
