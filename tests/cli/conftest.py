"""The command line, called in this process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.faults.forks import run_code
from tui_trainer import cli
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import compose, parse_config

Cli = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]
Printed = Callable[..., RunConfig]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Runs are saved below the current folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


def main_in(folder: Path, *arguments: object) -> int:
    """Call the command line in a folder, as the fixtures of modules do; return the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["mnist-tui", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def forked_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare exported programs in a forked process, which need not load torch again."""
    forked = SimpleNamespace(run=run_code, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr("tui_trainer.export.source_code.check.subprocess", forked)


@pytest.fixture
def here(once: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the folder that a module trains in its fixture ``once``, as the current folder."""
    copy = tmp_path / "here"
    shutil.copytree(once, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnist-tui", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return call


@pytest.fixture
def data_refused(run: Cli) -> Refused:
    """Return the error line about bad data, without its common prefix."""

    def call(*arguments: object) -> str:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        lines = [line for line in err.splitlines() if not line.startswith("preparing: ")]
        assert len(lines) == 1, err
        assert lines[0].startswith("mnist-tui: error: ")
        return lines[0].removeprefix("mnist-tui: error: ")

    return call


@pytest.fixture
def refused(data_refused: Refused, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Return the error line about an input that must not start a run."""

    def begin(*_: object) -> None:
        pytest.fail("a run has begun")

    monkeypatch.setattr("tui_trainer.cli.starts.train", begin)
    return data_refused


@pytest.fixture
def printed(run: Cli) -> Printed:
    """Return the configuration of --print-config, which must read back as the same."""

    def call(*arguments: object) -> RunConfig:
        code, out, err = run(*arguments, "--print-config")
        assert (code, err) == (0, "")
        return compose(parse_config(out, "printed"))

    return call
