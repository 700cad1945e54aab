"""``sweep`` with storages that cannot be used: one line each, exit code 2, no password."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest

from tests.cli.conftest import Cli
from tests.sweeps.postgres import PASSWORD, Server, running_server, why_unavailable
from tui_trainer.sweeps.database import open_database
from tui_trainer.sweeps.location import DatabaseUrl
from tui_trainer.sweeps.study import Study
from tui_trainer.sweeps.sweep_file import SWEEP_FILE, parse_sweep

TEXT = """
model = "pico"
[space]
lr = { low = 0.01, high = 1.0 }
[sweep]
trials = 1
"""

SECRET = "hush-hush"


def refused(run: Cli, *arguments: object) -> str:
    """Return the only line about the error."""
    code, out, err = run("sweep", *arguments, "--no-ui")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert SECRET not in line
    assert PASSWORD not in line
    return line.removeprefix("mnist-tui: error: ")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The folder of a sweep that no process trains."""
    Study.create(parse_sweep(TEXT, "sweep.toml"), tmp_path / "first")
    return tmp_path / "first"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--join", "nowhere"], "--join nowhere: no sweep there; give its folder, or the URL"),
        (["--join", "sqlite:///x.db"], "sqlite:///x.db: not a supported database"),
        (["--join", "mysql://a@h/d?password=hush-hush"], "give the password as"),
        (["--join", f"postgresql://a:{SECRET}@127.0.0.1:1/d"], "cannot be reached"),
        (["--join", f"postgresql://a:{SECRET}@h:port/d"], "not a valid URL"),
        (["--join", "x", "--resume"], "--join: cannot be used with --resume"),
        (["--resume", "--out", "x"], "--out: cannot be used with --resume"),
        (["x.toml", "--workers", 0], "--workers 0: choose from 1 to"),
        (["--resume", "nowhere"], "nowhere: no such sweep"),
    ],
)
def test_bad_options_are_one_line(run: Cli, arguments: list[object], problem: str) -> None:
    assert problem in refused(run, *arguments)


def test_a_missing_driver_names_the_extra(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    line = refused(run, "--join", f"mysql://a:{SECRET}@h/d")
    assert 'its driver is not installed; run: pip install "mnist-tui[mysql]"' in line


def test_a_password_in_a_sweep_file_is_refused(run: Cli, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'{TEXT}storage = "postgresql://a:{SECRET}@h/d"\n')
    line = refused(run, file)
    assert "storage: must not contain a password" in line
    assert "MNIST_TUI_STORAGE_PASSWORD" in line


def test_the_study_of_another_sweep_file_is_one_line(run: Cli, sweep: Path) -> None:
    file = sweep / SWEEP_FILE
    file.write_text(file.read_text().replace("0.01", "0.02"))
    for option in ("--resume", "--join"):
        assert "belongs to another sweep file than" in refused(run, option, sweep)


@pytest.mark.parametrize("text", ["hello\n", '{"a": 1}\n{}\n'])
def test_a_damaged_journal_is_one_line(run: Cli, sweep: Path, text: str) -> None:
    (sweep / "study.log").write_text(text)
    assert "study.log" in refused(run, "--resume", sweep)


@pytest.mark.slow
def test_real_databases_that_cannot_be_used(run: Cli, tmp_path: Path) -> None:
    if why := why_unavailable():
        pytest.skip(why)
    with running_server() as server:
        _check_databases(run, server, tmp_path)


def _check_databases(run: Cli, server: Server, tmp_path: Path) -> None:
    def joined(url: str, *arguments: object) -> str:
        return refused(run, *arguments, "--join", url, "--out", tmp_path / "out")

    assert "password authentication failed" in joined(server.url(password=SECRET))
    assert 'database "none" does not exist' in joined(server.url("none"))
    url = server.create("empty")
    assert "has no sweep" in joined(url)

    storage = open_database(DatabaseUrl.parse(url))
    optuna.create_study(storage=storage, study_name="other")
    assert "is no sweep of this version of mnist-tui" in joined(url)

    spec = parse_sweep(TEXT, "sweep.toml")
    for name in ("first", "second"):
        Study.create(spec, tmp_path / name, url)
    assert "has several sweeps: first, other, second" in joined(url)
    assert "has no sweep named third" in joined(url, "third")

    occupied = tmp_path / "out"
    occupied.mkdir()
    (occupied / SWEEP_FILE).write_text(TEXT.replace("0.01", "0.02"))
    assert "belongs to another sweep file" in joined(url, "first")
    (occupied / "config.toml").touch()
    assert "already contains config.toml" in joined(url, "first")
    assert not (occupied / ".lock").exists()
