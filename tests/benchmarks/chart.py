"""The cost of one chart update, by size and number of points.

Run by hand: ``python tests/benchmarks/chart.py``. Each cost is a ratio to the cheapest one in the
same run, which is more stable across machines than milliseconds.
"""

from __future__ import annotations

import math
import random
import time
import timeit
from collections.abc import Callable
from itertools import product

from tui_trainer.render.plots import Line, Mark, Points, Row, Scale, chart

SIZES = ((58, 15), (95, 24), (120, 20), (200, 30))
COUNTS = (16, 128, 1_024, 16_384)
EPOCHS = 5
REPEATS = 25


def noisy_line(count: int, role: str, start: float) -> Line:
    """Return a falling curve with a noise band."""
    draw = random.Random(role)
    x = [EPOCHS * (i + 1) / count for i in range(count)]
    trend = [0.03 + start * math.exp(-place) for place in x]
    low = [value * math.exp(-abs(draw.gauss(0, 0.35))) for value in trend]
    high = [value * math.exp(abs(draw.gauss(0, 0.35))) for value in trend]
    return Line(x, trend, role, low, high, f"{role}-band")


def update(width: int, height: int, count: int) -> Callable[[], list[Row]]:
    """Return a function that paints two curves with bands, validation points and a mark."""
    lines = [noisy_line(count, "train", 2.3), noisy_line(count, "other", 3.0)]
    places = [float(epoch) for epoch in range(1, EPOCHS + 1)]
    points = [Points(places, [0.04 + 2.0 * math.exp(-x) for x in places], "validation")]
    marks = [Mark(2.5, "intervention", label="lr 0.1 → 0.05")]
    scale = Scale("log")
    return lambda: chart(
        width, height, x_max=EPOCHS, scale=scale, lines=lines, points=points, marks=marks
    )


def milliseconds(call: Callable[[], object]) -> float:
    """Return the minimum CPU time of a call on this thread; the first call is not counted."""
    call()
    times = timeit.repeat(call, number=4, repeat=REPEATS, timer=time.thread_time)
    return min(times) / 4 * 1_000


def main() -> None:
    """Print a table: sizes by number of points."""
    costs = {
        (size, count): milliseconds(update(*size, count)) for size, count in product(SIZES, COUNTS)
    }
    cheapest = min(costs.values())
    print(f"cost of one update; 1.00 is {cheapest:.2f} ms here\n")
    print("   points" + "".join(f"{width:>8}×{height}" for width, height in SIZES))
    for count in COUNTS:
        cells = "".join(f"{costs[size, count] / cheapest:>11.2f}" for size in SIZES)
        print(f"{count:>9,}{cells}")


if __name__ == "__main__":
    main()
