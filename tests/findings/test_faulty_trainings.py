"""Real trainings after public reports: the faulty are named by cause, the healthy by nothing.

The models are those of the public sets (``tests/benchmarks/findings/public``) and of
``table_models.py``. SGD at 0.01 with momentum 0.9, batches of 64, a constant schedule and no
augmentation, unless said; 2,000 images in the fast tests, 10,000 in the slow ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.findings.public.faults import COMMON, MODELS
from tests.cli.conftest import run as run
from tests.findings import table_models
from tests.training import train
from tui_trainer.anatomy.description import layers_of, review_of
from tui_trainer.findings import with_findings
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.events import EpochDone, FindingRaised, StepDone
from tui_trainer.protocol.layers import BUDGET

TABLE = Path(table_models.__file__)
ADAM = {"optimizer": "adam", "lr": 0.001}
PLAIN_SGD = {"lr": 0.1, "momentum": 0.0, "nesterov": False}
"""The settings of DeepCrime's PyTorch subject."""


@dataclass(frozen=True)
class Row:
    """A training.

    Attributes:
        model: Its factory, in the public sets or in ``table_models.py``.
        cause: The code of the first cause of its leading finding; empty if it is healthy.
        wrong: Codes of findings and causes that must not be raised as a warning or an error.
        settings: What differs from the common settings.
        or_cause: Another cause that may come first; ``cause`` must then be raised as well.
        latest: The last step at which the finding of ``cause`` may be raised.
        images: Training images of the fast test.
        notes: Notes that may be raised.
    """

    model: str
    cause: str = ""
    wrong: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    or_cause: str = ""
    latest: int = 40
    images: int = 2_000
    notes: tuple[str, ...] = ()


HEALTHY = (
    Row("lenet_bn"),
    Row("LeNetLastZero", settings=ADAM),
    Row("UnusedNorm", notes=("unused_parameters",)),
    Row("LogSoftmaxOut"),
    Row("base", images=1_300),
    Row("Spectral", settings=ADAM, images=1_300),
    Row("lenet"),
    Row("Logistic", settings=PLAIN_SGD, notes=("linear_model",)),
)

FAULTY = (
    Row("base_constant", "equal_units", ("dead_units",), images=640),
    Row(
        "base_double_normalization",
        "input_scale",
        ("learning_rate_low",),
        images=640,
    ),
    Row(
        "LeNetReversed",
        "gradient_sign",
        ("learning_rate_high", "learning_rate_low"),
    ),
    Row("LeNetSoftmaxOverBatch", "depends_on_batch"),
    Row("LeNetTiny", "init_small", ("not_updated",)),
    Row("LeNetReluOut", "logits_bounded", ("class_missing", "class_imbalance")),
    Row("LeNetFlip", "augmentation_labels"),
    Row("LeNetDropoutAlways", "random_in_evaluation"),
    Row(
        "base_standardized",
        "dead_units",
        ("no_gradient", "weight_decay_high", "capacity", "vanishing_gradients"),
        {"lr": 0.1},
        or_cause="learning_rate_high",  # why they die
        latest=20,
        images=1_300,
    ),
)


def settings_of(row: Row, seed: int, **more: object) -> dict[str, Any]:
    folder = TABLE if hasattr(table_models, row.model) else MODELS
    common = {**COMMON, "model": f"{folder}:{row.model}", "epochs": 1, "val_size": 500}
    return {**common, "seed": seed, "threads": 1, "device": "cpu", **row.settings, **more}


def trained(row: Row, seed: int = 0, **more: object) -> list[tuple[int, FindingRaised]]:
    """Train all epochs; return each finding as it is first raised, with the step after which."""
    config = RunConfig(**settings_of(row, seed, **{"train_size": row.images, **more}))
    found: dict[tuple[str, str], tuple[int, FindingRaised]] = {}
    step = 0
    for event in with_findings(train(config, Inbox())):
        if isinstance(event, StepDone):
            step = event.step
        elif isinstance(event, FindingRaised):
            found.setdefault((event.code, event.severity), (step, event))
        elif isinstance(event, EpochDone) and event.epoch == config.epochs:
            break  # the test images are not needed
    return list(found.values())


def assert_healthy(row: Row, found: Sequence[tuple[int, FindingRaised]]) -> None:
    assert [f for _, f in found if f.code not in row.notes or f.severity != "note"] == []
    assert {f.code for _, f in found} == set(row.notes)


def assert_named(row: Row, found: Sequence[tuple[int, FindingRaised]]) -> None:
    alarms = [(step, f) for step, f in found if f.severity != "note"]
    assert alarms, "nothing is said"
    ranks = list(SIGNS)
    _, leading = min(alarms, key=lambda one: ranks.index(one[1].severity))  # min is stable
    assert leading.causes[0].code in (row.cause, row.or_cause), leading
    early = [f for step, f in alarms if step <= row.latest]
    assert row.cause in {code for f in early for code in (f.code, f.causes[0].code)}
    diverged = [f for _, f in alarms if f.code == "divergence"]
    assert all(f.causes[0].code == row.cause for f in diverged), "it is the symptom of the cause"
    codes = {f.code for _, f in alarms} | {f.causes[0].code for _, f in alarms}
    assert not codes & set(row.wrong)


def rows(*some: Row) -> pytest.MarkDecorator:
    def param(row: Row) -> Any:
        # Wide: seconds for a few hundred images.
        marks = pytest.mark.slow if row.model.startswith("base") else ()
        return pytest.param(row, id=row.model, marks=marks)

    return pytest.mark.parametrize("row", [param(row) for row in some])


@rows(*HEALTHY)
@pytest.mark.sampled(4)
def test_a_healthy_training_has_no_finding(row: Row) -> None:
    assert_healthy(row, trained(row))


@rows(*FAULTY)
@pytest.mark.sampled(2)
def test_a_faulty_training_is_named_by_its_cause(row: Row) -> None:
    assert_named(row, trained(row))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_seeds_of_a_bias_before_batch_norm(seed: int) -> None:
    assert_healthy(HEALTHY[0], trained(HEALTHY[0], seed, train_size=10_000))


@pytest.mark.slow
@rows(*HEALTHY[1:])
@pytest.mark.parametrize("seed", range(2))
def test_healthy_trainings_of_ten_thousand_images(row: Row, seed: int) -> None:
    assert_healthy(row, trained(row, seed, train_size=10_000, epochs=2))


@pytest.mark.slow
@rows(*FAULTY)
@pytest.mark.parametrize("seed", range(1, 3))
def test_faulty_trainings_of_ten_thousand_images(row: Row, seed: int) -> None:
    assert_named(row, trained(row, seed, train_size=10_000))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "seed"),
    [*((HEALTHY[0], seed) for seed in range(10)), *((row, 1) for row in HEALTHY[1:])],
    ids=lambda value: value.model if isinstance(value, Row) else str(value),
)
def test_the_check_passes_healthy_trainings(row: Row, seed: int, run: Any) -> None:
    options = settings_of(row, seed, train_size=10_000)
    flags = [name for name, value in options.items() if value is False]
    wanted = {name: value for name, value in options.items() if name not in flags}
    arguments = [part for name, value in wanted.items() for part in (_flag(name), value)]
    code, out, err = run("check", *arguments, *(f"--no-{name}" for name in flags), "--json")
    items = json.loads(out)["items"]
    assert code == 0, [item for item in items if item["severity"] == "error"]
    assert len(items) > 10, err


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize(("model", "code"), [("LogSoftmaxOut", "softmax-output")])
def test_a_healthy_design_gets_a_note_at_most(model: str, code: str) -> None:
    rows = layers_of(getattr(table_models, model)(), (1, 28, 28), 10)
    (verdict,) = [one for one in review_of(rows, BUDGET) if one.code == code]
    assert verdict.severity in ("note", "ok")
