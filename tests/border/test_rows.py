"""What is specific to a row of the first table of ``shared/cases/README.md``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from tests.border.cases.prints import WORDS
from tests.border.commands import (
    FOLDER,
    Case,
    Lab,
    assert_fine,
    assert_same_bits,
    last,
    last_event,
    records,
    refusal,
)
from tests.border.trial import raw
from tests.engine.runs import ScriptedInbox, of, only, run, tiny_config
from tui_trainer.protocol.commands import SetBatchSize
from tui_trainer.protocol.events import CommandRejected, EpochDone, RunFinished
from tui_trainer.recording.folder import RunFolder

slow = pytest.mark.slow


def layers(lab: Lab, model: str, *options: object) -> dict[str, dict[str, object]]:
    """Return the rows of a model's layer table, by name."""
    ended = lab.run("model", model, "--json", *options)
    assert_fine(ended)
    return {layer["name"]: layer for layer in json.loads(ended.out)["layers"]}


def findings(folder: RunFolder) -> str:
    """Return the lines of a run's record that raise a finding."""
    lines = folder.events.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if '"event": "FindingRaised"' in line)


# --- modes


@slow
@pytest.mark.parametrize(
    ("case", "still", "moving"),
    [
        (Case("own_train", ("--lr", 0.02)), ["body.1", "body.4"], []),
        (Case("frozen_norm"), ["still"], ["norm"]),
    ],
    ids=str,
)
def test_a_norm_in_evaluation_mode_stays_there(
    lab: Lab, case: Case, still: list[str], moving: list[str]
) -> None:
    """In every epoch and after a resume: it keeps the statistics it was built with."""
    state = last(lab.trained(case)).part("model")

    for name in still:
        assert not state[f"{name}.running_mean"].any(), name
        assert int(state[f"{name}.num_batches_tracked"]) == 0, name
    for name in moving:
        assert state[f"{name}.running_mean"].any(), name
        assert int(state[f"{name}.num_batches_tracked"]) > 0, name


# --- any tensor


@slow
def test_an_integer_parameter_is_neither_trained_nor_called_frozen(lab: Lab) -> None:
    case = Case("integer_parameter")
    folder = lab.trained(case)
    given = ("--data-dir", lab.data, "--threads", 1, "--val-size", 80, "--batch-size", 32)
    checked = lab.run("check", case.model, *given)

    order = last(folder).tensors["model/order"]
    assert sorted(order.tolist()) == list(range(28 * 28))
    named = findings(folder) + checked.out  # it does say that pixels are in another order
    assert not any(code in named for code in ("frozen_parameters", "not_updated", "no_gradient"))


@slow
def test_a_parameter_without_elements_is_no_finding(lab: Lab) -> None:
    case = Case("empty_parameter", ("--optimizer", "adam"))
    given = ("--data-dir", lab.data, "--threads", 1, "--val-size", 80, "--batch-size", 32)

    checked = lab.run("check", case.model, *given, *case.options)

    assert "prompts" not in checked.out
    assert "prompts" not in findings(lab.trained(case))


@slow
def test_frozen_on_purpose_is_a_note_and_detached_by_mistake_an_error(lab: Lab) -> None:
    given = ("--data-dir", lab.data, "--threads", 1, "--val-size", 80, "--lr", 0.02)

    frozen = lab.run("check", Case("frozen_features").model, *given)
    detached = lab.run("check", Case("frozen_features:Detached").model, *given)

    assert (frozen.code, detached.code) == (0, 6)
    assert "frozen" in frozen.out
    assert "features.0" in detached.out


# --- what a run needs


@slow
def test_the_same_seed_repeats_with_any_rng(lab: Lab) -> None:
    case = Case("numpy_weights")
    whole, again = lab.trained(case), lab.train(case, "numpy_weights-again")
    assert_same_bits(whole, again)

    other = lab.train(Case(case.name, ("--seed", 1)), "numpy_weights-other")
    name = "model/head.weight"
    assert not torch.equal(last(whole).tensors[name], last(other).tensors[name])

    assert_fine(lab.run("replay", lab.copied(whole).path, "--no-ui"))


# --- the first step


@pytest.mark.parametrize("command", ["train", pytest.param("check", marks=slow)])
def test_logits_of_two_heads_are_refused_before_the_first_step(lab: Lab, command: str) -> None:
    case, out = Case("two_heads"), lab.place / f"two_heads-{command}"
    given = ("--data-dir", lab.data, "--threads", 1)
    train = ("--no-ui", "--model", case.model, "--out", out)
    arguments = train if command == "train" else ("check", case.model)

    printed = refusal(lab.run(*arguments, *given))

    line = _line_of(Path(FOLDER / "two_heads.py"), "def forward")
    assert f"two_heads.py:{line}" in printed
    assert "tuple" in printed
    assert not out.exists()


def _line_of(path: Path, words: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return 1 + next(i for i, line in enumerate(lines) if words in line)


def test_a_key_that_the_model_cannot_follow_is_refused(tmp_path: Path) -> None:
    """Batch norm has no statistics of one image: the run continues with the last batch size."""
    from tests.data.idx_files import write_dataset

    data = write_dataset(tmp_path / "data", size=8, train=60, test=20)
    config = tiny_config(data, model=Case("lone_image").model, val_size=10, batch_size=7)

    events = run(config, ScriptedInbox({2: [SetBatchSize(1)]}))

    rejected = only(CommandRejected, events)
    assert "batch" in rejected.reason
    assert [event.epoch for event in of(EpochDone, events)] == [1, 2]
    assert only(RunFinished, events).reason == "completed"


# --- side effects


@slow
def test_writing_into_the_images_changes_no_figure(lab: Lab) -> None:
    """Its twin, which copies the images first, ends with the same bits and figures."""
    source = (FOLDER / "writes_input.py").read_text(encoding="utf-8")
    place = lab.place / "twin"
    place.mkdir(exist_ok=True)
    (place / "twin.py").write_text(source.replace("x.clamp_", "x = x.clone()\n        x.clamp_"))
    case = Case("writes_input", ("--lr", 0.01))
    options = [str(part).replace(case.model, f"{place}/twin.py:Net") for part in lab.options(case)]

    assert_fine(lab.run(*options, "--out", "twin-run"))

    one, twin = lab.trained(case), RunFolder(lab.place / "twin-run")
    states = last(one).tensors, last(twin).tensors
    assert states[0].keys() == states[1].keys()
    assert [name for name in states[0] if raw(states[0][name]) != raw(states[1][name])] == []
    for kind in ("EpochDone", "TestEvaluated"):
        mine, theirs = last_event(one, kind), last_event(twin, kind)
        same = {key for key in mine if "second" not in key and key != "at"}
        assert {k: mine[k] for k in same} == {k: theirs[k] for k in same}


@pytest.mark.parametrize(
    "name", ["Writes", *(pytest.param(n, marks=slow) for n in ("Net", "Warns"))]
)
def test_json_stays_json_whatever_the_forward_pass_prints(lab: Lab, name: str) -> None:
    case = Case(f"prints:{name}")
    brief = ("--train-size", 64, "--epochs", 1, "--no-save")

    ended = lab.run(*lab.options(case), *brief, "--json")

    assert_fine(ended)
    assert records(ended)[-1]["event"] == "RunFinished"
    assert WORDS not in ended.out


@slow
@pytest.mark.parametrize("name", ["Net", "Writes", "Warns"])
@pytest.mark.parametrize("command", ["model", "review", "check", "evaluate", "predict"])
def test_json_of_each_command_stays_json(lab: Lab, digits: Path, name: str, command: str) -> None:
    case = Case(f"prints:{name}" if name != "Net" else "prints")
    folder = lab.copied(lab.trained(case)).path
    arguments: dict[str, tuple[object, ...]] = {
        "model": (case.model, "--measure"),
        "review": (case.model,),
        "check": (case.model, "--data-dir", lab.data, "--threads", 1),
        "evaluate": (folder, "--view", "confusion"),
        "predict": (digits, "--run", folder, "--raw", "--ink", "light"),
    }

    ended = lab.run(command, *arguments[command], "--json")

    assert_fine(ended)
    assert WORDS not in ended.out
    if command == "predict":
        assert len(records(ended)) == 100
    else:
        assert json.loads(ended.out)


@slow
def test_a_tensor_cached_in_validation_serves_the_next_step(lab: Lab) -> None:
    """The last validation batch and the first batch of the next epoch have the same shape."""
    folder = lab.trained(Case("cached_mask", ("--batch-size", 128, "--val-size", 128)))

    assert last_event(folder, "RunFinished")["epochs"] == 2


# --- meaningless answers


def test_softmax_over_the_batch_is_an_error_of_the_review(lab: Lab) -> None:
    reviewed = lab.run("review", Case("batch_softmax").model)

    assert_fine(reviewed, 5)
    assert "batch" in reviewed.out


# --- the layer table


@slow
def test_multiply_adds_count_tokens_and_time_steps(lab: Lab) -> None:
    mixed = layers(lab, Case("tokens:Mixed").model)
    places = {"embed": 16, "patches": 24, "channels": 16, "head": 1}
    weights = {"embed": 49 * 24, "patches": 16 * 16, "channels": 24 * 24, "head": 24 * 10}
    for name, count in places.items():
        found = mixed[name]["multiply_adds"]
        assert isinstance(found, int)
        assert weights[name] * count <= found <= int(mixed[name]["parameters"]) * count  # type: ignore[call-overload]

    gru = layers(lab, Case("tokens:Steps").model)["gru"]["multiply_adds"]
    assert isinstance(gru, int)
    assert 28 * 3 * 48 * (28 + 48) <= gru <= 28 * 3 * 48 * (28 + 48 + 2) + 28 * 10 * 48


@slow
@pytest.mark.parametrize("name", ["Interpolated", "Unshuffled", "Transposed"])
def test_a_constant_map_is_not_reported_as_growing(lab: Lab, name: str) -> None:
    conv = layers(lab, Case(f"smaller:{name}").model)["conv"]

    assert "larger" not in str(conv["undefined"])
    if name != "Interpolated":
        assert conv["undefined"] == ""


@slow
def test_repeated_steps_are_folded(lab: Lab) -> None:
    """784 time steps of eleven operations each are a few dozen rows, not thousands."""
    rows = layers(lab, Case("pixel_steps").model, "--measure")

    assert len(rows) < 100
    assert int(rows["state"]["multiply_adds"]) >= 783 * 12 * 24  # type: ignore[call-overload]


@slow
def test_a_swish_written_by_hand_sees_pixels(lab: Lab) -> None:
    rows = layers(lab, Case("hand_written_swish").model, "--measure")

    for name in ("stem", "body.0", "body.11"):
        assert rows[name]["measured"] not in ("0×0", "—")
    assert rows["body.11"]["measured"] == "28×28"


# --- imports


IMPORTED_BACK = {
    "network.py": """
        from helpers import width
        from torch import nn


        class Net(nn.Module):
            def __init__(self, classes=10):
                super().__init__()
                self.conv = nn.Conv2d(1, width(), 5, stride=3)
                self.head = nn.Linear(width() * 64, classes)

            def forward(self, x):
                return self.head(self.conv(x).relu().flatten(1))
    """,
    "helpers.py": """
        from network import *


        def width():
            return 6
    """,
}


def _written(folder: Path, files: dict[str, str]) -> Path:
    from textwrap import dedent

    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source), encoding="utf-8")
    return folder


def test_a_file_that_its_neighbor_imports_back(lab: Lab, tmp_path: Path) -> None:
    _written(tmp_path, IMPORTED_BACK)
    given = (*lab.options(Case("lone_image")), "--model", tmp_path / "network.py:Net")

    assert_fine(lab.run(*given, "--train-size", 64, "--epochs", 1, "--out", tmp_path / "run"))
    assert_fine(lab.run("model", f"{tmp_path}/network.py:Net"))


def test_a_file_that_needs_the_root_of_its_repository(lab: Lab, tmp_path: Path) -> None:
    """The message says from where, or how, it can be loaded; and that works."""
    files = {"src/parts.py": "WIDTH = 6\n", "src/__init__.py": ""}
    model = IMPORTED_BACK["network.py"].replace(
        "from helpers import width", "from src.parts import WIDTH"
    )
    _written(tmp_path, {**files, "src/network.py": model.replace("width()", "WIDTH")})

    ended = lab.run("model", f"{tmp_path}/src/network.py:Net")
    if ended.code == 0:
        return
    printed = refusal(ended)
    assert "src.network:Net" in printed

    def from_its_root() -> object:
        from tests.faults.forks import command

        os.chdir(tmp_path)
        return command("model", "src.network:Net")()

    assert_fine(lab.work(from_its_root))
