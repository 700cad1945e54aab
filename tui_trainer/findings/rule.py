"""What a rule is, and what the rules share: figures of the run as it is now."""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict

from tui_trainer.history.history import History
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.events import Diverged, EpochDone, Event, FindingRaised, StepDone
from tui_trainer.protocol.probed import ModelProbed, ParameterProbe, SampleProbed, UpdateProbed
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

RuleFunction = Callable[[History], FindingRaised | None]
"""Looks at a run's history and finds something, or nothing. Its name is the finding's code."""

RECENT = 3
"""Probes in a row that must show what is found in them."""

EARLY_STEPS = 100
"""The step from which on updates count as those of a run under way: the start is over."""

HIGH_LR_SHARE = 0.3
"""The share of the base learning rate from which on a schedule lets the network learn."""

CHECK_EVERY = 10
"""Steps between two looks of the rules that go by steps."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, when it looks, and what for.

    Attributes:
        rule: The rule.
        on: The kinds of events after which it looks.
        watches: What for, in a word or two.
        yields_to: Warnings that explain what it would say: while one stands, it says nothing.
    """

    rule: RuleFunction
    on: tuple[type[Event], ...]
    label: str
    yields_to: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """The code of its findings."""
        return self.rule.__name__

    def can_evaluate(self, history: History) -> bool:
        """Whether the run tells what it goes by; a model of the zoo is known to answer well."""
        if history.started is None:
            return False
        if StepDone in self.on:
            return True
        told: dict[type[Event], object] = {
            UpdateProbed: history.updates,
            SampleProbed: history.samples,
            ModelProbed: history.tried or history.started.model in MODELS,
            EpochDone: history.started.val_size,
        }
        return bool(told[self.on[0]])


STEPS = (StepDone, EpochDone, Diverged)
EPOCHS = (EpochDone, Diverged)
UPDATES = (UpdateProbed,)
SAMPLES = (SampleProbed,)
TRIED = (ModelProbed,)


def recent_updates(history: History, count: int = RECENT) -> list[UpdateProbed]:
    """Return the last ``count`` updates that were looked at, or none if there are not so many."""
    return list(history.updates)[-count:] if len(history.updates) >= count else []


def weights(update: UpdateProbed) -> list[ParameterProbe]:
    """Return the weights of an update that mix inputs and got a gradient, from first to last."""
    return [p for p in update.parameters if p.is_weight and p.gradient_norm is not None]


def update_ratio(update: UpdateProbed) -> float:
    """Return how large the update was, as a share of the weights: the median over the layers.

    About 0.001 is usual: A. Karpathy, "Neural networks part 3", notes of the course CS231n.
    """
    ratios = [p.update_norm / p.weight_norm for p in weights(update) if p.weight_norm > 0]
    return statistics.median(ratios) if ratios else 0.0


def path_length(history: History) -> float | None:
    """Return how far the weights have gone, all steps together, as a share of their size.

    From the updates that were looked at, each standing for the steps since the one before. None
    where none was looked at.
    """
    if not history.updates:
        return None
    path, last = 0.0, 0
    for look in history.updates:
        path += update_ratio(look) * (look.step - last)
        last = look.step
    return path


def images(history: History) -> int:
    """Return how many training images have been seen."""
    return history.last_step.images if history.last_step else 0


def relative_loss(history: History) -> float:
    """Return the training loss, smoothed and spike by spike capped, as a share of guessing's."""
    loss = history.steady_loss
    return 1.0 if loss is None else loss / history.guessing_loss


def images_at_high_lr(history: History) -> float:
    """Return how many images were trained on since the schedule first let the rate be large."""
    rates, base = history.lr, history.settings.get("base_lr", 0.0)
    turned = [c.images for c in history.interventions if c.setting == "base_lr"]
    begun = history.epochs_at(max(turned, default=0))
    large = (
        x
        for x, y in zip(rates.x, rates.high, strict=True)
        if x > begun and y >= HIGH_LR_SHARE * base
    )
    first, size = next(large, None), history.started.train_size if history.started else 0
    return 0.0 if first is None else images(history) - first * size


def accuracy_on(sample: SampleProbed) -> str:
    """Return the accuracy on the sample, plain training images in evaluation mode, as text."""
    bounds = wilson(sample.correct, sample.sample_size)
    return fmt.accuracy_with_interval(sample.correct / sample.sample_size, bounds)


def changed_since(history: History, seen: int) -> bool:
    """Say whether a knob was turned by hand after that many images."""
    return any(change.images >= seen for change in history.interventions)


@cache
def _texts() -> Mapping[str, Mapping[str, Any]]:
    """Return what ``texts.toml`` says of each rule; read when the first finding is raised."""
    return tomllib.loads((files("tui_trainer.findings") / "texts.toml").read_text("utf-8"))


def finding(code: str, **fields: Any) -> FindingRaised:
    """Return a rule's finding: its texts, and the fields that the run fills in or replaces."""
    return FindingRaised(code=code, **{**_texts()[code], **fields})


class Remedy(TypedDict):
    """What to try, and the knob that does it, if one does."""

    advice: str
    fix_setting: str | None
    fix_value: float | None


def remedy(advice: str, setting: str | None = None, value: float | None = None) -> Remedy:
    """Return what to try."""
    return Remedy(advice=advice, fix_setting=setting, fix_value=value)


def scale_lr(history: History, times: float) -> Remedy:
    """Return the advice to multiply the base learning rate, by less than 1 to lower it."""
    rate = history.settings["base_lr"]
    value = float(f"{rate * times:.6g}")
    sign = f"× {times:g}" if times >= 1 else f"÷ {1 / times:g}"
    return remedy(f"learning rate {sign}, from {rate:g} to {value:g}", "base_lr", value)
