"""``mnist-tui inspect``, called in this process: its errors, and the run it opens the window on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset
from tests.protocol.questions import ask_view
from tui_trainer.cli import front_ends
from tui_trainer.cli.starts import Show
from tui_trainer.history.history import History
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import EpochDone, RunStarted, StepDone
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.inspection import NAMES
from tui_trainer.recording.folder import RunFolder

BRIEF = ("--no-ui", "--threads", 1, "--device", "cpu", "--epochs", 2, "--model", "mlp")


@pytest.fixture
def trained(run: Cli, tmp_path: Path) -> RunFolder:
    """A run of two epochs below ``runs``, with a checkpoint of the first."""
    data = write_dataset(tmp_path / "data", gzip=False)
    code, _, _ = run(*BRIEF, "--data-dir", data, "--batch-size", 16, "--checkpoint-every", 1)
    assert code == ExitCode.FINISHED
    (path,) = Path("runs").iterdir()
    return RunFolder(path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Show, RunConfig, str]]:
    """Records the runs that would be opened in the window."""
    windows: list[tuple[Show, RunConfig, str]] = []

    def run_inspect(
        show: Show, settings: RunConfig, *, theme: str | None, view: str, screen: str
    ) -> int:
        windows.append((show, settings, view))
        return ExitCode.FINISHED

    monkeypatch.setattr(front_ends, "check_terminal", lambda instead: None)
    monkeypatch.setattr(front_ends, "run_inspect", run_inspect)
    return windows


def test_a_checkpoint_is_shown_with_the_events_before_it(
    run: Cli, trained: RunFolder, opened: list[tuple[Show, RunConfig, str]]
) -> None:
    assert run("inspect") == (ExitCode.FINISHED, "", "")
    words = ("inspect", trained.name, "--checkpoint", "epoch-1", "--view", "cal", "--threads", 1)
    assert run(*words) == (ExitCode.FINISHED, "", "")
    (last, _, first_view), (early, settings, view) = opened
    assert (first_view, view) == (NAMES[0], "calibration")
    assert settings.threads == 1
    lines = trained.events.read_bytes()
    for show, epochs in ((last, 2), (early, 1)):
        history = History()
        for event in show(settings, Inbox(ask_view("confusion"), Stop())):
            assert (
                not isinstance(event, RunStarted | StepDone | EpochDone) or not history.is_viewing
            )
            history.apply(event)
        assert history.is_viewing
        assert len(history.epochs) == epochs
    assert trained.events.read_bytes() == lines


@pytest.mark.usefixtures("opened")
def test_a_run_that_cannot_be_shown_is_one_line(trained: RunFolder, refused: Refused) -> None:
    assert refused("inspect", "nothing").startswith("nothing: no such run")
    output = refused("inspect", trained.name, "--checkpoint", "epoch-9")
    assert output.startswith(f"--checkpoint epoch-9: not in {trained.name}; choose best, epoch-1")
    assert refused("inspect", "--view", "aura").startswith("--view 'aura': no such view; choose ")
    assert refused("inspect", "--view", "c").endswith(", classes, calibration")
    assert refused("inspect", "--threads", 0).startswith("--threads: ")
    assert "plaid" in refused("inspect", "--theme", "plaid")
    trained.checkpoint("last").write_bytes(b"no checkpoint")
    assert str(trained.checkpoint("last")) in refused("inspect")


def test_without_a_terminal_it_names_the_alternative(refused: Refused) -> None:
    output = refused("inspect")
    assert output == "the window needs a terminal; in a script or a pipe, use mnist-tui evaluate"
