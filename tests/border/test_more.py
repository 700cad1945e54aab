"""Further cases of each kind of issue 16: at least three that are not in ``shared/cases``.

Models that break other tools, after public reports: weight norm written by hand (deq), adapters
that are merged in ``train()`` (loralib), ``requires_grad`` switched in the forward pass
(stochastic depth), sparse adjacencies (PyTorch Geometric), rotary tables outside the state
(transformers), inference tensors kept in a cache (flash-attention), distributions as outputs
(torchinfo#329), random generators that a resume does not restore (ignite#795).
"""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.border.commands import Lab, assert_fine, refusal
from tests.border.fuzz import quiet
from tests.border.generator import Composed
from tests.border.trial import Outcome, try_model, write_images
from tests.faults.forks import command

MORE = Path(__file__).parent / "more"
slow = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Written(Composed):
    """A model written by hand, tried like a composed one."""

    model: str = ""

    def write(self, folder: Path) -> str:
        return self.model


def written(reference: str, optimizer: str, *, is_random: bool = False) -> Written:
    file, _, name = reference.partition(":")
    return Written(
        name=name,
        source="",
        parts=(file,),
        is_random=is_random,
        is_counted=False,
        optimizer=optimizer,
        cut=4,
        model=f"{MORE / file}.py:{name}",
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"))


def tried(
    images: Path, folder: Path, name: str, optimizer: str = "sgd", *, is_random: bool = False
) -> Outcome:
    with quiet():
        return try_model(written(name, optimizer, is_random=is_random), images, folder / "tried")


# --- kinds 1 to 4: copies, modes, any tensor, what a run needs


HOLD = (
    *("copying:OwnWeightNorm", "copying:PointsToParent", "copying:Orthogonal", "copying:Handles"),
    *("copying:parallel", "copying:EvalReturnsNothing", "copying:Merged", "copying:FreezesLater"),
    *("copying:DropsLayers", "copying:handed_over"),
    *("tensors:Narrow", "tensors:HalfLogits", "tensors:Wide", "tensors:SparseBag"),
    *("tensors:SharedMemory", "tensors:Scalars", "tensors:Expanded"),
    *("tensors:ClassGenerator", "tensors:FileGlobals", "tensors:Remembers"),
    "tensors:Reconstructs",
    *("steps:ChangesDefaults", "steps:TurnsGradientsOff", "steps:Resizes", "steps:Constant"),
)
QUICK = {"copying:OwnWeightNorm", "tensors:FileGlobals"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else slow) for n in HOLD])
@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=slow)])
def test_it_trains_resumes_and_is_built_again(
    images: Path, tmp_path: Path, name: str, optimizer: str
) -> None:
    """With the same bits and outputs; it is exported, or that is refused in one line."""
    outcome = tried(images, tmp_path, name, optimizer)

    assert outcome.problems == []
    assert {"train", "resume", "rebuild"} <= outcome.done, outcome.refused
    assert {"table", "export"} <= outcome.done | outcome.refused.keys()


@slow
@pytest.mark.parametrize("name", ["copying:compiled", "copying:CompiledPart"])
def test_a_compiled_model_trains_and_resumes(images: Path, tmp_path: Path, name: str) -> None:
    outcome = tried(images, tmp_path, name)

    assert outcome.problems == []
    assert {"train", "resume", "rebuild"} <= outcome.done, outcome.refused


@slow
@pytest.mark.parametrize(
    "name",
    ["copying:Stream", "tensors:SparseBuffer", "tensors:Quantized", "tensors:DrawnByTheClock"],
)
def test_it_is_right_or_refused_in_one_line(images: Path, tmp_path: Path, name: str) -> None:
    """Never another answer without a warning, and no traceback."""
    outcome = tried(images, tmp_path, name)

    assert outcome.problems == []
    if "train" not in outcome.refused:
        assert {"train", "resume", "rebuild"} <= outcome.done | outcome.refused.keys()


@slow
@pytest.mark.parametrize(
    "name", ["copying:AlwaysDrops", "steps:DropsInEvaluation", "tensors:ReseedsTorch"]
)
def test_random_in_evaluation_mode_it_still_resumes(
    images: Path, tmp_path: Path, name: str
) -> None:
    outcome = tried(images, tmp_path, name, is_random=True)

    assert outcome.problems == []
    assert {"train", "resume"} <= outcome.done, outcome.refused


# --- kind 5: the first step is tried before it counts


REFUSED = {
    "steps:FixedBatch": "images",
    "steps:Squeezed": "one image",
    "steps:Distribution": "Categorical",
    "steps:DictInTraining": "dict",
    "steps:KeepsGraph": "backward",
    "steps:WritesOverGraph": "in",
    "steps:NoGradient": "gradient",
    "steps:Leaves": "exit",
    "steps:OneClassLess": "(8, 9)",
}
QUICK_REFUSED = {"steps:KeepsGraph", "steps:Squeezed", "steps:Leaves"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK_REFUSED else slow) for n in REFUSED]
)
def test_it_is_refused_before_the_first_step(images: Path, tmp_path: Path, name: str) -> None:
    """In one line that names the file and the line; and nothing is left behind."""
    outcome = tried(images, tmp_path, name)

    assert outcome.problems == []
    printed = outcome.refused["train"]
    assert re.match(r"\S+\.py:\w+: ", printed), printed
    assert REFUSED[name] in printed
    checkpoints = tmp_path / "tried" / "whole" / "checkpoints"
    assert not checkpoints.exists()


# --- kind 6: effects outside


def test_a_model_that_changes_the_present_folder(lab: Lab) -> None:
    """The run is written to the requested folder, although that is given as a relative path."""
    name = f"{MORE / 'steps'}.py:ChangesFolder"
    images = write_images(lab.place / "small")
    given = ("--no-ui", "--data-dir", images, "--val-size", 10, "--epochs", 1, "--threads", 1)

    assert_fine(lab.run(*given, "--model", name, "--batch-size", 8, "--out", "relative"))

    assert (lab.place / "relative" / "checkpoints" / "last.safetensors").is_file()
    assert_fine(lab.run("evaluate", "relative", "--view", "confusion"))


@pytest.mark.parametrize("name", ["ChangesDefaults", pytest.param("TurnsGradientsOff", marks=slow)])
def test_what_a_model_changes_in_the_process_is_put_back(
    images: Path, tmp_path: Path, name: str
) -> None:
    import sys

    streams = sys.stdout, sys.stderr
    outcome = tried(images, tmp_path, f"steps:{name}")

    assert outcome.problems == []
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert (sys.stdout, sys.stderr) == streams


# --- kind 7: meaningless answers


def trained_run(lab: Lab, name: str) -> tuple[str, str]:
    """Train for an epoch; return the output and the run's name."""
    images = lab.place / "small-images"
    if not images.exists():
        write_images(images)
    out = f"worthless-{name}-{len(list(lab.place.iterdir()))}"
    given = ("--no-ui", "--data-dir", images, "--val-size", 10, "--epochs", 1, "--threads", 1)
    model = f"{MORE / 'steps'}.py:{name}"
    ended = lab.run(*given, "--model", model, "--batch-size", 8, "--out", out)
    assert_fine(ended)
    return ended.out + ended.err, out


WORTHLESS = {
    "Centerd": "rest of the batch",
    "AttendsOverBatch": "rest of the batch",
    "DropsInEvaluation": "random in evaluation mode",
    "Constant": "of the pixels in forward()",
}


@slow
@pytest.mark.parametrize("name", WORTHLESS)
def test_a_meaningless_answer_comes_with_a_warning(lab: Lab, name: str) -> None:
    printed, _ = trained_run(lab, name)

    assert WORTHLESS[name] in printed


# --- kind 8: whose error


@slow
@pytest.mark.parametrize("name", ["FixesBatch", "DependsOnData", "LeavesTorch"])
def test_a_failed_export_gives_the_reason_in_one_sentence(
    lab: Lab, name: str, tmp_path: Path
) -> None:
    """The other formats are still written, and no incomplete file remains."""
    _, out = trained_run(lab, name)

    ended = lab.run("export", out, "--as", "torch,onnx,weights", "--to", tmp_path)

    assert "Traceback" not in ended.err
    assert (tmp_path / "weights.safetensors").is_file()
    for line in ended.err.splitlines():
        assert len(line) < 500, line
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"weights.safetensors", "model.pt2", "model.onnx"}
    if ended.code:
        assert ended.code == 2
        assert "steps.py" in ended.err


def test_an_error_of_ours_is_not_blamed_on_the_model(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tui_trainer.engine import loop

    monkeypatch.setattr(loop, "train_step", operator.attrgetter("no_such_thing"))
    outcome = tried(images, tmp_path, "copying:Base")

    (problem,) = outcome.problems
    assert "no_such_thing" in problem
    assert "train" not in outcome.refused


# --- kind 9: environments


def within(environment: dict[str, str | None], *arguments: object) -> Callable[[], object]:
    """Return a command in another environment."""

    def work() -> object:
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        return command(*arguments)()

    return work


@pytest.mark.parametrize("term", ["dumb", "no-such-terminal", None])
def test_a_window_that_cannot_open_gives_advice(lab: Lab, term: str | None) -> None:
    printed = refusal(lab.work(within({"TERM": term}, "--no-save")))

    assert "--no-ui" in printed


@slow
@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "1", "LINES": "1"},
        {"COLUMNS": "wide", "LINES": ""},
        {"HOME": None, "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_a_table_in_any_environment(lab: Lab, environment: dict[str, str | None]) -> None:
    assert_fine(lab.work(within(environment, "model", "tiny")))


# --- kind 10: figures


def table(lab: Lab, name: str, *options: object) -> dict[str, dict[str, Any]]:
    """Return the layer table of a model by row name."""
    model = f"{MORE / 'figures'}.py:{name}"
    ended = lab.run("model", model, "--image-size", 16, "--json", *options)
    assert_fine(ended)
    return {layer["name"]: layer for layer in json.loads(ended.out)["layers"]}


PRODUCTS = {
    "Twice": {"conv": (256 * 36 * 4, 256 * 37 * 4), "conv_2": (256 * 36 * 4, 256 * 37 * 4)},
    "Permuted": {"widen": (16 * 256, 16 * 288), "narrow": (16 * 256, 16 * 264)},
    "Products": {"layer": (16**3, 16**3), "matmul": (16**3, 16**3), "einsum": (16**3, 16**3)},
}
"""The fewest and the most multiply-adds of a row: without and with the additions of a bias."""


@slow
@pytest.mark.parametrize("name", PRODUCTS)
def test_multiply_adds_are_those_that_are_done(lab: Lab, name: str) -> None:
    rows = table(lab, name)

    for row, (fewest, most) in PRODUCTS[name].items():
        assert fewest <= rows[row]["multiply_adds"] <= most, row


FIELDS = {
    *(("Opposed", "5×5"), ("Difference", "5×5"), ("StartsAtZero", "5×5"), ("OtherTypes", "7×7")),
    *(("Subclassed", "3×3"), ("Filtered", "15×16")),
}


@slow
@pytest.mark.parametrize(("name", "size"), sorted(FIELDS))
def test_a_field_is_measured_whatever_the_weights_are(lab: Lab, name: str, size: str) -> None:
    assert table(lab, name, "--measure")["maps"]["measured"] == size


@pytest.mark.parametrize("name", ["Mapped", "Recomputed", "Subclassed"])
def test_an_operation_that_cannot_be_followed_leaves_the_table(lab: Lab, name: str) -> None:
    rows = table(lab, name, "--measure")

    assert "head" in rows
    assert sum(row["parameters"] for row in rows.values()) > 50


# --- kind 11: two ways


@slow
@pytest.mark.parametrize("verb", ["model", "review", "check"])
def test_a_command_takes_the_model_in_two_ways(lab: Lab, verb: str) -> None:
    alone = lab.run(verb, "nowhere.py:Net")
    named = lab.run(verb, "--model", "nowhere.py:Net")
    both = lab.run(verb, "tiny", "--model", "small")

    assert refusal(alone) == refusal(named)
    assert "nowhere.py" in refusal(alone)
    assert "--model" in refusal(both)


def test_a_training_takes_the_model_in_two_ways(lab: Lab) -> None:
    alone = lab.run("tiny", "--print-config")
    named = lab.run("--model", "tiny", "--print-config")

    assert (alone.code, alone.out) == (0, named.out)
