"""Softmax: the scores of a digit, a temperature, and the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tui_trainer.lab.compare import accuracy_text
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.drawing import alone, nonfinite_notice
from tui_trainer.lab.lessons.softmax.arithmetic import cross_entropy, score_gradient, softmax
from tui_trainer.lab.samples import affordable
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Words

LEAST, MOST = 400, 1_000
"""Images among which the wrong ones are looked for, as many as there is time for."""

WHICH = word_control("digits", ("all", "wrong"))
TEMPERATURE = number_control(
    "temperature", "temperature", 1, (0.1, 0.2, 0.5, 1, 2, 5, 10), 0.01, 100.0
)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a digit's scores as probabilities, and the gradient of its loss."""
    which, place = controls.word(WHICH), controls.whole(DIGIT)
    temperature = controls.number(TEMPERATURE)
    digit, scores, wrong, total = _chosen(context, which, place)
    if not all(map(math.isfinite, scores)):
        yield Exhibit(blocks=(alone(digit),), result=nonfinite_notice("the scores").text)
        return
    probabilities = softmax(scores, temperature)
    gradient = score_gradient(probabilities, digit.label, temperature)
    bars = tuple(
        Bar(
            label=f"{label}  z {score:+z7.2f}",
            share=p,
            number=f"p {p:.4f}  ∂loss/∂z {slope:+z.4f}",
            is_marked=label == digit.label,
        )
        for label, (score, p, slope) in enumerate(zip(scores, probabilities, gradient, strict=True))
    )
    loss = cross_entropy(probabilities, digit.label)
    given = max(range(len(scores)), key=scores.__getitem__)
    yield Exhibit(
        blocks=(
            alone(digit, f"{context.split_name} image {digit.number}"),
            Words(
                text=f"It is a {digit.label}; the network says {given}.",
                tone="ok" if given == digit.label else "error",
            ),
            Bars(caption="score z, probability p, gradient; ▸ is the right class", bars=bars),
        ),
        result=f"At T = {temperature:g} the loss is {loss:.4f}.",
        certainty=(
            f"One image. Of {total} {context.split_name} images the network, after step "
            f"{context.step:,}, gets {wrong} wrong: {accuracy_text(wrong, total)}."
        ),
    )


def _chosen(context: Context, which: str, place: int) -> tuple[Digit, list[float], int, int]:
    """Return a digit with its scores, how many were wrong, and of how many."""
    total = affordable(context.layers, 1, least=LEAST, most=MOST)
    images, labels = context.digits.images[:total], context.digits.labels[:total]
    with torch.no_grad():
        scores = context.copy()(context.data.prepare(images))
    wrong = (scores.argmax(dim=1) != labels).nonzero().flatten().tolist()
    among = wrong if which == "wrong" and wrong else range(len(labels))
    number = among[place % len(among)]
    return context.digit(number), scores[number].double().tolist(), len(wrong), len(labels)
