"""``mnist-tui check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset
from tui_trainer.course.topics import TOPICS
from tui_trainer.lab.preflight.plan import Plan

MODEL_FORMS = """
from torch import nn

class Net(nn.Module):
    '''A custom model.'''

    def __init__(self, image_size, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.logits = nn.Linear(8 * image_size**2, classes)

    def forward(self, x):
        print("forward!")
        return self.logits(self.norm(self.conv(x)).relu().flatten(1))

class Softmaxed(Net):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)

class Frozen(Net):
    def __init__(self, image_size, classes):
        super().__init__(image_size, classes)
        self.conv.requires_grad_(False)

class Detached(Net):
    def forward(self, x):
        return self.logits(self.norm(self.conv(x).detach()).relu().flatten(1))

class Raises(Net):
    def forward(self, x):
        if len(x) > 2:
            raise ValueError("too many")
        return super().forward(x)
"""

QUICK = ("--batch-size", 32, "--threads", 1, "--device", "cpu", "--augment", "none", "--lr", 0.02)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 training images of 8×8 pixels."""
    return write_dataset(tmp_path_factory.mktemp("images"), size=8, train=1_500, test=20)


@pytest.fixture(scope="module")
def custom_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "net.py"
    path.write_text(MODEL_FORMS, encoding="utf-8")
    return path


@pytest.fixture
def checked(run: Cli, images: Path) -> Any:
    def call(*arguments: object, code: int) -> dict[str, dict[str, Any]]:
        got, out, err = run("check", "--data-dir", images, *QUICK, "--json", *arguments)
        assert "error" not in err
        record = json.loads(out)
        assert got == code, record["items"]
        return {item["code"]: item for item in record["items"]}

    return call


@pytest.mark.slow
def test_a_good_model_passes(run: Cli, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(steps=40, shuffled_steps=5)
    monkeypatch.setattr("tui_trainer.lab.preflight.check_context.whole_plan", lambda *_: plan)
    code, out, err = run("check", "tiny", "--data-dir", images, *QUICK)

    assert (code, err) == (0, ""), out
    lines = out.splitlines()
    assert lines[0].startswith("tiny · ")
    assert "batch 32" in lines[0]
    assert "✓ every parameter gets a gradient  [lesson 19: " in out
    assert lines[-1].startswith("0 errors, ")


def test_json_has_every_item(run: Cli, images: Path) -> None:
    code, out, err = run("check", "mlp", "--data-dir", images, *QUICK, "--seed", 3, "--json")

    assert (code, err) == (0, "")
    record = json.loads(out)
    assert (record["model"], record["batch_size"], record["seed"]) == ("mlp", 32, 3)
    assert list(record["counts"]) == ["error", "warning", "note", "ok"]
    assert sum(record["counts"].values()) == len(record["items"]) == 14
    assert record["seconds"] > 0
    for item in record["items"]:
        assert set(item) == {
            *("code", "severity", "title", "evidence", "advice", "lesson", "topic", "value"),
            *("layers", "figure", "seconds", "causes"),
        }
        assert item["severity"] in record["counts"]
        assert item["topic"] == TOPICS[item["lesson"]]
        assert item["value"] is None or isinstance(item["value"], float)
    names = {item["code"] for item in record["items"]}
    assert {
        "data",
        "input",
        "initial-loss",
        "one-batch",
        "learning-rate",
        "shuffled-labels",
    } <= names


def test_softmax_before_the_loss_fails(checked: Any, custom_model: Path) -> None:
    items = checked(f"{custom_model}:Softmaxed", code=6)

    assert items["softmax"]["severity"] == "error"
    assert items["gradients"]["severity"] == "ok"


def test_a_detached_layer_fails_and_a_frozen_one_does_not(checked: Any, custom_model: Path) -> None:
    items = checked(f"{custom_model}:Detached", code=6)
    failed = {name for name, item in items.items() if item["severity"] == "error"}
    assert failed == {"gradients"}
    assert "conv.weight, conv.bias" in items["gradients"]["evidence"]

    items = checked(f"{custom_model}:Frozen", code=0)
    assert not [name for name, item in items.items() if item["severity"] == "error"]
    assert (items["gradients"]["severity"], "conv.bias" in items["gradients"]["evidence"]) == (
        "note",
        True,
    )


def test_a_hopeless_lr_fails(checked: Any) -> None:
    assert checked("mlp", "--lr", 1e-6, code=6)["learning-rate"]["severity"] == "error"


def test_output_of_a_custom_model_is_no_data(run: Cli, images: Path, custom_model: Path) -> None:
    code, out, err = run("check", f"{custom_model}:Net", "--data-dir", images, *QUICK, "--json")

    assert code == 0
    assert json.loads(out)["model"] == "net.py:Net"
    assert "forward!" in err


def test_a_model_that_raises_is_reported_with_its_line(
    run: Cli, images: Path, custom_model: Path
) -> None:
    code, _, err = run("check", f"{custom_model}:Raises", "--data-dir", images, *QUICK)

    assert code == 2
    assert "net.py:33: ValueError: too many; in training mode, with a batch of 32 images" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet"], "lenet"),
        (["nowhere.py:Net"], "nowhere.py"),
        (["--lr", "0"], "--lr: the learning rate must be above 0"),
        (["--batch-size", "0"], "--batch-size: the batch size must be"),
        (["--optimizer", "x"], "--optimizer: unknown optimizer 'x'"),
        (["--dropout", "0.5"], "--dropout 0.5: era-s6 has no dropout layer"),
        (["--data-dir", "nowhere"], "nowhere"),
        (["--preset", "x"], "--preset: unknown preset 'x'"),
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--paused"], "--paused"),
        (["tiny", "small"], "small"),
    ],
)
def test_unusable_input_is_one_line(
    data_refused: Refused, arguments: list[str], words: str
) -> None:
    assert words in data_refused("check", *arguments)


def test_it_begins_from_a_recipe(run: Cli, images: Path) -> None:
    code, out, _ = run(
        "check", "--preset", "story-1", "--data-dir", images, "--threads", 1, "--json"
    )

    record = json.loads(out)
    assert code in (0, 6)
    assert (record["model"], record["optimizer"]) == ("mlp", "adam")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_courses_model_passes_on_the_real_images(run: Cli, optimizer: str) -> None:
    code, out, err = run("check", "era-s6", "--optimizer", optimizer, "--threads", 2, "--json")

    record = json.loads(out)
    assert (code, err) == (0, "")
    assert record["counts"]["error"] == 0
    first = next(item for item in record["items"] if item["code"] == "first-steps")
    assert (
        "healthy runs of networks like it" in first["evidence"] or "100: more" in first["evidence"]
    )
