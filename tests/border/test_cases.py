"""Every command on every model of ``cases``: one for each row of ``shared/cases/README.md``.

What is particular to a row is in ``test_rows.py``; here is what must hold for all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.border.commands import (
    Case,
    Lab,
    assert_fine,
    assert_same_bits,
    killed_at,
    last,
    records,
    told,
)
from tui_trainer.models.build import build_model
from tui_trainer.recording.folder import RunFolder

CACHED = ("--batch-size", 128, "--val-size", 128)
"""The last batch of validation has the shape of the first of training."""

CASES = [
    Case("weight_norm"),
    Case("own_train", ("--lr", 0.02)),
    Case("frozen_norm"),
    Case("integer_parameter"),
    Case("tied", ("--lr", 0.02)),
    Case("coordinates"),
    Case("lone_image", ("--train-size", 257)),
    Case("outside_state"),
    Case("writes_input", ("--lr", 0.01)),
    Case("batch_softmax", review=5, check=6),
    Case("complex_weights", ("--lr", 0.02)),
    Case("frozen_features", ("--lr", 0.02)),
    Case("frozen_features:Detached", check=6),
    Case("tokens:Mixed", ("--optimizer", "adam")),
    Case("tokens:Steps", ("--optimizer", "adam")),
    Case("smaller:Interpolated"),
    Case("smaller:Unshuffled"),
    Case("smaller:Transposed"),
    Case("numpy_weights"),
    Case("prints"),
    Case("prints:Writes"),
    Case("prints:Warns"),
    Case("empty_parameter", ("--optimizer", "adam")),
    Case("cached_mask", CACHED),
    Case("hand_written_swish", ("--optimizer", "adam"), review=5, check=None),
]
SLOW_ONES = [
    Case("pixel_steps", ("--train-size", 64, "--val-size", 32, "--optimizer", "adam"), check=None)
]
"""One pixel a step: a training step takes as long as a hundred of the others."""

MIDDLE = 9
"""The step after which a run is killed: in its first epoch, or in its second where it is short."""

TEST = 100

every_case = pytest.mark.parametrize("case", CASES + SLOW_ONES, ids=str)
slow = pytest.mark.slow


@every_case
@slow
def test_it_trains_in_one_thread(lab: Lab, case: Case) -> None:
    folder = lab.trained(case)

    assert told(folder, "RunStarted")["threads"] == 1
    assert told(folder, "TestEvaluated")["test_total"] == TEST


@every_case
@slow
def test_it_trains_in_as_many_threads_as_are_best(lab: Lab, case: Case) -> None:
    lab.train(case, f"{case.slug}-threads", threads=None)


@every_case
@slow
def test_it_is_checked(lab: Lab, case: Case) -> None:
    given = ("--data-dir", lab.data, "--threads", 1, "--val-size", 80, "--batch-size", 32)

    ended = lab.run("check", case.model, *given, *case.options, "--json")

    assert_fine(ended, case.check)
    assert json.loads(ended.out)


@every_case
@slow
def test_it_is_reviewed(lab: Lab, case: Case) -> None:
    ended = lab.run("review", case.model, "--json")

    assert_fine(ended, case.review)
    assert json.loads(ended.out)["verdicts"]


@every_case
@slow
def test_its_layers_are_measured(lab: Lab, case: Case) -> None:
    ended = lab.run("model", case.model, "--measure", "--json")

    assert_fine(ended)
    record = json.loads(ended.out)
    network = build_model(case.model, image_size=28, classes=10)
    assert record["totals"]["parameters"] == sum(p.numel() for p in network.parameters())
    assert all("measured" in layer for layer in record["layers"])
    assert record["layers"][-1]["type"] != type(network).__name__, "no layer was seen"


@every_case
@slow
def test_killed_in_the_middle_it_resumes_to_the_same_bits(lab: Lab, case: Case) -> None:
    whole, cut = lab.trained(case), lab.place / f"{case.slug}-cut"
    step = min(MIDDLE, told(whole, "RunFinished")["step"] - 1)

    killed = lab.work(killed_at(step, *lab.options(case), "--out", cut))
    assert killed.signal == 9, killed.err
    assert last(RunFolder(cut)).metadata["step"] == step
    assert_fine(lab.run("resume", cut, "--no-ui"))

    assert_same_bits(whole, RunFolder(cut))


@every_case
@slow
def test_it_is_evaluated(lab: Lab, case: Case) -> None:
    """On the test images, as it was at the end of its training."""
    folder = lab.copied(lab.trained(case))

    ended = lab.run("evaluate", folder.path, "--test", "--view", "confusion", "--json")

    assert_fine(ended)
    assert json.loads(ended.out)


@every_case
@slow
def test_it_predicts_as_it_was_trained(lab: Lab, digits: Path, case: Case) -> None:
    """As many of the test images are right, as pictures, as were in the run's own evaluation."""
    folder = lab.trained(case)
    if case.name == "batch_softmax":
        pytest.skip("one image alone has no answer: test_rows.py")

    ended = lab.run("predict", digits, "--run", folder.path, "--raw", "--ink", "light", "--json")

    assert_fine(ended)
    found = records(ended)
    right = sum(str(record["class"]) == Path(record["path"]).name[0] for record in found)
    assert len(found) == TEST
    assert abs(right - told(folder, "TestEvaluated")["test_correct"]) <= 1


@every_case
@slow
def test_its_weights_are_exported(lab: Lab, case: Case, tmp_path: Path) -> None:
    folder = lab.trained(case)

    assert_fine(lab.run("export", folder.path, "--as", "weights", "--to", tmp_path))

    weights = load_file(tmp_path / "weights.safetensors")
    network = build_model(case.model, image_size=28, classes=10)
    network.load_state_dict(weights)
    state = last(folder).part("model")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state.get(name, weights[name])), name


@every_case
@pytest.mark.parametrize("form", ["torch", "onnx"])
@slow
def test_it_is_exported_as_a_program(lab: Lab, case: Case, form: str, tmp_path: Path) -> None:
    """It gives every test image the class that it gives it in torch; or says why it cannot."""
    folder = lab.trained(case)

    ended = lab.run("export", folder.path, "--as", form, "--to", tmp_path)

    if case.name == "complex_weights" and form == "onnx" and ended.code:
        assert_refused_program(ended.code, ended.err, tmp_path)
    else:
        assert_fine(ended)
        assert f" 0 of {TEST} test images get another class" in ended.out


def assert_refused_program(code: int, err: str, folder: Path) -> None:
    """Make sure that a refusal is one line and leaves no half-written file."""
    lines = err.strip().splitlines()
    assert (code, len(lines)) == (2, 1), err
    assert len(lines[0]) < 600
    assert list(folder.iterdir()) == []
