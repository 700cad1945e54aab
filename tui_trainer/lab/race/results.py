"""The outcome of a race: paired differences on the validation split, and how much is chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.lab.arms import Arm
from tui_trainer.lab.race.plans import Plan
from tui_trainer.protocol.exhibit import Table
from tui_trainer.stats.intervals import PairedAccuracy, holm
from tui_trainer.stats.means import Difference, paired_difference, single_difference
from tui_trainer.text import fmt

ALPHA = 0.05
"""P(any arm is reported as different) if all settings are equally good."""


KEYS = "abc"
"""The keys that choose an arm, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Compared:
    """An arm minus the current setting, on the same validation images.

    Attributes:
        loss: The difference of the mean losses.
        accuracy: The images that one of the two classifies correctly.
        loss_p: The p value of the loss, adjusted by Holm; 1 for a repetition.
        accuracy_p: That of the accuracy.
    """

    loss: Difference
    accuracy: PairedAccuracy
    loss_p: float = 1.0
    accuracy_p: float = 1.0

    @property
    def findings(self) -> tuple[str, ...]:
        """What is different by more than chance."""
        found = []
        if self.loss_p <= ALPHA:
            found.append("lower loss" if self.loss.mean < 0 else "higher loss")
        if self.accuracy_p <= ALPHA:
            found.append("more correct" if self.accuracy.difference > 0 else "fewer correct")
        return tuple(found)


Comparisons = Mapping[str, Compared]
"""The comparison of each arm with the current setting, by name; diverged arms have none."""


def compared(arms: Sequence[Arm], current: int) -> Comparisons:
    """Compare each arm with the current setting.

    A difference must be significant in two tests, because two kinds of randomness can cause it. One
    is over the validation images: a paired t test of the losses, McNemar's test of the accuracy.
    The other compares it with the spread of the current setting's repetitions (Student's t). The p
    value is the larger of the two; Holm adjusts it for the number of arms and for both figures.
    """
    base = arms[current].evaluation
    if base is None:
        return {}
    results = {arm.name: arm.evaluation for arm in arms if arm.evaluation is not None}
    repeated = [base, *(results[arm.name] for arm in arms if arm.again and arm.name in results)]
    others = [
        arm.name
        for place, arm in enumerate(arms)
        if arm.name in results and not arm.again and place != current
    ]
    pairs = {name: _pair(each, base) for name, each in results.items() if each is not base}
    p_values = []
    for name in others:
        pair, result = pairs[name], results[name]
        loss_spread = single_difference(result.loss, [each.loss for each in repeated])
        spread = single_difference(result.accuracy, [each.accuracy for each in repeated])
        p_values += [_larger(pair.loss.p, loss_spread.p), _larger(pair.accuracy.p, spread.p)]
    adjusted = iter(holm(p_values))
    for name in others:
        pairs[name] = replace(pairs[name], loss_p=next(adjusted), accuracy_p=next(adjusted))
    return pairs


def _larger(first: float, second: float) -> float:
    """Return the larger p value; 1 if one of them is unknown because nothing varies."""
    return 1.0 if math.isnan(first) or math.isnan(second) else max(first, second)


def _pair(first: Evaluation, second: Evaluation) -> Compared:
    one, other = first.is_correct, second.is_correct
    return Compared(
        loss=paired_difference(first.losses.double().tolist(), second.losses.double().tolist()),
        accuracy=PairedAccuracy(
            both=int((one & other).sum()),
            only_first=int((one & ~other).sum()),
            only_second=int((~one & other).sum()),
            neither=int((~one & ~other).sum()),
        ),
    )


def ends(arms: Sequence[Arm], plan: Plan, pairs: Comparisons) -> Table:
    """Return a table of the arms at their ends; the best by more than chance is marked."""
    better = [a for a in range(len(plan.names)) if is_better(pairs.get(arms[a].name))]
    best = min(better, key=lambda place: pairs[arms[place].name].loss.mean, default=plan.current)
    end = ", where the epoch ends" if plan.note else ""
    return Table(
        caption=f"after {fmt.plural(plan.batches, 'batch', 'es')}{end}",
        heads=("key", "arm", "steps", "train loss", "val loss", "accuracy"),
        rows=tuple(
            (
                "" if arm.again or arm.end is None else KEYS[place],
                arm.name,
                fmt.count(len(arm.steps)),
                _train_loss(arm),
                *_evaluated(arm),
            )
            for place, arm in enumerate(arms)
        ),
        marked=best,
    )


def is_better(pair: Compared | None) -> bool:
    """Return whether an arm is better in one figure, by more than chance, and in none worse."""
    found = set(pair.findings) if pair else set()
    return bool(found) and found <= {"lower loss", "more correct"}


def _train_loss(arm: Arm) -> str:
    losses = arm.curve().y
    return fmt.loss(losses[-1]).strip() if losses else "–"


def _evaluated(arm: Arm) -> tuple[str, str]:
    result = arm.evaluation
    if result is None:
        return "–", f"diverged at step {arm.diverged_at}"
    return fmt.loss(result.loss).strip(), fmt.percent(result.accuracy)


def differences(arms: Sequence[Arm], plan: Plan, pairs: Comparisons, images: int) -> Table:
    """Return a table of the differences from the current setting, repetitions at the end."""
    rows = []
    for arm in arms:
        pair = pairs.get(arm.name)
        if pair is not None:
            verdict = "chance" if arm.again else ", ".join(pair.findings) or "within chance"
            rows.append((arm.name, _loss_text(pair), _accuracy_text(pair), verdict))
    return Table(
        caption=f"minus {plan.names[plan.current]}, {fmt.count(images)} validation images in pairs",
        heads=("arm", "val loss ± 95 %", "points ± 95 %", "verdict"),
        rows=tuple(rows),
    )


def _loss_text(pair: Compared) -> str:
    reach = (pair.loss.high - pair.loss.low) / 2
    return _signed(pair.loss.mean, 4, 0.0 if math.isnan(reach) else reach)


def _accuracy_text(pair: Compared) -> str:
    low, high = pair.accuracy.interval
    return _signed(100 * pair.accuracy.difference, 2, 50 * (high - low))


def _signed(value: float, digits: int, reach: float) -> str:
    return f"{value:+.{digits}f} ± {reach:.{digits}f}".replace("-", "−")


def result(arms: Sequence[Arm], plan: Plan, pairs: Comparisons) -> str:
    """Return the verdict in a sentence or two."""
    current = plan.names[plan.current]
    if not pairs:
        return f"{current} has diverged, or no other arm has an end: there is nothing to compare."
    sentences = []
    for arm in arms:
        pair = pairs.get(arm.name)
        if pair is not None and pair.findings:
            sentences.append(f"{arm.name}: {' and '.join(pair.findings)} than {current}.")
    diverged = [arm.name for arm in arms if arm.evaluation is None]
    if not sentences:
        sentences.append(f"No arm differs from {current} by more than chance.")
    if diverged:
        sentences.append(f"{fmt.listed(diverged)} diverged.")
    return " ".join(sentences)


def evidence(plan: Plan, step: int, images: int) -> str:
    """Return how the arms were compared."""
    current = plan.names[plan.current]
    repeats = "repetition" if plan.repeats == 1 else f"{plan.repeats} repetitions"
    note = f"{plan.note[0].upper()}{plan.note[1:]}. " if plan.note else ""
    few = " One repetition shows only very large differences; take more." * (plan.repeats == 1)
    return (
        f"{note}From step {fmt.count(step)}, each arm has seen {fmt.count(plan.images)} training "
        f"images, the same in the same order; {current} again is its {repeats}, with other images "
        f"and random numbers. A difference is called if it is significant over the "
        f"{fmt.count(images)} images and against the repetitions, p ≤ {ALPHA} after Holm.{few}"
    )


def figures(arms: Sequence[Arm], pairs: Comparisons) -> dict[str, object]:
    """Return the figures of each arm, for scripts."""
    return {arm.name: _figures(arm, pairs.get(arm.name)) for arm in arms}


def _figures(arm: Arm, pair: Compared | None) -> dict[str, object]:
    found: dict[str, object] = {"steps": len(arm.steps), "images": arm.images}
    if arm.evaluation is not None:
        found |= {"val_loss": arm.evaluation.loss, "val_accuracy": arm.evaluation.accuracy}
    else:
        found["diverged_at"] = arm.diverged_at
    if pair is not None:
        found |= {
            "loss_difference": pair.loss.mean,
            "loss_interval": [pair.loss.low, pair.loss.high],
            "accuracy_difference": pair.accuracy.difference,
            "accuracy_interval": list(pair.accuracy.interval),
        }
        if not arm.again:
            found |= {"loss_p": pair.loss_p, "accuracy_p": pair.accuracy_p}
    return found
