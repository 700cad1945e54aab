"""Early signs: what the network shows now, and a fault on purpose beside a healthy training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tui_trainer.lab.compare import accuracy_text, score
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.lessons.early_signs import arithmetic, sabotage
from tui_trainer.lab.lessons.early_signs.sabotage import ABOUT, FAULTS, MODEL, RATE
from tui_trainer.lab.lessons.early_signs.signs import gradient_bars, sign_table
from tui_trainer.lab.trial import Arm, race
from tui_trainer.protocol.exhibit import Curve, Curves, Exhibit, Words
from tui_trainer.text.fmt import count

STEPS = 120
"""Steps of each training."""

VAL_IMAGES = 1_000
"""Images of validation that they are judged on."""

HEALTHY, OTHER = "healthy", "another start"

FAULT = word_control("fault", FAULTS, value=RATE)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show what can be told of the run now; or train a faulty network beside healthy ones."""
    fault = controls.word(FAULT)
    if confirmed:
        yield from _trained(context, fault)
        return
    table, result, certainty = sign_table(context)
    yield Exhibit(
        blocks=(
            table,
            gradient_bars(context),
            Words(text=f"To try: {fault}. {ABOUT[fault]}", tone="muted"),
        ),
        result=result,
        certainty=certainty,
        trains="train it beside two healthy ones: about 15 s",
    )


def _trained(context: Context, fault: str) -> Iterator[Exhibit]:
    """Train the faulty network beside a healthy one, and beside that with other first weights."""
    arms = [
        sabotage.healthy(context, HEALTHY),
        sabotage.healthy(context, OTHER, seed=2),
        sabotage.faulty(context, fault),
    ]
    words = Words(
        text=f"{fault}: {ABOUT[fault]} The network is {MODEL}; all three meet the same images in "
        "the same order.",
        tone="muted",
    )
    guessing = math.log(context.data.classes)
    images = STEPS * sabotage.BATCH
    yield Exhibit(blocks=(words,), progress=0.0)
    for share in race(arms, images=images, clock=context.clock):
        yield Exhibit(blocks=(_curves(arms, guessing), words), progress=share)
    split = context.sample(VAL_IMAGES)
    scores = [score(arm.trial, split) for arm in arms]
    judged = [accuracy_text(each.correct, each.total) for each in scores]
    yield Exhibit(
        blocks=(_curves(arms, guessing), words),
        result=_result(fault, arms),
        certainty=(
            f"The rule: over {arithmetic.WINDOW} batches the loss lies more than "
            f"{arithmetic.ERRORS:g} standard errors and {arithmetic.LEAST:g} above the healthy "
            f"one's, {arithmetic.PERSISTS} steps in a row. {_twin(arms)} Right after "
            f"{count(len(arms[0].batch_losses))} steps, of {count(len(split))} images: healthy "
            f"{judged[0]}, {OTHER} {judged[1]}, {fault} {judged[2]}."
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


def _result(fault: str, arms: Sequence[Arm]) -> str:
    healthy, _, faulty = (arm.batch_losses for arm in arms)
    step = arithmetic.told_apart(healthy, faulty)
    if step is None:
        return f"In {len(faulty)} steps, {fault} could not be told from a healthy training."
    return (
        f"{fault[0].upper()}{fault[1:]} could be told after {step} steps, "
        f"{count(step * sabotage.BATCH)} images: the loss was {_last(faulty, step)}, a healthy one "
        f"{_last(healthy, step)}."
    )


def _last(losses: Sequence[float], step: int) -> str:
    """Return the mean loss of the batches up to a step by which it was told."""
    part = losses[:step][-arithmetic.WINDOW :]
    return f"{math.fsum(part) / len(part):.2f}"


def _twin(arms: Sequence[Arm]) -> str:
    """Return whether the rule would have blamed another start too."""
    step = arithmetic.told_apart(arms[0].batch_losses, arms[1].batch_losses)
    if step is None:
        return "It does not blame the healthy one with other first weights."
    return f"But it blames the healthy one with other first weights too, after {step} steps."
