"""``mnist-tui run``: a script in the background, and the window on its run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tests
from tests.cli.conftest import Cli
from tui_trainer.cli import front_ends
from tui_trainer.cli.attach import Attached
from tui_trainer.protocol.config import RunConfig
from tui_trainer.recording.folder import RUN_VARIABLE, RunFolder
from tui_trainer.ui.runs.attached_run import StartedScript

RECORDS = """
import os, sys, time
from pathlib import Path
from tests.protocol.facts import finished, started, step
from tui_trainer.protocol.config import RunConfig
from tui_trainer.recording.recorder import Recorder

print("loading", flush=True)
recorder = Recorder.create(Path(os.environ.pop("MNIST_TUI_RUN")), RunConfig(model="tiny"))
list(recorder.record(iter([started(), step(1), finished()])))
"""
"""A script that records a run where ``watch`` would; it loads no torch."""

Script = Callable[..., str]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.setenv("PYTHONPATH", str(Path(tests.__file__).parents[1]))

    def write(text: str, name: str = "train.py") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Attached]:
    """The attachments for which a window was opened; it is closed once the script has ended."""
    found: list[Attached] = []

    def open_window(
        attachment: Attached, settings: RunConfig, script: StartedScript, **options: Any
    ) -> int:
        found.append(attachment)
        while script.is_running:
            pass
        return 0

    monkeypatch.setattr(front_ends, "check_terminal", lambda *_: None)
    monkeypatch.setattr(front_ends, "run_attached", open_window)
    return found


def test_everything_after_the_script_belongs_to_it(run: Cli, script: Script) -> None:
    name = script("import json, sys; print(json.dumps(sys.argv))")
    words = ["--lr", "3", "--help", "--no-ui", "--", "-m", "a b"]
    code, out, err = run("run", "--no-ui", name, *words)
    assert (code, out) == (0, "")
    assert json.loads(err.splitlines()[0]) == [name, *words]


def test_a_module_is_run_as_python_does(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lab").mkdir()
    Path("lab/fit.py").write_text("import sys; print(__name__, __package__, sys.argv[1:])")
    code, _, err = run("run", "--no-ui", "-m", "lab.fit", "--lr", "3")
    assert code == 0
    assert err.splitlines()[0] == "__main__ lab ['--lr', '3']"


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("print('done')", 0, "ended without a call of tui_trainer.watch; add `run ="),
        ("raise SystemExit(3)", 3, "exit code 3 before it called tui_trainer.watch"),
        ("import os; os.kill(os.getpid(), 9)", 137, "exit code 137 before it called"),
        ("input('name? ')", 1, "EOFError"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_script_that_never_calls_watch(
    run: Cli, script: Script, text: str, code: int, expected: str
) -> None:
    found, out, err = run("run", "--no-ui", script(text))
    assert (found, out) == (code, "")
    assert expected in err
    assert not Path("runs").exists()


def test_its_output_ends_with_a_line(run: Cli, script: Script) -> None:
    _, _, err = run("run", "--no-ui", script("print('50 %', end='')"))
    assert err.startswith("50 %\nmnist-tui: train.py: ended without")


def test_without_a_window_it_prints_the_folder(run: Cli, script: Script) -> None:
    code, out, err = run("run", "--no-ui", script(RECORDS))
    assert code == 0, err
    folder = RunFolder(Path(out.strip()))
    assert folder.is_run
    assert folder.path.parent == Path("runs")
    assert folder.name.endswith("-train.py")
    assert folder.train_log.read_text() == "loading\n"
    assert err.startswith("loading\nthe training is in the background; watch it with: mnist-tui")


def test_the_window_opens_on_its_run(run: Cli, script: Script, opened: list[Attached]) -> None:
    code, out, err = run("run", "--out", "here", script(RECORDS))
    assert (code, out, err) == (0, "", "loading\n")
    assert [attachment.folder.path for attachment in opened] == [Path("here")]


def test_a_script_that_fails_later_prints_its_traceback(
    run: Cli, script: Script, opened: list[Attached]
) -> None:
    code, _, err = run("run", "--out", "here", script(f"{RECORDS}\nprint('more')\n1 / 0\n"))
    assert (code, len(opened)) == (1, 1)
    assert err.startswith("loading\n")
    assert "Traceback (most recent call last)" in err
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_ctrl_c_interrupts_a_script_that_loads(
    run: Cli, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = script(
        "import time\n"
        "try:\n    print('loading')\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )

    logs = [""]

    def interrupt(seconds: float) -> None:
        logs.extend(path.read_text() for path in Path("runs").glob("*/train.log"))
        if "loading" in logs[-1] and "loading" not in logs[-2]:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    code, out, err = run("run", "--no-ui", name)
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["gone.py"], "gone.py: no such file; name a script, or use -m MODULE"),
        ([], "Missing argument 'SCRIPT'"),
        (["--epochs", "3", "train.py"], "No such option: --epochs"),
        (["train.py"], "the window needs a terminal"),
        (["--out", "full", "--no-ui", "train.py"], "full: already contains a run"),
    ],
)
def test_what_is_refused(run: Cli, script: Script, words: list[str], problem: str) -> None:
    script("raise SystemExit('started')")
    Path("full").mkdir()
    for name in ("config.toml", "events.jsonl"):
        Path("full", name).touch()
    code, out, err = run("run", *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert len(err.splitlines()) == 1


def test_the_script_knows_the_folder_of_its_run(
    run: Cli, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    name = script(f"import os; print(os.environ[{RUN_VARIABLE!r}])")
    _, _, err = run("run", "--no-ui", "--out", "here", name)
    assert err.splitlines()[0] == str(Path("here").absolute())
    assert RUN_VARIABLE not in os.environ
