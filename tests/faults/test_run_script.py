"""``mnist-tui run``: a real script, its window in a terminal, and what is left of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.attaching import STARTED, assert_orderly, end, press, process_of
from tests.faults.test_signals import epochs_of, until
from tests.faults.windows import Window
from tests.watching.test_surroundings import LOOP, ROOT, SCRIPT
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder

pytestmark = pytest.mark.slow

SLOWLY = "        time.sleep(0.01)\n"
"""Between two epochs, so that a window has something to do."""

Open = Callable[..., Window]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The folder of the run; its script ends with the test."""
    yield tmp_path / "run"
    end(tmp_path / "run")


@pytest.fixture
def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Run a script with this code after its loop, and wait for its curves."""
    opened: list[Window] = []
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def one(after: str = "", *, epochs: int = 5_000, loop: str = LOOP) -> Window:
        text = SCRIPT + loop.replace("EPOCHS", str(epochs)) + SLOWLY + after
        Path("train.py").write_text(f"import time\nprint('loading')\n{text}", encoding="utf-8")
        opened.append(Window("run", "--out", str(path), "train.py", "--lr", "0.1"))
        opened[-1].wait_until(lambda: STARTED.search(opened[-1].shown))
        return opened[-1]

    yield one
    for window in opened:
        window.close()


def test_a_script_that_its_window_stops_ends_in_order(run: Open, path: Path) -> None:
    window = run("print('saved the weights')\nsys.exit(5)\n")
    assert b"loading" in window.shown.partition(b"\x1b[?1049h")[0]
    assert process_of(path) is not None
    press(window, "q", "y")
    assert window.wait() == 5
    assert RunFolder(path).read_summary().state == "stopped"
    words = assert_orderly(window)
    assert "stopped in epoch" in words
    assert words.endswith("saved the weights")


def test_a_script_is_left_running(run: Open, path: Path) -> None:
    window = run()
    press(window, "q", "l")
    assert window.wait() == 0
    words = assert_orderly(window)
    assert f"the training continues; watch it again with: mnist-tui attach {path}" in words
    here = epochs_of(path)
    until(lambda: epochs_of(path) > here)
    number = process_of(path)
    assert number is not None
    assert os.getsid(number) == number


def test_a_script_survives_its_terminal(run: Open, path: Path) -> None:
    window = run()
    window.pull_out()
    assert window.wait() == ExitCode.DISCONNECTED
    here = epochs_of(path)
    until(lambda: epochs_of(path) > here)


def test_a_script_that_fails_is_a_failed_run(run: Open, path: Path) -> None:
    failing = LOOP.replace("run.validate(loader)", "assert epoch < 100, 'too late'")
    window = run(loop=failing)
    number = process_of(path)
    until(lambda: not Path(f"/proc/{number}").exists())  # the traceback is printed
    press(window, "q")
    assert window.wait() == 1
    text = window.shown.rpartition(b"\x1b[?1049l")[2].decode()
    assert "training failed: AssertionError: too late (train.py, line " in " ".join(text.split())
    assert text.rstrip().endswith("AssertionError: too late")
    assert RunFolder(path).read_summary().state == "failed"


def test_a_script_behind_its_loop_continues_in_the_terminal(run: Open, path: Path) -> None:
    window = run("time.sleep(5); print('testing', flush=True); time.sleep(600)\n", epochs=3)
    until(lambda: process_of(path) is None)
    press(window, "q")
    window.wait_until(lambda: b"Ctrl+C interrupts it" in window.shown)
    window.wait_until(lambda: b"testing" in window.shown)
    os.write(window.master, b"\x03")
    assert window.wait() == ExitCode.INTERRUPTED
    assert RunFolder(path).read_summary().state == "completed"


def test_no_live_line_is_in_the_log(run: Open, path: Path) -> None:
    window = run(epochs=3)
    until(lambda: process_of(path) is None)
    press(window, "q")
    assert window.wait() == 0
    log = RunFolder(path).train_log.read_text()
    assert "\r" not in log
    assert "\x1b" not in log
