"""The schema of a run's folder, and how records of older schemas are read.

- Schema 1 (version 0.1): no number in the events; the design review has ``rule`` and ``verdict``,
  severities are ``wrong``, ``look``, ``good`` and ``note``.
- Schema 2: one scale of severities, and a review with the fields of every other diagnosis.
- Schema 3: the names of PyTorch, in events, checkpoints and summaries.
- Schema 4: mean and standard deviation of the pixels of each channel, as lists.

No schema gives an older name a new meaning, so a name alone says which schema it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tui_trainer.protocol.config import MODELS

SCHEMA = 4
"""It goes up when a field changes its name or its meaning, or goes."""

Value = TypeVar("Value")

_EVENTS = {"DatasetDoubted": "DatasetWarning", "ModelTried": "ModelProbed"}

_LR = {"learning_rate": "lr"}
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "RunStarted": {"learning_rate": "base_lr"},
    "StepDone": _LR,
    "EpochDone": _LR,
    "Diverged": {**_LR, "good_step": "last_good_step", "where": "non_finite"},
    "TestEvaluated": {"look": "evaluation"},
    "RunFinished": {"test_looks": "test_evaluations"},
    "UpdateProbed": {
        **_LR,
        "gradient": "gradient_norm",
        "last_gradient": "previous_gradient_norm",
        "agreement": "gradient_dot",
        "descent": "descent_cosine",
        "pull": "shrinkage_cosine",
        "still_layers": "eval_layers",
    },
    "SampleProbed": {
        "sample": "sample_size",
        "sure": "confidence_p90",
        "score_low": "logit_min",
        "score_high": "logit_max",
        "batch_gap": "batch_norm_gap",
        "batch_gap_error": "batch_norm_gap_error",
        "unused": "unused_parameters",
    },
}
"""The fields of an event that have another name now."""

_PARTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "RunStarted": ("review", {"rule": "code", "verdict": "severity"}),
    "UpdateProbed": (
        "parameters",
        {
            "count": "numel",
            "weight": "weight_norm",
            "gradient": "gradient_norm",
            "update": "update_norm",
            "epsilon": "eps",
        },
    ),
}
"""The field of an event that holds records, and those of their fields with another name now."""

_SEVERITIES = {"wrong": "error", "look": "warning", "good": "ok"}
_KNOBS = {"learning_rate": "base_lr"}
_CODES = {
    "exploding_scores": "exploding_logits",
    "memorising": "memorizing",
    "activation-before-scores": "activation-before-logits",
    "dropout-before-scores": "dropout-before-logits",
}
_ENDS = {"hung up": "disconnected"}
_COMMANDS = {
    "SetLearningRate": "SetBaseLr",
    "LookAtTest": "EvaluateTest",
    "Withdraw": "CancelQuestion",
    "network": "model",
}
_VALUES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "SettingChanged": {"setting": _KNOBS},
    "CommandRejected": {"command": _COMMANDS},
    "FindingRaised": {"severity": _SEVERITIES, "code": _CODES, "fix_setting": _KNOBS},
    "FindingCleared": {"code": _CODES},
    "RunFinished": {"reason": _ENDS},
}
"""The texts in the fields of an event that have changed."""

_METADATA = {
    "hit_sum": "correct_sum",
    "last_rate": "last_lr",
    "base_rate": "base_lr",
    "test_looks": "test_evaluations",
    "chronicled": "example_forgetting",
}
"""The plain values of a checkpoint that have another name now."""

_TENSORS = {
    "network/": "model/",
    "random/order": "rng/shuffle",
    "random/augmentation": "rng/augment",
    "random/": "rng/",
    "optimizer/velocity/": "optimizer/momentum_buffer/",
    "optimizer/mean/": "optimizer/exp_avg/",
    "optimizer/square/": "optimizer/exp_avg_sq/",
    "optimizer/steps/": "optimizer/step/",
    "best/hits": "best/correct",
    "chronicle": "example_forgetting",
}
"""How the names of a checkpoint's tensors begin now; the first one that fits is used."""

_ZOO_LAYERS = {"model/scores.": "model/logits."}
"""How the names of the tensors of a zoo model's last layer begin now."""


def upgraded(record: Any) -> dict[str, Any]:
    """Return the JSON object of an event as this version would have written it.

    Raises:
        ValueError: If a newer version wrote it.
        TypeError: If it is not an event.
    """
    if not isinstance(record, dict):
        raise TypeError("no JSON object")
    schema = record.get("schema", 1)
    if schema > SCHEMA:
        raise ValueError(f"schema {schema}, this version reads up to {SCHEMA}; update mnist-tui")
    event = record.get("event", "")
    if event in _EVENTS:
        record = {**record, "event": _EVENTS[event]}
    found = _renamed(record, _FIELDS.get(event, {}))
    if event in _PARTS:
        field, names = _PARTS[event]
        parts = [_renamed(part, names) for part in found.get(field, ())]
        parts = [_translated(part, "severity", _SEVERITIES) for part in parts]
        found[field] = [_translated(part, "code", _CODES) for part in parts]
    for field, values in _VALUES.get(event, {}).items():
        found = _translated(found, field, values)
    if event == "RunStarted":
        found |= {name: [found[name]] for name in ("mean", "std") if _is_number(found.get(name))}
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def upgraded_summary(record: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object of a ``summary.json`` as this version would have written it."""
    found = _renamed(record, {"test_looks": "test_evaluations"})
    return _translated(found, "state", _ENDS)


def upgraded_head(head: dict[str, Any]) -> dict[str, Any]:
    """Return the head of a checkpoint, whose plain values were once called ``facts``."""
    return _renamed(head, {"facts": "metadata"})


def upgraded_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a checkpoint by their names now."""
    return _renamed(metadata, _METADATA)


def upgraded_tensors(tensors: Mapping[str, Value], model: object) -> dict[str, Value]:
    """Return the tensors of a checkpoint of a model by their names now."""
    layers = _ZOO_LAYERS if model in MODELS else {}
    return {_tensor_name(name, layers): tensor for name, tensor in tensors.items()}


def _tensor_name(name: str, layers: Mapping[str, str]) -> str:
    for old, new in _TENSORS.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    for old, new in layers.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _renamed(record: Any, names: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise TypeError(f"{record!r} is no JSON object")
    if names.keys().isdisjoint(record):
        return {**record}
    return {names.get(name, name): value for name, value in record.items()}


def _translated(record: dict[str, Any], field: str, values: Mapping[str, str]) -> dict[str, Any]:
    if record.get(field) in values:
        return {**record, field: values[record[field]]}
    return record
