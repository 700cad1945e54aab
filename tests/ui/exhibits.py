"""Made exhibits of every kind of block, for the window's tests."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tui_trainer.run.commands import TryLesson
from tui_trainer.run.exhibit import (
    Bar,
    Bars,
    Control,
    Curve,
    Curves,
    Exhibit,
    Picture,
    Pictures,
    Table,
    Words,
    at,
    chosen_number,
    chosen_word,
)

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
PICTURES = Pictures(caption="what comes in, and what is looked for", items=(DIGIT, KERNEL))
TABLE = Table(
    caption="two networks",
    heads=("network", "accuracy", "95 % interval", "parameters"),
    rows=(("pooled early", "97.2 %", "[96.1, 98.0]", "19,568"), ("pooled late", "–", "–", "9,000")),
    marked=0,
)
BARS = Bars(
    caption="how much of each",
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
SUM = Words(text="1 · 2 =  2\n2 · 2 =  4", keeps_lines=True)
ADVICE = Words(text="Pool once the edges are found.", tone="look")
EVERYTHING = (PICTURES, ADVICE, SUM, TABLE, BARS, CURVES)


def tries(question: TryLesson) -> Iterator[Exhibit]:
    """Answer as an experiment does: at once, or a part at a time where it trains."""
    choices = dict(question.choices)
    place, count = chosen_word(choices, PLACE), chosen_number(choices, COUNT)
    controls = (at(PLACE, place), at(COUNT, count))
    trains = "train two networks: about 15 s"
    if not question.goes:
        yield Exhibit(
            blocks=EVERYTHING, controls=controls, trains=trains, result=f"{place} × {count:g} = 1."
        )
        return
    yield Exhibit(blocks=(CURVES,), controls=controls, progress=0.5)
    yield Exhibit(
        blocks=(CURVES, TABLE),
        controls=controls,
        result="Early is better by 1.2 points.",
        certainty="1,000 images, one seed; the difference is more than chance.",
        trains=trains,
    )
