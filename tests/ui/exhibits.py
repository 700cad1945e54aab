"""Made exhibits of every kind of block, for the window's tests."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Control,
    Curve,
    Curves,
    Exhibit,
    Link,
    Matrix,
    Picture,
    Pictures,
    Table,
    Words,
    at,
    chosen_int,
    chosen_number,
    chosen_text,
    counting,
)
from tui_trainer.stats.confusion_matrix import Confusion

PLACE = Control(name="place", label="place", value="early", steps=("early", "late"))
COUNT = Control(
    name="count", label="count", value=2.0, steps=(1.0, 2.0, 5.0, 10.0), low=0.5, high=1_000.0
)
CONTROLS = (PLACE, COUNT)

DIGIT = Picture(
    caption="a slope",
    height=28,
    width=28,
    values=tuple(float(x + y) for y in range(28) for x in range(28)),
    low=0.0,
    high=54.0,
    frame=(2, 3, 5, 5),
)
KERNEL = Picture(
    caption="a kernel of the first layer",
    height=3,
    width=3,
    values=(-1.0, 0.0, 1.0, -2.0, math.nan, 2.0, -1.0, 0.0, 1.0),
    low=-2.0,
    high=2.0,
    is_signed=True,
)
PICTURES = Pictures(caption="input and kernel", items=(DIGIT, KERNEL))
TABLE = Table(
    caption="two models",
    heads=("network", "accuracy", "95 % interval", "parameters"),
    rows=(("pooled early", "97.2 %", "[96.1, 98.0]", "19,568"), ("pooled late", "–", "–", "9,000")),
    marked=0,
)
BARS = Bars(
    caption="shares",
    bars=(Bar(label="one", share=0.25, number="25 %"), Bar(label="two", share=1, number="100 %")),
)
CURVES = Curves(
    caption="loss",
    x_label="training images",
    curves=(
        Curve(name="÷10", x=(0.0, 50.0, 100.0), y=(2.3, 1.9, 1.5)),
        Curve(name="×1", x=(0.0, 50.0, 100.0), y=(2.3, 1.0, 0.4)),
        Curve(name="×10", x=(0.0, 50.0, 100.0), y=(2.3, 9.0, math.inf)),
    ),
    is_log=True,
)
SUM = Words(text="1 · 2 =  2\n2 · 2 =  4", is_preformatted=True)
ADVICE = Words(text="Pool after edges are detected.", tone="warning")
EVERYTHING = (PICTURES, ADVICE, SUM, TABLE, BARS, CURVES)


def tries(question: Ask) -> Iterator[Exhibit]:
    """Answer as an experiment does: at once, or a part at a time where it trains."""
    choices = dict(question.choices)
    place, count = chosen_text(choices, PLACE), chosen_number(choices, COUNT)
    controls = (at(PLACE, place), at(COUNT, count))
    trains = "train two models: about 15 s"
    if question.mode != "confirmed":
        yield Exhibit(
            blocks=EVERYTHING, controls=controls, trains=trains, result=f"{place} × {count:g} = 1."
        )
        return
    yield Exhibit(blocks=(CURVES,), controls=controls, progress=0.5)
    yield Exhibit(
        blocks=(CURVES, TABLE),
        controls=controls,
        result="Early is better by 1.2 points.",
        evidence="1,000 images, one seed; the difference is significant.",
        trains=trains,
    )


COUNTS = (
    (487, 0, 0, 0, 0, 0, 3, 1, 1, 2),
    (1, 557, 3, 0, 0, 0, 0, 1, 0, 0),
    (0, 0, 492, 0, 1, 0, 0, 3, 0, 0),
    (0, 0, 5, 502, 0, 2, 0, 2, 0, 0),
    (0, 0, 1, 0, 484, 0, 0, 0, 0, 2),
    (0, 1, 3, 2, 1, 436, 3, 0, 2, 4),
    (1, 2, 0, 0, 1, 0, 487, 0, 2, 0),
    (0, 1, 3, 0, 1, 0, 0, 513, 0, 4),
    (1, 1, 1, 5, 7, 1, 2, 0, 459, 10),
    (2, 2, 2, 0, 5, 0, 0, 11, 0, 474),
)
"""What an `era-s6` said of 5,000 validation images after six epochs."""

IMAGES = Control(name="images", label="images", value="validation", steps=("validation", "test"))
NUMBERS = Control(name="numbers", label="numbers", value="counts", steps=("counts", "shares"))
TRUE = counting("true", "true", 10, value=9.0)
PREDICTED = counting("predicted", "predicted", 10, value=7.0)


def views(question: Ask) -> Iterator[Exhibit]:
    """Answer as views do: with a matrix, in parts, or with a rejection."""
    choices = dict(question.choices)
    images = at(IMAGES, chosen_text(choices, IMAGES))
    cell = (chosen_int(choices, TRUE), chosen_int(choices, PREDICTED))
    controls = (
        images,
        at(NUMBERS, chosen_text(choices, NUMBERS)),
        at(TRUE, float(cell[0])),
        at(PREDICTED, float(cell[1])),
    )
    if images.value == "test" and question.mode != "confirmed":
        yield Exhibit(
            blocks=(Words(text="The test set is sealed."),),
            controls=controls[:2],
            trains="evaluate the test set: evaluation 2",
        )
    elif question.name == "confusion":
        yield confusion(controls, cell)
    elif question.name == "misclassified":
        yield Exhibit(
            blocks=(PICTURES,), controls=controls[2:], result=f"true {cell[0]}, predicted {cell[1]}"
        )
    elif question.name == "classes":
        raise ValueError("there is nothing to count")
    else:
        yield Exhibit(blocks=(BARS,), controls=CONTROLS, progress=0.5, result="half of it")
        yield Exhibit(blocks=(TABLE,), controls=CONTROLS, result=f"all of {question.name}")


def confusion(controls: tuple[Control, ...], cell: tuple[int, int]) -> Exhibit:
    """Return the matrix with a cell chosen, and the worst pairs."""
    found = Confusion(COUNTS)
    worst = found.worst_pairs()
    is_shares = controls[1].value == "shares"
    texts = tuple(
        tuple(
            f"{100 * found.share(row, column):.1f}" if is_shares else f"{count or '·'}"
            for column, count in enumerate(counts)
        )
        for row, counts in enumerate(COUNTS)
    )
    intensities = tuple(
        tuple(0.0 if r == c else (n / worst[0][2]) ** 0.5 for c, n in enumerate(counts))
        for r, counts in enumerate(COUNTS)
    )
    matrix = Matrix(
        caption="share of the true class, %" if is_shares else "images",
        row_label="true",
        column_label="predicted",
        heads=tuple("0123456789"),
        texts=texts,
        intensities=intensities,
        cell=cell,
        controls=("true", "predicted"),
    )
    pairs = Table(
        caption="worst pairs",
        heads=("true", "predicted", "images", "of the class"),
        rows=tuple(
            (f"{label}", f"{predicted}", f"{count}", f"{100 * found.share(label, predicted):.1f} %")
            for label, predicted, count in worst[:8]
        ),
    )
    return Exhibit(
        blocks=(matrix, pairs),
        controls=controls,
        result=f"{found.total - found.correct} misclassified images, {len(worst)} confused pairs.",
        evidence="accuracy 97.82 % [97.38, 98.19] on 5,000 validation images, step 648.",
        opens=Link(
            view="misclassified",
            choices=(("true", float(cell[0])), ("predicted", float(cell[1]))),
            hint=f"show its {COUNTS[cell[0]][cell[1]]} images: true {cell[0]}, predicted {cell[1]}",
        ),
    )
