"""Early signs: the current state of the run, and a bug on purpose next to a healthy training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tui_trainer.lab.compare import accuracy_text, score
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.lessons.early_signs import arithmetic, bugs
from tui_trainer.lab.lessons.early_signs.bugs import ABOUT, BUGS, LR, MODEL
from tui_trainer.lab.lessons.early_signs.signs import gradient_bars, sign_table
from tui_trainer.lab.trial import Arm, race
from tui_trainer.protocol.exhibit import Curve, Curves, Exhibit, Words
from tui_trainer.text.fmt import count

STEPS = 120
"""Steps of each training."""

VAL_IMAGES = 1_000
"""Validation images for the evaluation at the end."""

HEALTHY, OTHER = "healthy", "another seed"

BUG = word_control("bug", BUGS, value=LR)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the signs of the run, or train a model with a bug next to healthy ones."""
    bug = controls.word(BUG)
    if confirmed:
        yield from _trained(context, bug)
        return
    table, result, uncertainty = sign_table(context)
    yield Exhibit(
        blocks=(
            table,
            gradient_bars(context),
            Words(text=f"To try: {bug}. {ABOUT[bug]}", tone="muted"),
        ),
        result=result,
        evidence=uncertainty,
        trains="train it next to two healthy ones: about 15 s",
    )


def _trained(context: Context, bug: str) -> Iterator[Exhibit]:
    """Train the model with a bug, a healthy one, and one with other initial weights."""
    arms = [
        bugs.healthy(context, HEALTHY),
        bugs.healthy(context, OTHER, seed=2),
        bugs.buggy(context, bug),
    ]
    words = Words(
        text=f"{bug}: {ABOUT[bug]} The network is {MODEL}; all three get the same images in "
        "the same order.",
        tone="muted",
    )
    guessing = math.log(context.data.classes)
    images = STEPS * bugs.BATCH
    yield Exhibit(blocks=(words,), progress=0.0)
    for share in race(arms, images=images, clock=context.clock):
        yield Exhibit(blocks=(_curves(arms, guessing), words), progress=share)
    split = context.sample(VAL_IMAGES)
    evaluations = [score(arm.trial, split) for arm in arms]
    accuracies = [accuracy_text(each.correct, each.total) for each in evaluations]
    yield Exhibit(
        blocks=(_curves(arms, guessing), words),
        result=_result(bug, arms),
        evidence=(
            f"The rule: over {arithmetic.WINDOW} batches the loss is more than "
            f"{arithmetic.ERRORS:g} standard errors and {arithmetic.MIN_DIFFERENCE:g} above the "
            f"healthy one, {arithmetic.PERSISTENCE} steps in a row. {_control_text(arms)} Accuracy "
            f"on {count(len(split))} images after {count(len(arms[0].batch_losses))} steps: "
            f"healthy {accuracies[0]}, {OTHER} {accuracies[1]}, {bug} {accuracies[2]}."
        ),
    )


def _curves(arms: Sequence[Arm], guessing: float) -> Curves:
    """Return the losses as curves, with the loss of guessing as a line."""
    reach = max((arm.images[-1] for arm in arms if arm.images), default=1.0)
    line = Curve(name="guessing", x=(0.0, reach), y=(guessing, guessing))
    return Curves(
        caption=f"training loss, smoothed; guessing is {guessing:.3f}",
        x_label="training images",
        curves=(*(arm.curve() for arm in arms if arm.images), line),
    )


def _result(bug: str, arms: Sequence[Arm]) -> str:
    healthy, _, buggy = (arm.batch_losses for arm in arms)
    step = arithmetic.detection_step(healthy, buggy)
    if step is None:
        return f"In {len(buggy)} steps, {bug} could not be detected."
    return (
        f"{bug[0].upper()}{bug[1:]} could be detected after {step} steps, "
        f"{count(step * bugs.BATCH)} images: the loss was {_last(buggy, step)}, the healthy "
        f"one {_last(healthy, step)}."
    )


def _last(losses: Sequence[float], step: int) -> str:
    """Return the mean loss over the last window of batches up to a step."""
    part = losses[:step][-arithmetic.WINDOW :]
    return f"{math.fsum(part) / len(part):.2f}"


def _control_text(arms: Sequence[Arm]) -> str:
    """Return whether the rule has a false positive on the other healthy run."""
    step = arithmetic.detection_step(arms[0].batch_losses, arms[1].batch_losses)
    if step is None:
        return "It has no false positive on the healthy one with another seed."
    return f"But it has a false positive on the healthy one with another seed after {step} steps."
