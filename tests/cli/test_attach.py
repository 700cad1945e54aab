"""``attach`` and ``--detach``: the command line of a trainer in the background, and permissions."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Printed
from tests.protocol.facts import started, step
from tui_trainer.cli import front_ends
from tui_trainer.cli.attach import Attached
from tui_trainer.cli.detach import arguments_of
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.recorder import Recorder

CHANGED: dict[str, Any] = {
    "model": "net.py:Net",
    "dropout": 0.1,
    "data_dir": "-folder = with signs",
    "lr": 1 / 3,
    "batch_size": 37,
    "nesterov": False,
    "probes": False,
    "augment": "light",
    "rotate": 1e-05,
    "target_accuracy": 0.994,
    "last": 2,
    "seed": 0,
}


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(),
        RunConfig(**CHANGED),
        *(
            dataclasses.replace(RunConfig(), **{name: choices[-1]})  # type: ignore[arg-type]
            for name, row in SETTINGS.items()
            if (choices := row.choices) and name not in ("model", "interpolation")
        ),
    ],
)
def test_the_arguments_of_a_trainer_give_the_same_settings(
    printed: Printed, config: RunConfig
) -> None:
    found = printed(*arguments_of(config))
    assert dataclasses.asdict(found) == dataclasses.asdict(config.resolved())


def recorded(folder: Path) -> RunFolder:
    list(Recorder.create(folder, RunConfig(model="tiny")).record(iter([started(), step(1)])))
    return RunFolder(folder)


@pytest.mark.parametrize("has_permission", [True, False])
def test_without_permission_to_steer_the_window_is_read_only(
    run: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_permission: bool
) -> None:
    folder = recorded(tmp_path / "one")
    opened: list[bool] = []

    def open_window(attachment: Attached, settings: RunConfig, **options: Any) -> int:
        opened.append(options["read_only"])
        return 0

    monkeypatch.setattr(front_ends, "check_terminal", lambda instead: None)
    monkeypatch.setattr(front_ends, "run_attached", open_window)
    monkeypatch.setattr(os, "access", lambda path, mode: has_permission or mode == os.R_OK)

    assert run("attach", folder.path) == (0, "", "")
    assert opened == [not has_permission]


def test_without_a_name_a_run_must_be_in_training(
    run: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_ends, "check_terminal", lambda instead: None)
    recorded(Path("runs") / "one")

    code, out, err = run("attach")

    assert (code, out) == (2, "")
    assert "no run is being trained" in err


@pytest.mark.parametrize(
    "options", [["--paused"], ["--guide"], ["--no-save"], ["--json", "--no-ui"]]
)
def test_what_a_trainer_in_the_background_cannot_have(run: Cli, options: list[str]) -> None:
    code, out, err = run("--detach", "--no-ui", *options)
    assert (code, out) == (2, "")
    assert f"{options[0]}: cannot be used with --" in err
    assert not Path("runs").exists()


def test_a_lock_that_cannot_be_read_is_no_free_lock(
    run: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = recorded(tmp_path / "one")
    monkeypatch.setattr(front_ends, "check_terminal", lambda instead: None)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)

    code, out, err = run("attach", folder.path)

    assert (code, out) == (2, "")
    assert ".lock: no permission to read" in err
