"""``mnist-tui find-lr``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset

QUICK = (
    *("--seeds", 3, "--steps", 60, "--train-size", 2000, "--val-size", 100, "--threads", 1),
    *("--data-dir", "digits"),
)
OF_RUN = QUICK[:4]
MODELS = """
import torch
from torch import nn

class Nan(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(784, classes)

    def forward(self, x):
        return self.linear(x.flatten(1)) * float("nan")

class Flat(Nan):
    def forward(self, x):
        return self.linear(x.flatten(1)) * 1e-12
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "digits", train=2_200, gzip=False)


@pytest.fixture(autouse=True)
def _digits(digits: Path, _elsewhere: None) -> None:
    """The data in the current folder: all of MNIST takes half a second to read and compare."""
    Path("digits").symlink_to(digits)


@pytest.fixture
def models() -> Path:
    Path("net.py").write_text(MODELS)
    return Path("net.py")


def found(run: Cli, *arguments: object, code: int = 0) -> dict[str, Any]:
    ended, out, err = run("find-lr", *arguments, "--json")
    assert ended == code, err
    record: dict[str, Any] = json.loads(out)
    return record


def test_the_page_has_curves_interval_and_command(run: Cli) -> None:
    code, out, err = run("find-lr", "mlp", *QUICK)

    assert (code, err) == (0, "")
    assert "mean of 3 seeds" in out
    assert "about 95 % of repeats" in " ".join(out.split())
    command = "mnist-tui mlp --data-dir digits --val-size 100 --train-size 2000 --threads 1 --lr 0."
    assert command in out
    assert out.splitlines()[0] == "Learning rate finder"


@pytest.mark.slow
def test_the_same_seed_suggests_the_same_and_another_nearly(run: Cli) -> None:
    one, again = (found(run, "mlp", *QUICK) for _ in range(2))
    other = found(run, "mlp", *QUICK, "--seed", 100)

    assert one == again
    assert one["lr"] != other["lr"]
    assert abs(math.log10(one["lr"] / other["lr"])) < 0.3
    assert [seed["seed"] for seed in other["seeds"]] == [101, 102, 103]
    assert one["base_lr"] == pytest.approx(one["lr"], rel=0.01)
    assert one["low"] < one["lr"] < one["high"]


@pytest.mark.slow
def test_dropout_repeats_too(run: Cli) -> None:
    arguments = (
        *("squeeze-dropout", *OF_RUN, "--train-size", 300, "--dropout", 0.3),
        *("--batch-size", 16, "--optimizer", "adam", "--val-size", 10),
    )
    assert found(run, *arguments) == found(run, *arguments)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--from", 1, "--to", 0.1), "--to 0.1: the range from 1 to 0.1 is empty"),
        (("--from", 100), "--from 100: the range from 100 to 10 is empty"),
        (("--from", 0), "--from 0: choose from 1e-09 to 100"),
        (("--from", "nan"), "--from nan: choose from 1e-09 to 100"),
        (("--to", 2000), "--to 2000: choose from 1e-08 to 1,000"),
        (("--seeds", 0), "--seeds 0: choose from 1 to 50"),
        (("--steps", 0), "--steps 0: choose from 20 to 10,000"),
        (("--checkpoint", "best"), "--checkpoint: needs --run RUN"),
        (("--batch-size", 0), "batch-size"),
        (("--run", "none"), "none"),
        (("--run", "x", "--optimizer", "adam"), "--optimizer: cannot be used with --run"),
        (("mlp", "--dropout", 0.1), "dropout"),
    ],
)
def test_bad_input_is_one_line(
    data_refused: Refused, arguments: tuple[object, ...], problem: str
) -> None:
    assert problem in data_refused("find-lr", *arguments)


def test_images_that_repeat_are_a_reason_for_doubt(run: Cli, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "few", size=28, train=120, test=40)
    record = found(run, "mlp", *OF_RUN, "--data-dir", folder)

    assert "few_images" in [doubt["code"] for doubt in record["doubts"]]
    assert record["is_reliable"] is False


def test_one_image_a_batch_and_one_seed_work(run: Cli) -> None:
    options = (*QUICK[10:], "--seeds", 1, "--steps", 20, "--train-size", 30, "--val-size", 0)
    record = found(run, "mlp", *options, "--batch-size", 1, code=_any_code(run, options))

    assert record["low"] is None


def _any_code(run: Cli, options: tuple[object, ...]) -> int:
    code, _, err = run("find-lr", "mlp", *options, "--batch-size", 1)
    assert code in (0, 13), err
    return code


def test_a_model_with_nan_logits_is_refused(data_refused: Refused, models: Path) -> None:
    assert "its logits are not finite" in data_refused("find-lr", f"{models}:Nan", *QUICK)


def test_a_loss_that_nothing_changes_ends_with_13(run: Cli, models: Path) -> None:
    code, out, _ = run("find-lr", f"{models}:Flat", *QUICK)

    assert code == 13
    assert "No learning rate can be suggested." in out
    assert "TRAIN WITH IT" not in out


# --- recorded runs


@pytest.fixture
def recorded(run: Cli) -> str:
    code, _, err = run(
        *("mlp", "--no-ui", "--epochs", 3, "--train-size", 1000, "--val-size", 100, "--out", "r"),
        *("--threads", 1, "--optimizer", "adam", "--schedule", "constant"),
    )
    assert code == 0, err
    return "r"


def test_a_recorded_run_is_tested_from_its_weights(run: Cli, recorded: str) -> None:
    files = {path: path.read_bytes() for path in Path(recorded).rglob("*") if path.is_file()}
    record = found(run, "--run", recorded, *OF_RUN)

    assert (record["run"], record["start"], record["step"]) == ("r", "now", 24)
    assert record["seeds"][0]["losses"][0] < 1.5
    assert record["command"] is None  # its epochs are done
    assert files == {p: p.read_bytes() for p in Path(recorded).rglob("*") if p.is_file()}
    other = found(run, "--run", recorded, *OF_RUN, "--seed", 50)
    assert [seed["seed"] for seed in other["seeds"]] == [51, 52, 53]


def test_an_earlier_checkpoint_has_a_command_that_resumes_it(run: Cli) -> None:
    code, _, err = run(
        *("mlp", "--no-ui", "--epochs", 3, "--train-size", 1000, "--val-size", 100, "--out", "s"),
        *("--data-dir", "digits"),
        *("--threads", 1, "--checkpoint-every", 1, "--schedule", "cosine"),
    )
    assert code == 0, err
    record = found(run, "--run", "s", "--checkpoint", "epoch-1", *OF_RUN)

    assert record["schedule_factor"] == pytest.approx(0.75)
    assert record["base_lr"] == pytest.approx(record["lr"] / 0.75, rel=0.01)
    begun = "mnist-tui resume s --checkpoint epoch-1 --lr "
    assert record["command"] == f"{begun}{record['base_lr']:g}"


def test_after_the_end_of_a_schedule_no_base_rate_is_high_enough(run: Cli) -> None:
    options = ("--epochs", 1, "--train-size", 1000, "--val-size", 100, "--out", "t")
    assert run("mlp", "--no-ui", *options, "--schedule", "cosine", "--threads", 1)[0] == 0
    code, out, _ = run("find-lr", "--run", "t", *OF_RUN)

    assert code == 0
    assert "No base learning rate reaches it" in " ".join(out.split())


def test_a_custom_model_error_is_one_line(data_refused: Refused) -> None:
    Path("bad.py").write_text("class Net:\n    pass\n")
    assert "bad.py" in data_refused("find-lr", "bad.py:Net", *QUICK)
