"""Every sabotage of the findings suite does what its name says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tui_trainer.engine.loop as training
from tests.benchmarks.findings.__main__ import cases
from tests.benchmarks.findings.hooks import MIXING
from tests.benchmarks.findings.record import config_of, sabotaged
from tests.benchmarks.findings.sabotage import KINDS, Sabotage, sabotage_of
from tests.benchmarks.findings.suite import Case
from tests.data.idx_files import write_dataset
from tui_trainer.engine.run import Run
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.events import EpochDone, RunStarted


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 300 training images of 8×8 pixels."""
    return write_dataset(tmp_path_factory.mktemp("small"), size=8, train=330, test=40)


def _begun(case: Case, sabotage: Sabotage, folder: Path, epochs: int = 0) -> Run:
    """Return a run before its first batch, or after a number of epochs."""
    few = {"train_size": min(300, case.settings["train_size"]), "val_size": 30, "shift": None}
    config = replace(
        config_of(replace(case, data="mnist"), folder), **few, data_dir=str(folder), augment="none"
    )
    with sabotaged(sabotage) as sessions:
        for event in training.train(config, Inbox()):
            wanted = EpochDone if epochs else RunStarted
            if isinstance(event, wanted) and (not epochs or event.epoch == epochs):  # type: ignore[union-attr]
                break
    return sessions[0]


def _first_step(run: Run) -> dict[str, float]:
    """Train one batch and return by how much each parameter has moved."""
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    run.begin_epoch()
    training.train_step(run)
    after = run.model.named_parameters()
    return {name: float((p.detach() - before[name]).norm()) for name, p in after}


def _weight(run: Run) -> float:
    layers = [m for m in run.model.modules() if isinstance(m, MIXING)]
    return sum(float(layer.weight.detach().norm()) for layer in layers)


def _changed_labels(plain: Run, sabotaged: Run, split: str) -> float:
    one, other = getattr(plain.data, split), getattr(sabotaged.data, split)
    return float((one.labels != other.labels).float().mean())


def _inputs(run: Run, split: str = "train") -> torch.Tensor:
    return run.data.prepare(getattr(run.data, split).images)


def _open_units(run: Run) -> float:
    """Return the smallest share of active units of any ReLU layer."""
    shares = []

    def see(module: nn.Module, args: object, output: torch.Tensor) -> None:
        shares.append(float((output.transpose(0, 1).flatten(1).amax(1) > 0).float().mean()))

    for module in run.model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(see)
    run.model(_inputs(run))
    return min(shares)


def _moved(run: Run) -> list[bool]:
    return [distance > 0 for distance in _first_step(run).values()]


def _decay_hurts(plain: Run, sabotaged: Run) -> bool:
    return sabotaged.config.weight_decay >= 100 * plain.config.weight_decay


def _outputs_sum_to_1(plain: Run, sabotaged: Run) -> bool:
    outputs = sabotaged.model(_inputs(sabotaged))
    return bool(((outputs.sum(dim=1) - 1).abs() < 1e-4).all() and (outputs >= 0).all())


def _first_gradient(plain: Run, sabotaged: Run) -> bool:
    """Whether the first layer's gradient is negligible compared with the last one's."""
    _first_step(sabotaged)
    weights = [p for p in sabotaged.model.parameters() if p.ndim > 1]
    first, last = (p.grad for p in (weights[0], weights[-1]))
    assert first is not None
    assert last is not None
    return float(first.std()) < 1e-3 * float(last.std())


def _is_sorted(plain: Run, sabotaged: Run) -> bool:
    for run in (plain, sabotaged):
        run.begin_epoch()
    labels = [s.data.train.labels[s.batches.stream.order] for s in (plain, sabotaged)]
    return bool((labels[1].diff() >= 0).all() and (labels[0].diff() < 0).any())


def _different(numbers: torch.Tensor) -> set[int]:
    return set(numbers.tolist())


def _repeats(plain: Run, sabotaged: Run) -> bool:
    sabotaged.begin_epoch()
    order = sabotaged.batches.stream.order
    return len(order) == len(plain.data.train) and len(_different(order)) == 64


def _never_trains(plain: Run, sabotaged: Run) -> bool:
    sabotaged.model.train()
    return plain.model.training and not any(m.training for m in sabotaged.model.modules())


def _width(run: Run) -> int:
    layers = [m for m in run.model.modules() if isinstance(m, MIXING)]
    return min(len(layer.weight) for layer in layers)


Check = Callable[[Run, Run], bool]

CHECKS: Mapping[str, Check] = {
    "rate-x30": lambda a, b: b.base_lr == pytest.approx(30 * a.base_lr),
    "rate-x300": lambda a, b: b.base_lr == pytest.approx(300 * a.base_lr),
    "rate-div-1000": lambda a, b: b.base_lr == pytest.approx(a.base_lr / 1000),
    "labels-shuffled": lambda a, b: (
        _changed_labels(a, b, "train") > 0.8 and _changed_labels(a, b, "val") > 0.6
    ),
    "labels-30": lambda a, b: (
        0.2 < _changed_labels(a, b, "train") < 0.35 and _changed_labels(a, b, "val") > 0
    ),
    "labels-train": lambda a, b: (
        0.2 < _changed_labels(a, b, "train") < 0.4 and _changed_labels(a, b, "val") == 0
    ),
    "few-images": lambda a, b: b.config.epochs >= 30 and not b.batches.augmenting,
    "same-64-images": _repeats,
    "sorted": _is_sorted,
    "dead-start": lambda a, b: _open_units(b) <= 0.5 * _open_units(a),
    "loud-start": lambda a, b: _weight(b) == pytest.approx(10 * _weight(a)),
    "deep-sigmoid": _first_gradient,
    "raw-pixels": lambda a, b: float(_inputs(b).max()) == pytest.approx(255),
    "faint-input": lambda a, b: float(_inputs(b).std()) < 0.05 * float(_inputs(a).std()),
    "detached-layer": lambda a, b: all(_moved(a)) and not _moved(b)[0] and _moved(b)[-1],
    "half-optimized": lambda a, b: all(_moved(a)) and 0 < sum(_moved(b)) <= 0.6 * len(_moved(b)),
    "never-training": _never_trains,
    "softmax-twice": _outputs_sum_to_1,
    "batch-of-4": lambda a, b: b.batches.batch_size == 4 and b.base_lr >= 0.03,
    "dropout-90": lambda a, b: a.dropout in (None, 0.05) and b.dropout == 0.9,
    "class-missing": lambda a, b: (
        len(_different(b.data.train.labels)) == len(_different(b.data.val.labels)) - 1
    ),
    "validation-scaled": lambda a, b: (
        abs(float(_inputs(b, "val").mean() - _inputs(a, "val").mean())) > 0.2
        and torch.equal(_inputs(a), _inputs(b))
    ),
    "one-label": lambda a, b: (
        _different(b.data.train.labels) == _different(b.data.val.labels)
        and len(_different(b.data.train.labels)) == 1
    ),
    "decay-0.3": _decay_hurts,
    "bottleneck": lambda a, b: _width(b) <= 2 < _width(a),
}
"""What each kind must have changed, except for the one that begins later."""


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "uphill-later"])
def test_every_sabotage_does_what_it_is_named_after(kind: str, small_data: Path) -> None:
    for case in cases("judging", f"{kind}-*"):
        sabotage = sabotage_of(case)
        base = replace(case, settings={**case.settings, **_unspoilt(case, sabotage)})
        plain = _begun(base, Sabotage(), small_data)
        assert CHECKS[kind](plain, _begun(case, sabotage, small_data)), case.name


def _unspoilt(case: Case, sabotage: Sabotage) -> dict[str, Any]:
    """Return the settings of the base that the sabotage replaces."""
    base = KINDS[case.kind].bases[case.seed % 1_000 - 1]
    return {
        "model": base.model,
        "lr": case.settings["lr"] / sabotage.times_lr,
        "weight_decay": 5e-4,
    }


def test_gradient_ascent_negates_the_update(small_data: Path) -> None:
    case = cases("judging", "uphill-later-3002")[0]
    sabotage = sabotage_of(case)
    assert sabotage.onset == case.onset == 2
    # Without momentum each update is its own batch's alone.
    bare = {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    case = replace(case, settings={**case.settings, **bare})
    run = _begun(case, sabotage, small_data, epochs=1)
    assert run.progress.epochs_done == 1
    ascends = []
    for done in (1, 2):
        run.progress.epochs_done = done
        before = [p.detach().clone() for p in run.model.parameters()]
        _first_step(run)
        pairs = zip(run.model.parameters(), before, strict=True)
        ascends.append(
            sum(float(((p.detach() - b) * p.grad).sum()) for p, b in pairs if p.grad is not None)
        )
    assert ascends[0] < 0 < ascends[1]
