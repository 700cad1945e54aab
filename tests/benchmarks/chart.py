"""The cost of one chart update, by size and number of points, and of many runs in one chart.

Run by hand: ``python tests/benchmarks/chart.py``. Each cost is a ratio to the cheapest one in the
same run, which is more stable across machines than milliseconds; that of many runs also has the
milliseconds and the memory, which are its budget: 5 ms and 200 MB for 20 runs of 10,000 steps.
"""

from __future__ import annotations

import itertools
import math
import random
import time
import timeit
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import product

from tests.ui.fakes import recording
from tui_trainer.history.history import History
from tui_trainer.protocol.events import RunStarted, StepDone
from tui_trainer.render.plots import Line, Mark, Points, Row, Scale, chart, draw
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.overlay import OverlaidGroup, OverlaidRun, overlay_chart, run_style

SIZES = ((58, 15), (95, 24), (120, 20), (200, 30))
COUNTS = (16, 128, 1_024, 16_384)
EPOCHS = 5
REPEATS = 25
RUNS, STEPS = 20, 10_000


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

    def paint() -> list[Row]:
        # New objects, as of a live run: the cells of others are kept.
        new = [replace(line) for line in lines]
        return chart(
            width, height, x_max=EPOCHS, scale=scale, lines=new, points=points, marks=marks
        )

    return paint


def milliseconds(call: Callable[[], object]) -> float:
    """Return the minimum CPU time of a call on this thread; the first call is not counted."""
    call()
    times = timeit.repeat(call, number=4, repeat=REPEATS, timer=time.thread_time)
    return min(times) / 4 * 1_000


def long_run(seed: int, started: RunStarted) -> History:
    """Return the history of a run of ``STEPS`` steps with a falling, noisy loss."""
    rng, run = random.Random(seed), History()
    run.apply(started)
    for step in range(1, STEPS + 1):
        loss = 0.02 + 2.3 * math.exp(-step / 800) * math.exp(rng.gauss(0, 0.3))
        run.apply(step_done(step, loss, started.train_size))
    return run


def step_done(step: int, loss: float, train_size: int) -> StepDone:
    """Return a step of a run with batches of 128."""
    images = 128 * step
    return StepDone(
        step=step,
        epoch=(images - 1) // train_size + 1,
        epoch_images=(images - 1) % train_size + 1,
        images=images,
        batch_size=128,
        loss=loss,
        accuracy=max(0.0, 1 - loss / 3),
        lr=0.1,
        seconds=0.02 * step,
    )


def overlay() -> None:
    """Print the cost of an update of ``RUNS`` runs in one chart, of which one is live."""
    events = recording("mid-run")
    started = next(event for event in events if isinstance(event, RunStarted))
    started = replace(started, epochs=50, train_size=51_200)
    tracemalloc.start()
    histories = [long_run(seed, started) for seed in range(RUNS)]
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    runs = [OverlaidRun(f"run-{i}", run, run_style(i)) for i, run in enumerate(histories)]
    groups = [OverlaidGroup("seeds", histories[:5], run_style(0))]
    live, steps = histories[0], itertools.count(STEPS + 1)
    print(f"\n{RUNS} runs of {STEPS:,} steps, one of them live; {megabytes:.1f} MB of histories\n")
    for view in (
        ChartView(),
        ChartView(x="seconds", smoothing="strong"),
        ChartView(smoothing="off"),
    ):

        def paint(view: ChartView = view) -> None:
            live.apply(step_done(next(steps), 0.02, started.train_size))
            content = overlay_chart(runs, "loss", view, bands=groups)
            draw(
                200,
                50,
                x_range=view.range(content.x_max),
                scale=content.scale or Scale("log"),
                x_unit=content.x_unit,
                lines=content.lines,
                marks=content.marks,
            )

        print(f"{view.x:>8}, smoothing {view.smoothing:<6} {milliseconds(paint):6.2f} ms")


def main() -> None:
    """Print a table of sizes by number of points, and the cost of many runs."""
    costs = {
        (size, count): milliseconds(update(*size, count)) for size, count in product(SIZES, COUNTS)
    }
    cheapest = min(costs.values())
    print(f"cost of one update; 1.00 is {cheapest:.2f} ms here\n")
    print("   points" + "".join(f"{width:>8}×{height}" for width, height in SIZES))
    for count in COUNTS:
        cells = "".join(f"{costs[size, count] / cheapest:>11.2f}" for size in SIZES)
        print(f"{count:>9,}{cells}")
    overlay()


if __name__ == "__main__":
    main()
