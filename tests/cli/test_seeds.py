"""seeds, called in this process on a dataset of sixty images."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset
from tui_trainer import cli
from tui_trainer.cli import starts
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import EpochDone, Event, StepDone
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.seed_group import read_group

SETTINGS = (
    *("pico", "--threads", 1, "--device", "cpu", "--epochs", 2, "--batch-size", 16),
    *("--target-accuracy", 0, "--last", 2),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), gzip=False)


def begin(data: Path, *more: object) -> list[str]:
    return [*map(str, ("seeds", *SETTINGS, "--data-dir", data, "--no-ui", "--seeds", 3, *more))]


@pytest.fixture(scope="module")
def printed_once(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A finished group of three seeds, trained once for all tests, and what it has printed."""
    path = tmp_path_factory.mktemp("once") / "group"
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["mnist-tui", *begin(data, "--out", path)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert caught.value.code == 0
    return path, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def once(printed_once: tuple[Path, str, str]) -> Path:
    """The folder of that group."""
    return printed_once[0]


@pytest.fixture
def trained(once: Path, tmp_path: Path) -> Path:
    """The group: a copy that a test may change."""
    return Path(shutil.copytree(once, tmp_path / "group"))


def weights(group: Path) -> list[dict[str, list[float]]]:
    paths = [group / f"seed-{seed}" / "checkpoints" / "last.safetensors" for seed in range(3)]
    return [{name: t.tolist() for name, t in load_file(path).items()} for path in paths]


def test_the_results_are_a_table_with_means_and_a_verdict(
    printed_once: tuple[Path, str, str],
) -> None:
    group, out, err = printed_once
    lines = out.splitlines()
    for number, seed in enumerate(range(3), 1):
        assert f"seed {seed} ({number} of 3)" in lines
        assert (group / f"seed-{seed}" / "summary.json").is_file()
    assert sum(line.startswith("epoch 2/2 ") for line in lines) == 3
    assert sum(line.strip().startswith(("0 ", "1 ", "2 ")) for line in lines) == 3
    assert any(line.startswith("mean test accuracy ") for line in lines)
    assert lines[-1].startswith("✓ target reached by each of 3 seeds: validation accuracy ≥ 0.00 %")
    assert err.splitlines()[-1] == f"recorded in {group}"


def test_a_group_is_recorded_below_runs(run: Cli, data: Path) -> None:
    assert run(*begin(data, "--seed", 7, "--seeds", 1))[0] == 0
    (path,) = Path("runs").iterdir()
    assert path.name.endswith("-pico-seeds")
    group = read_group(path)
    assert (group.seeds, group.config.seed) == ((7,), 7)
    assert group.folder(7).read_config().seed == 7


def test_json_has_all_events_and_then_the_results(run: Cli, data: Path) -> None:
    code, out, _ = run(*begin(data, "--json", "--seeds", 2))
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    starts = [record["seed"] for record in records if record["event"] == "RunStarted"]
    assert starts == [0, 1]
    done = records[-1]
    assert done["event"] == "SeedsDone"
    assert [seed["state"] for seed in done["seeds"]] == ["completed"] * 2
    assert [seed["test_evaluations"] for seed in done["seeds"]] == [1, 1]
    assert done["target"] == {"accuracy": 0.0, "last": 2, "reached": True}


class Killed(BaseException):
    """In place of ``kill -9``: nothing handles it."""


def die_at(epoch: int, seed: int, patch: pytest.MonkeyPatch) -> None:
    train = starts.train

    def dying(config: RunConfig, inbox: Inbox, *args: object, **more: object) -> Iterator[Event]:
        done = 0
        for event in train(config, inbox, *args, **more):  # type: ignore[arg-type]
            yield event
            done = event.epoch if isinstance(event, EpochDone) else done
            if isinstance(event, StepDone) and (config.seed, done) == (seed, epoch):
                raise Killed

    patch.setattr("tui_trainer.cli.starts.train", dying)


def test_a_killed_group_resumes_to_the_same_bits(
    run: Cli, data: Path, once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "group"
    with monkeypatch.context() as patch:
        die_at(1, 1, patch)
        with pytest.raises(Killed):
            run(*begin(data, "--out", group))
    before = (group / "seed-0" / "events.jsonl").read_bytes()
    assert read_group(group).left == (1, 2)
    code, _, err = run("seeds", "--resume", group, "--no-ui")
    assert code == 0
    assert "1 of 3 seeds trained already" in err
    assert (group / "seed-0" / "events.jsonl").read_bytes() == before
    assert weights(group) == weights(once)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    run: Cli, trained: Path, once: Path
) -> None:
    folder = read_group(trained).folder(2)
    shutil.rmtree(folder.checkpoints)
    folder.summary.unlink()
    folder.events.write_text("")
    assert run("seeds", "--resume", trained, "--no-ui")[0] == 0
    assert weights(trained) == weights(once)


def test_a_trained_run_without_a_checkpoint_is_not_removed(run: Cli, trained: Path) -> None:
    folder = read_group(trained).folder(2)
    shutil.rmtree(folder.checkpoints)
    folder.summary.unlink()
    code, _, err = run("seeds", "--resume", trained, "--no-ui")
    assert code == ExitCode.BAD_INPUT
    assert "seed-2: has no checkpoint to continue from; delete this folder" in err
    assert folder.events.stat().st_size


def test_ctrl_c_ends_the_group_and_prints_how_to_resume_it(
    run: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = starts.train

    def interrupted(config: RunConfig, *args: object, **more: object) -> Iterator[Event]:
        for event in train(config, *args, **more):  # type: ignore[arg-type]
            if config.seed == 1 and isinstance(event, StepDone):
                os.kill(os.getpid(), signal.SIGINT)
            yield event

    with monkeypatch.context() as patch:
        patch.setattr("tui_trainer.cli.starts.train", interrupted)
        code, _, err = run(*begin(data, "--out", tmp_path / "group"))
    assert code == ExitCode.INTERRUPTED
    group = tmp_path / "group"
    assert err.splitlines()[-1] == (
        f"2 of 3 seeds left; continue with: mnist-tui seeds --resume {group}"
    )
    assert not (group / "seed-2").exists()
    assert run("seeds", "--resume", group, "--no-ui")[0] == 0


def test_a_finished_group_prints_its_results_with_another_target(run: Cli, trained: Path) -> None:
    code, out, _ = run("seeds", "--resume", trained, "--no-ui", "--target-accuracy", 1, "--last", 1)
    assert code == ExitCode.TARGET_MISSED
    assert "✗ target missed by 3 of 3 seeds: validation accuracy ≥ 100.00 % in the last" in out
    assert "epoch 1/2" not in out


def test_a_group_gets_more_seeds(run: Cli, trained: Path) -> None:
    code, out, _ = run("seeds", "--resume", trained, "--no-ui", "--seeds", 4)
    assert code == 0
    assert "seed 3 (4 of 4)" in out
    assert read_group(trained).seeds == (0, 1, 2, 3)


def test_a_diverged_run_is_a_result(run: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "group"
    code, text, _ = run(*begin(data, "--out", out, "--lr", 1000, "--seeds", 2))
    assert code == ExitCode.DIVERGED
    assert "not in the means: seed 0 diverged, seed 1 diverged" in text
    events = (out / "seed-0" / "events.jsonl").read_bytes()
    assert run("seeds", "--resume", out, "--no-ui")[0] == ExitCode.DIVERGED
    assert (out / "seed-0" / "events.jsonl").read_bytes() == events


def test_a_group_that_another_process_trains_is_refused(refused: Refused, trained: Path) -> None:
    lock = Lock(trained / ".lock")
    assert f"{trained}: in use: process" in refused("seeds", "--resume", trained, "--no-ui")
    lock.release()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", 0], "--seeds 0: choose from 1 to 1,000"),
        (["--seed", 4_294_967_295], "--seed 4294967295: too large for 5 seeds"),
        (["--last", 3], "--last: needs a target; add --target-accuracy 0.994"),
        (
            ["--preset", "fast", "--last", 3, "--target-accuracy", 0.9],
            "--last: needs validation images, and val_size is 0; add --val-size 5000",
        ),
        (["--resume"], "runs: contains no seeds to resume; train some with: mnist-tui seeds"),
        (["--resume", "nothing"], "nothing: no such group of seeds"),
        (["--resume", "--lr", 1], "--lr: cannot be used with --resume; all seeds of a group"),
        (["--json"], "--json: add --no-ui"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    refused: Refused, arguments: list[object], message: str
) -> None:
    more = [] if arguments == ["--json"] else ["--no-ui"]
    assert refused("seeds", *arguments, *more).startswith(message)
    assert not any(Path().iterdir())


def test_a_group_whose_first_run_cannot_start_leaves_nothing(run: Cli, tmp_path: Path) -> None:
    code, _, err = run("seeds", "--no-ui", "--data-dir", tmp_path / "none")
    assert (code, err.splitlines()[-1].split(": ")[-1]) == (2, "no such folder; check the path")
    assert not any(Path("runs").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = [", "seeds.toml, line 1: invalid TOML"),
        ("format = 99", "seeds.toml: not written by this version of mnist-tui"),
        ("format = 1\nseeds = [0, 0]", "seeds.toml, line 2, seeds: needs different seeds"),
        ("format = 1\nseeds = [0]", "seeds.toml: needs a table [settings]"),
        ("format = 1\nseeds = [0]\n[settings]\nlrr = 1", "seeds.toml, line 4, lrr: unknown"),
        ("format = 1\nseeds = [0]\n[settings]\nlr = -1", "seeds.toml, line 4, lr: the learning"),
    ],
)
def test_a_damaged_group_is_one_line(
    refused: Refused, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "seeds.toml").write_text(text)
    assert message in refused("seeds", "--resume", tmp_path, "--no-ui")


def test_a_folder_that_has_a_group_is_refused(refused: Refused, trained: Path) -> None:
    message = refused("seeds", "pico", "--no-ui", "--out", trained)
    assert message.startswith(f"--out {trained}: already contains seeds.toml; choose another")
    assert "mnist-tui seeds --resume" in message
