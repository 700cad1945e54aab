"""The findings of the run's first steps, as items of the check.

A finding belongs to the item that is about the same question; the more severe of the two is shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tui_trainer.protocol.diagnosis import CheckItem, Diagnosis, by_severity
from tui_trainer.protocol.events import FindingRaised

_CODES: Mapping[str, tuple[str, ...]] = {
    "data": (
        *("labels_shuffled", "label_confusion", "classes_overlap", "leak", "class_imbalance"),
        *("class_missing", "labels_noisy", "constant_labels", "not_shuffled"),
    ),
    "input": (
        *("input_scale", "input_destroyed", "validation_differs", "blank_images"),
        *("train_transform", "augmentation_labels"),
    ),
    "logits": ("exploding_logits",),
    "softmax": (
        *("probabilities", "depends_on_batch", "random_in_evaluation", "logits_bounded"),
        *("hidden_softmax", "linear_model"),
    ),
    "gradients": (
        *("no_gradient", "frozen_parameters", "unused_parameters", "vanishing_gradients"),
        *("gradient_sign", "loss_function"),
    ),
    "optimizer": ("not_updated", "not_registered", "uphill", "no_zero_grad", "weights_replaced"),
    "dead-units": ("dead_units", "saturated", "equal_units"),
    "learning-rate": ("learning_rate_high", "learning_rate_low", "schedule"),
}
_ITEM_OF = {code: item for item, codes in _CODES.items() for code in codes}

OTHERS = "first-steps"
"""The item of all other findings."""

BY_EXPERIMENT = frozenset({"learning_rate_high", "learning_rate_low"})
"""Findings that the item on the learning rate judges by an experiment instead."""


def item_of(code: str) -> str:
    """Return the code of the item that a finding belongs to."""
    return _ITEM_OF.get(code, OTHERS)


def merged(item: Diagnosis, findings: Sequence[FindingRaised]) -> CheckItem:
    """Return an item together with the findings that belong to it, the most severe first."""
    mine = [f for f in findings if item_of(f.code) == item.code and f.code not in BY_EXPERIMENT]
    known = item if isinstance(item, CheckItem) else as_item(item)
    if not mine:
        return known
    first, *others = by_severity([*mine, known])
    texts = [first.evidence, *(_brief(one) for one in others if one is not known)]
    if first is not known:
        texts.append(known.evidence if known.severity == "ok" else _brief(known))
    found = [one for one in (first, *others) if isinstance(one, FindingRaised | CheckItem)]
    return replace(
        known,
        severity=first.severity,
        title=first.title,
        evidence="; ".join(text for text in texts if text),
        advice=_advice(first),
        lesson=first.lesson,
        causes=tuple(cause for one in found for cause in one.causes),
    )


def as_item(found: Diagnosis) -> CheckItem:
    """Return a diagnosis as an item, a finding with its causes."""
    fields = (field.name for field in dataclasses.fields(Diagnosis))
    causes = found.causes if isinstance(found, FindingRaised) else ()
    return CheckItem(**{name: getattr(found, name) for name in fields}, causes=causes)


def _brief(found: Diagnosis) -> str:
    return f"{found.title} ({found.evidence})"


def _advice(found: Diagnosis) -> str:
    """Return advice that can be followed before a run: there is no step to go back to."""
    diverged = isinstance(found, FindingRaised) and found.code == "divergence"
    if isinstance(found, FindingRaised) and diverged and found.fix_setting == "base_lr":
        return f"lower the learning rate: --lr {found.fix_value:g}"
    return found.advice
