"""Every command on every model of ``cases``: one per row of ``shared/cases/README.md``.

``test_rows.py`` tests what is specific to a row; here are the assertions for all rows.
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
    last_event,
    records,
)
from tui_trainer.models.build import build_model
from tui_trainer.recording.folder import RunFolder

CACHED = ("--batch-size", 128, "--val-size", 128)
"""The last validation batch has the shape of the first training batch."""

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
    Case("hand_written_swish", ("--optimizer", "adam"), check=None),
]
SLOW_ONES = [
    Case("pixel_steps", ("--train-size", 64, "--val-size", 32, "--optimizer", "adam"), check=None)
]
"""One pixel per time step: a training step takes as long as a hundred of the others."""

MIDDLE = 9
"""The step after which a run is killed: in its first epoch, or in its second if that is short."""

TEST = 100

every_case = pytest.mark.parametrize("case", CASES + SLOW_ONES, ids=str)
slow = pytest.mark.slow


@every_case
@slow
def test_it_trains_in_one_thread(lab: Lab, case: Case) -> None:
    folder = lab.trained(case)

    assert last_event(folder, "RunStarted")["threads"] == 1
    assert last_event(folder, "TestEvaluated")["test_total"] == TEST


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
    model = build_model(case.model, image_size=28, classes=10)
    assert record["totals"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert all("measured" in layer for layer in record["layers"])
    assert record["layers"][-1]["type"] != type(model).__name__, "no layer was seen"


@every_case
@slow
def test_killed_in_the_middle_it_resumes_to_the_same_bits(lab: Lab, case: Case) -> None:
    whole, cut = lab.trained(case), lab.place / f"{case.slug}-cut"
    step = min(MIDDLE, last_event(whole, "RunFinished")["step"] - 1)

    killed = lab.work(killed_at(step, *lab.options(case), "--out", cut))
    assert killed.signal == 9, killed.err
    assert last(RunFolder(cut)).metadata["step"] == step
    assert_fine(lab.run("resume", cut, "--no-ui"))

    assert_same_bits(whole, RunFolder(cut))


@every_case
@slow
def test_it_is_evaluated(lab: Lab, case: Case) -> None:
    """On the test images, with the weights of the end of training."""
    folder = lab.copied(lab.trained(case))

    ended = lab.run("evaluate", folder.path, "--test", "--view", "confusion", "--json")

    assert_fine(ended)
    assert json.loads(ended.out)


@every_case
@slow
def test_it_predicts_as_it_was_trained(lab: Lab, digits: Path, case: Case) -> None:
    """As many test images are correct, as pictures, as in the run's own test evaluation."""
    folder = lab.trained(case)
    if case.name == "batch_softmax":
        pytest.skip("a single image has no answer: test_rows.py")

    ended = lab.run("predict", digits, "--run", folder.path, "--raw", "--ink", "light", "--json")

    assert_fine(ended)
    found = records(ended)
    right = sum(str(record["class"]) == Path(record["path"]).name[0] for record in found)
    assert len(found) == TEST
    assert abs(right - last_event(folder, "TestEvaluated")["test_correct"]) <= 1


@every_case
@slow
def test_its_weights_are_exported(lab: Lab, case: Case, tmp_path: Path) -> None:
    folder = lab.trained(case)

    assert_fine(lab.run("export", folder.path, "--as", "weights", "--to", tmp_path))

    weights = load_file(tmp_path / "weights.safetensors")
    model = build_model(case.model, image_size=28, classes=10)
    model.load_state_dict(weights)
    state = last(folder).part("model")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state.get(name, weights[name])), name


@every_case
@pytest.mark.parametrize("form", ["torch", "onnx"])
@slow
def test_it_is_exported_as_a_program(lab: Lab, case: Case, form: str, tmp_path: Path) -> None:
    """It predicts the same class as in torch for every test image, or says why it cannot."""
    folder = lab.trained(case)

    ended = lab.run("export", folder.path, "--as", form, "--to", tmp_path)

    if case.name == "complex_weights" and form == "onnx" and ended.code:
        assert_refused_program(ended.code, ended.err, tmp_path)
    else:
        assert_fine(ended)
        assert f" 0 of {TEST} test images have another predicted class" in ended.out


def assert_refused_program(code: int, err: str, folder: Path) -> None:
    """Assert that a refusal is one line and leaves no incomplete file."""
    lines = err.strip().splitlines()
    assert (code, len(lines)) == (2, 1), err
    assert len(lines[0]) < 600
    assert list(folder.iterdir()) == []
