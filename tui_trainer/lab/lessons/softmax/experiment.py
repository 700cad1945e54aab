"""Softmax: the logits of a digit, a temperature, and the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tui_trainer.lab.compare import accuracy_text
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.drawing import alone, nonfinite_notice, shown_classes
from tui_trainer.lab.lessons.softmax.arithmetic import cross_entropy, logit_gradient, softmax
from tui_trainer.lab.samples import affordable
from tui_trainer.protocol.class_names import class_names
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Words
from tui_trainer.text.fmt import columns
from tui_trainer.text.lines import padded

MIN_IMAGES, MAX_IMAGES = 400, 1_000
"""Images that are searched for misclassified ones, as many as there is time for."""

WHICH = word_control("digits", ("all", "misclassified"))
TEMPERATURE = number_control(
    "temperature", "temperature", 1, (0.1, 0.2, 0.5, 1, 2, 5, 10), 0.01, 100.0
)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the logits of a digit as probabilities, and the gradient of the loss."""
    which, place = controls.word(WHICH), controls.whole(DIGIT)
    temperature = controls.number(TEMPERATURE)
    digit, logits, wrong, total = _chosen(context, which, place)
    if not all(map(math.isfinite, logits)):
        yield Exhibit(blocks=(alone(digit),), result=nonfinite_notice("the logits").text)
        return
    probabilities = softmax(logits, temperature)
    gradient = logit_gradient(probabilities, digit.label, temperature)
    names = class_names(context.data.class_names, len(logits))
    shown = shown_classes(probabilities, digit.label)
    across = max(columns(names[each]) for each in shown)
    bars = tuple(
        Bar(
            label=f"{padded(names[label], across)}  z {logit:+z7.2f}",
            share=p,
            number=f"p {p:.4f}  ∂loss/∂z {slope:+z.4f}",
            is_marked=label == digit.label,
        )
        for label, (logit, p, slope) in enumerate(zip(logits, probabilities, gradient, strict=True))
        if label in shown
    )
    loss = cross_entropy(probabilities, digit.label)
    predicted = max(range(len(logits)), key=logits.__getitem__)
    yield Exhibit(
        blocks=(
            alone(digit, f"{context.split_name} image {digit.number}"),
            Words(
                text=f"True class {digit.name}, predicted {names[predicted]}.",
                tone="ok" if predicted == digit.label else "error",
            ),
            Bars(caption="logit z, probability p, gradient; ▸ is the true class", bars=bars),
        ),
        result=f"At T = {temperature:g} the loss is {loss:.4f}.",
        evidence=(
            f"One image. After step {context.step:,} the network misclassifies {wrong} of {total} "
            f"{context.split_name} images: {accuracy_text(wrong, total)}."
        ),
    )


def _chosen(context: Context, which: str, place: int) -> tuple[Digit, list[float], int, int]:
    """Return a digit, its logits, the number of misclassified images, and of all images."""
    total = affordable(context.layers, 1, least=MIN_IMAGES, most=MAX_IMAGES)
    images, labels = context.digits.images[:total], context.digits.labels[:total]
    with torch.no_grad():
        logits = context.copy()(context.data.prepare(images))
    wrong = (logits.argmax(dim=1) != labels).nonzero().flatten().tolist()
    candidates = wrong if which == "misclassified" and wrong else range(len(labels))
    number = candidates[place % len(candidates)]
    return context.digit(number), logits[number].double().tolist(), len(wrong), len(labels)
