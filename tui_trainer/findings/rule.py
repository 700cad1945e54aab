"""What a rule is, and the measurements of the current run that several rules use."""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict

from tui_trainer.history.history import History
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import (
    Diverged,
    EpochDone,
    Event,
    FindingRaised,
    RunStarted,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.loop_probed import LoopProbed
from tui_trainer.protocol.probed import (
    DataProbed,
    ModelProbed,
    ParameterProbe,
    SampleProbed,
    UpdateProbed,
)
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

RuleFunction = Callable[[History], FindingRaised | None]
"""Returns the finding in a run's history, or None. The function's name is the finding's code."""

RECENT = 3
"""Consecutive probes that must all show a finding."""

EARLY_STEPS = 100
"""The number of steps that count as the start of a run, when large updates are usual."""

HIGH_LR_SHARE = 0.3
"""The share of the base learning rate above which the schedule lets the model learn."""

NO_DECAY = ("constant", "script")
"""The schedules that never lower the learning rate: that of a script without a scheduler, too."""

DECAYED_LR = 0.5
"""The share of the base learning rate below which a schedule has lowered it."""

NOT_LEARNED = 0.5
"""The share of random guessing's loss above which little has been learned: small signals, gradients
and updates only matter there."""

CHECK_EVERY = 10
"""Steps between two evaluations of the rules that read training steps."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule and when to evaluate it.

    Attributes:
        evaluate: The rule itself.
        on: The types of events after which it is evaluated.
        label: What it finds, in a few words.
        yields_to: The codes of findings that explain this one: while one of them is raised as a
            warning or an error, this one is not.
        needs_validation: Whether it reads what an epoch has measured on validation images.
        again: The events after which it is evaluated again: without one of ``on`` it says nothing.
    """

    evaluate: RuleFunction
    on: tuple[type[Event], ...]
    label: str
    yields_to: tuple[str, ...] = ()
    needs_validation: bool = False
    again: tuple[type[Event], ...] = ()

    @property
    def code(self) -> str:
        """The code of its findings."""
        return self.evaluate.__name__

    @property
    def is_for_scripts(self) -> bool:
        """Whether it checks a training loop: the engine's own has no such errors."""
        return self.on[0] is LoopProbed

    def can_evaluate(self, history: History) -> bool:
        """Whether the run records what the rule reads; a zoo model needs no model probe."""
        if history.started is None:
            return False
        if self.is_for_scripts:
            return bool(history.loops)
        if StepDone in self.on:
            return True
        available: dict[type[Event], object] = {
            DataProbed: history.data_probe,
            UpdateProbed: history.updates,
            SampleProbed: history.samples,
            LoopProbed: history.loops,
            ModelProbed: history.model_probe or history.started.model in MODELS,
            EpochDone: history.started.val_size or not self.needs_validation,
            TestEvaluated: history.tests or history.started.val_size,
        }
        return any(available[kind] for kind in self.on if kind in available)


STEPS = (StepDone, EpochDone, Diverged)
EPOCHS = (EpochDone, Diverged)
UPDATES = (UpdateProbed,)
SAMPLES = (SampleProbed,)
DATA = (DataProbed,)
TRIED = (ModelProbed,)
TESTS = (TestEvaluated,)
LOOPS = (LoopProbed,)


def recent_updates(history: History, count: int = RECENT) -> list[UpdateProbed]:
    """Return the last ``count`` sampled updates, or none if there are fewer."""
    return list(history.updates)[-count:] if len(history.updates) >= count else []


def weights(update: UpdateProbed) -> list[ParameterProbe]:
    """Return the weight tensors (not biases, not norms) with a gradient, first to last layer."""
    return [p for p in update.parameters if p.is_weight and p.gradient_norm is not None]


def update_ratio(update: UpdateProbed) -> float:
    """Return the update-to-weight ratio, ‖update‖ / ‖weight‖: the median over the layers.

    About 0.001 is usual: A. Karpathy, "Neural networks part 3", notes of the course CS231n.
    """
    trained = [p for p in weights(update) if p.optimized is not False and p.weight_norm > 0]
    ratios = [p.update_norm / p.weight_norm for p in trained]
    return statistics.median(ratios) if ratios else 0.0


def weight_norm(update: UpdateProbed) -> float:
    """Return the norm of all weights together, before the update."""
    return math.hypot(*(p.weight_norm for p in update.parameters if p.is_weight))


def decay_share(started: RunStarted, update: UpdateProbed) -> float | None:
    """Return how far weight decay moves the weights, relative to the gradient of the loss.

    SGD and Adam add decay × weights to the gradient; AdamW subtracts lr × decay × weights in its
    update. None in older records, which do not have the weight decay.
    """
    if started.weight_decay is None:
        return None
    pull = started.weight_decay * weight_norm(update)
    if started.optimizer != "adamw":
        return pull / (update.gradient_norm or math.inf)
    moved = math.hypot(*(p.update_norm for p in update.parameters if p.is_weight))
    return update.lr * pull / (moved or math.inf)


def path_length(history: History) -> float | None:
    """Return the total distance the weights have moved, relative to their norm.

    It is estimated from the sampled updates, each of which stands for the steps since the previous
    one. None without samples.
    """
    if not history.updates:
        return None
    path, last = 0.0, 0
    for update in history.updates:
        path += update_ratio(update) * (update.step - last)
        last = update.step
    return path


def images_seen(history: History) -> int:
    """Return the number of training images so far, repetitions included."""
    return history.last_step.images if history.last_step else 0


def relative_loss(history: History) -> float:
    """Return the training loss, smoothed and spikes capped, as a share of random guessing's."""
    loss = history.capped_loss
    return 1.0 if loss is None else loss / history.guessing_loss


def of_classes(history: History) -> str:
    """Return `` = ln 10`` where that is random guessing's loss; empty for other losses."""
    classes = history.started.classes if history.started else 0
    is_log = classes > 0 and math.isclose(history.guessing_loss, math.log(classes))
    return f" = ln {classes}" if is_log else ""


def images_at_high_lr(history: History) -> float:
    """Return the number of training images since the schedule first reached a high rate."""
    lr, base_lr = history.lr, history.settings.get("base_lr", 0.0)
    changed = [c.images for c in history.interventions if c.setting == "base_lr"]
    begun = history.epochs_at(max(changed, default=0))
    large = (
        x for x, y in zip(lr.x, lr.high, strict=True) if x > begun and y >= HIGH_LR_SHARE * base_lr
    )
    first, size = next(large, None), history.started.train_size if history.started else 0
    return 0.0 if first is None else images_seen(history) - first * size


def awaits_decay(history: History, lr: float) -> bool:
    """Return whether the schedule had not lowered the learning rate to half of its base rate.

    ``lr`` is that of the time. In the last epoch nothing is to come, and nobody knows what a script
    without a scheduler will do.
    """
    started, now = history.started, history.last_step
    if started is None or now is None or started.schedule in NO_DECAY:
        return False
    half = DECAYED_LR * history.settings["base_lr"]
    has_decayed = lr < half <= max(history.lr.high, default=lr)
    return not has_decayed and now.epoch < started.epochs


def accuracy_on(sample: SampleProbed) -> str:
    """Return the accuracy on the sample: unaugmented training images in evaluation mode."""
    bounds = wilson(sample.correct, sample.sample_size)
    return fmt.accuracy_with_interval(sample.correct / sample.sample_size, bounds)


def changed_since(history: History, seen: int) -> bool:
    """Return whether a knob was changed by hand after that many images."""
    return any(change.images >= seen for change in history.interventions)


@cache
def _texts() -> Mapping[str, Mapping[str, Any]]:
    """Return ``texts.toml``, read when the first finding is raised."""
    return tomllib.loads((files("tui_trainer.findings") / "texts.toml").read_text("utf-8"))


def finding(code: str, **fields: Any) -> FindingRaised:
    """Return a rule's finding from its texts; ``fields`` add to them or replace them.

    Args:
        code: The code of the rule.
        fields: The fields of the finding. With ``causes``, the first gives the finding's cause,
            advice and fix; without, the finding has one cause, with its own code or the texts'
            ``cause_code``.
    """
    texts = {**_texts()[code], **fields}
    cause_code = texts.pop("cause_code", code)
    if texts.get("causes"):
        first: Cause = texts["causes"][0]
        texts |= {"cause": first.title, "advice": first.advice}
        texts |= {"fix_setting": first.fix_setting, "fix_value": first.fix_value}
        return FindingRaised(code=code, **texts)
    found = FindingRaised(code=code, **texts)
    only = Cause(
        code=cause_code,
        title=found.cause or found.title,
        likelihood="shown",
        advice=found.advice,
        fix_setting=found.fix_setting,
        fix_value=found.fix_value,
    )
    return replace(found, causes=(only,))


class Remedy(TypedDict):
    """Advice, and the knob that applies it, if there is one."""

    advice: str
    fix_setting: str | None
    fix_value: float | None


def remedy(advice: str, setting: str | None = None, value: float | None = None) -> Remedy:
    """Return advice with the knob that applies it."""
    return Remedy(advice=advice, fix_setting=setting, fix_value=value)


def scale_lr(history: History, times: float) -> Remedy:
    """Return the advice to multiply the base learning rate, by less than 1 to lower it."""
    value = float(f"{history.settings['base_lr'] * times:.6g}")
    change = f"multiply the learning rate by {times:g}"
    if times < 1:
        change = f"divide the learning rate by {1 / times:g}"
    return remedy(f"{change} (--lr {value:g})", "base_lr", value)
