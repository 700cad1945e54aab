"""Several runs and groups of runs in one chart."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
import scipy.stats

from tests.protocol.facts import BATCH, TRAIN, changed, epoch_done, finding, started, step
from tui_trainer.history.history import History
from tui_trainer.protocol.events import Event
from tui_trainer.render.plots import Line, draw
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.drawn_curves import STRONG, reading, series_line, smoothed, x_end, x_text
from tui_trainer.ui.overlay import (
    METRICS,
    OverlaidGroup,
    OverlaidRun,
    chart_with_seeds,
    overlay_chart,
    run_style,
)
from tui_trainer.ui.run_curves import accuracy_chart, loss_chart, lr_chart
from tui_trainer.ui.theming.roles import ROLES

STEPS = TRAIN // BATCH
"""Batches per epoch."""


def trained(
    epochs: int,
    seed: int = 0,
    *,
    accuracies: Sequence[float | None] | None = None,
    extra: Sequence[Event] = (),
) -> History:
    """Return the history of a run with noisy losses."""
    rng = random.Random(seed)
    run = History.of([started(epochs=epochs)])
    for epoch in range(1, epochs + 1):
        for number in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
            run.apply(step(number, loss=2 / number * rng.uniform(0.5, 1.5)))
        accuracy = accuracies[epoch - 1] if accuracies else 1 - 0.1 / epoch * rng.uniform(0.8, 1.2)
        loss = None if accuracy is None else 2 * (1 - accuracy)
        run.apply(epoch_done(epoch, val_accuracy=accuracy, val_loss=loss, val_interval=None))
    for event in extra:
        run.apply(event)
    return run


def overlaid(*histories: History) -> list[OverlaidRun]:
    return [
        OverlaidRun(f"run-{place}", history, run_style(place))
        for place, history in enumerate(histories)
    ]


def test_72_runs_have_different_styles_in_roles_that_exist() -> None:
    styles = [run_style(place) for place in range(72)]
    assert len(set(styles)) == 72
    assert {f"role-{style.role}" for style in styles} <= {*ROLES}
    # The first ones differ in both, so that they differ without color.
    assert len({style.glyph for style in styles[:9]}) == 9
    assert run_style(72) == styles[0]


@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("x", ["epoch", "step", "images", "seconds"])
@pytest.mark.parametrize("smoothing", ["off", "light", "strong"])
@pytest.mark.sampled(3)
def test_runs_of_any_kind_are_drawn(metric: str, x: str, smoothing: str) -> None:
    diverged = History.of([started(epochs=3), step(1, loss=float("nan"))])
    runs = overlaid(
        trained(3), trained(1), trained(2, accuracies=[None, None]), diverged, History()
    )
    groups = [
        OverlaidGroup("seeds", [run.history for run in runs], run_style(5)),
        OverlaidGroup("nothing", [], run_style(6)),
    ]
    for cursor in (None, 0.0, 1.5):
        view = ChartView(x, None, smoothing, None, cursor)  # type: ignore[arg-type]
        content = overlay_chart(runs, metric, view, bands=groups)
        names = [row.name for row in content.rows]
        assert names == ["seeds", "nothing", *(run.name for run in runs)]
        assert all(row.value and row.glyph for row in content.rows)
        drawing = draw(
            80,
            20,
            x_range=view.range(content.x_max),
            scale=content.scale or METRICS[metric].scale,
            lines=content.lines,
            marks=content.marks,
        )
        assert drawing.x_axis is not None


def test_an_exploding_loss_does_not_squeeze_the_others() -> None:
    exploded = History.of([started(epochs=1), step(1, loss=2.3), step(2, loss=1e33)])
    content = overlay_chart(overlaid(trained(1), exploded), "loss", ChartView())
    most = 10 * exploded.guessing_loss
    assert max(content.lines[1].trend) == most
    assert max(content.lines[0].trend) < most
    assert content.rows[1].value not in ("", f"{most:.4f}")


def test_missing_values_are_reported() -> None:
    runs = overlaid(trained(2, accuracies=[None, None]), History())
    content = overlay_chart(runs, "val_accuracy", ChartView())
    assert [row.value for row in content.rows] == ["no validation", "no validation"]
    content = overlay_chart(runs, "loss", ChartView())
    assert content.rows[1].value == "no values"


def test_the_legend_has_the_last_value_or_that_at_the_cursor() -> None:
    runs = overlaid(
        trained(4, accuracies=[0.9, 0.95, 0.97, 0.98]), trained(2, accuracies=[0.8, 0.85])
    )
    values = {
        cursor: [row.value for row in overlay_chart(runs, "val_accuracy", view).rows]
        for cursor in (None, 1.0, 2.2, 3.9)
        for view in [ChartView(cursor=cursor)]
    }
    assert values[None] == ["98.00", "85.00"]
    assert values[1.0] == ["90.00", "80.00"]
    assert values[2.2] == ["95.00", "85.00"]
    # A run that has ended has no value there.
    assert values[3.9] == ["98.00", "—"]


def test_the_title_has_the_place_of_the_cursor() -> None:
    runs = overlaid(trained(2))
    assert overlay_chart(runs, "loss", ChartView()).legend == ()
    (cell,) = overlay_chart(runs, "loss", ChartView(cursor=1.5)).legend
    assert cell.text.strip() == "epoch 1.50"


def test_a_band_is_the_mean_with_the_interval_of_student() -> None:
    ends = [0.97, 0.98, 0.985]
    members = [trained(2, accuracies=[0.9, end]) for end in ends]
    group = OverlaidGroup("seeds", members, run_style(0))
    content = overlay_chart([], "val_accuracy", ChartView(), bands=[group])
    (line,) = content.lines
    mean = sum(ends) / 3
    low, high = scipy.stats.t.interval(0.95, 2, mean, scipy.stats.sem(ends))
    assert list(line.x) == [1.0, 2.0]
    assert line.trend[-1] == pytest.approx(mean)
    assert line.low is not None
    assert line.high is not None
    assert (line.low[-1], line.high[-1]) == pytest.approx((low, high))
    assert content.rows[0].value == f"{100 * mean:.2f} [{100 * low:.2f}, {100 * high:.2f}] n=3"


def test_a_group_of_different_lengths_counts_its_runs() -> None:
    members = [
        trained(3, accuracies=[0.9, 0.95, 0.97]),
        trained(3, accuracies=[0.9, 0.96, 0.98]),
        trained(1, accuracies=[0.9]),
        trained(2, accuracies=[None, None]),
    ]
    group = OverlaidGroup("seeds", members, run_style(0))
    last, first = (
        overlay_chart([], "val_accuracy", ChartView(cursor=cursor), bands=[group]).rows[0].value
        for cursor in (3.0, 1.0)
    )
    assert last.endswith("n=2 of 4")
    assert first.endswith("n=3 of 4")


def test_a_group_of_one_has_no_band() -> None:
    group = OverlaidGroup("seeds", [trained(2)], run_style(0))
    content = overlay_chart([], "val_accuracy", ChartView(), bands=[group])
    assert content.lines[0].low is None
    assert content.rows[0].value.endswith("n=1")


def test_a_curve_that_has_not_changed_is_the_same_object() -> None:
    done, live = trained(2), trained(2, 1)
    for metric in METRICS:
        before = overlay_chart(overlaid(done, live), metric, ChartView()).lines
        live.apply(step(live.step + 1, loss=0.1))
        live.apply(epoch_done(len(live.epochs) + 1, val_accuracy=0.99, val_loss=0.1))
        after = overlay_chart(overlaid(done, live), metric, ChartView()).lines
        assert after[0] is before[0]
        assert after[1] is not before[1]


def test_the_marks_of_runs_have_their_names() -> None:
    extra: list[Event] = [changed("base_lr", 0.1, 0.05, images=TRAIN), finding(title="overfitting")]
    content = overlay_chart(overlaid(trained(2, extra=extra)), "loss", ChartView(x="step"))
    assert {mark.name for mark in content.marks} >= {"run-0: lr 0.1 → 0.05", "run-0: overfitting"}
    assert not any(mark.has_line or mark.label for mark in content.marks)
    places = {mark.name: mark.x for mark in content.marks}
    assert places["run-0: lr 0.1 → 0.05"] == pytest.approx(STEPS)


def test_the_x_axis_measures_epochs_steps_images_or_seconds() -> None:
    run = trained(3)
    lasts = {
        x: list(loss_chart(run, ChartView(x=x)).lines[0].x)[-1]
        for x in ("epoch", "step", "images", "seconds")
    }
    seconds = run.last_step.seconds if run.last_step else 0
    assert lasts == pytest.approx(
        {"epoch": 3, "step": 3 * STEPS, "images": 3 * TRAIN, "seconds": seconds}
    )
    points = accuracy_chart(run, ChartView(x="step")).points[0]
    assert list(points.x) == pytest.approx([STEPS, 2 * STEPS, 3 * STEPS])
    assert lr_chart(run, ChartView(x="images")).x_max == pytest.approx(3 * TRAIN)


def test_the_axis_of_a_live_run_has_a_round_end_beyond_it() -> None:
    run = History.of([started(epochs=20), *(step(number) for number in range(1, STEPS + 3))])
    assert x_end(run) == 2.0
    assert x_end(run, "images") == pytest.approx(2 * TRAIN)
    assert x_end(run, "step") == pytest.approx(2 * STEPS)
    seconds = run.last_step.seconds if run.last_step else 0
    assert seconds <= x_end(run, "seconds") <= 2 * seconds + 1
    assert x_end(History(), "seconds") == 1.0


def test_strong_smoothing_has_a_longer_half_life() -> None:
    run = trained(3)
    raw, light, strong = (
        loss_chart(run, ChartView(smoothing=name)).lines[0] for name in ("off", "light", "strong")
    )
    assert raw.is_raw
    assert list(light.trend) == list(run.train_loss.trend)

    def roughness(line: Line) -> float:
        values = line.trend[len(line.trend) // 2 :]
        return sum(abs(a - b) for a, b in pairwise(values))

    assert roughness(strong) < 0.8 * roughness(light)
    assert STRONG > 1


def test_smoothing_is_an_exponential_moving_average_over_x() -> None:
    assert list(smoothed([1.0, 2.0, 4.0], [1.0, 3.0, 3.0], 1.0)) == [1.0, 2.0, 2.75]
    assert list(smoothed([1.0, 2.0], [1.0, 3.0], 0.0)) == [1.0, 3.0]
    assert list(smoothed([], [], 1.0)) == []


def test_a_reading_is_the_value_of_the_curve_at_that_place() -> None:
    line = Line([1.0, 2.0, 3.0], [0.5, 0.4, 0.3], "train", [0.1] * 3, [0.9] * 3)
    assert reading(line, 2.0, 3.0) == (0.4, None, None)
    assert reading(line, 3.01, 3.0) == (0.3, None, None)
    assert reading(line, 3.5, 3.0) is None
    assert reading(line, 0.5, 3.0) is None
    raw = Line(line.x, line.trend, "train", line.low, line.high, is_raw=True)
    assert reading(raw, 2.0, 3.0) == (0.4, 0.1, 0.9)
    assert [x_text(v, n) for v, n in ((3.416, "epoch"), (1602.4, "step"), (96e3, "images"))] == [  # type: ignore[arg-type]
        "epoch 3.42",
        "step 1,602",
        "96,000 images",
    ]


def test_the_figures_at_the_cursor_name_the_epoch_of_the_validation() -> None:
    run = trained(3, accuracies=[0.9, 0.95, 0.97])

    def title(view: ChartView) -> str:
        return "".join(cell.text for cell in accuracy_chart(run, view).legend)

    assert "● val 95.00 at 2" in title(ChartView(cursor=2.3))
    assert "● val 95.00 at epoch 2" in title(ChartView(x="step", cursor=2.3 * STEPS))
    assert title(ChartView(cursor=2.0)).endswith("● val 95.00")
    assert "epoch 2.00" in title(ChartView(cursor=2.0))


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@pytest.mark.parametrize("smoothing", ["off", "light", "strong"])
def test_finished_seeds_are_means_and_bands_behind_a_run(metric: str, smoothing: str) -> None:
    view = ChartView(smoothing=smoothing)  # type: ignore[arg-type]
    run, seeds = trained(1), [trained(3, 1), trained(3, 2)]
    alone = chart_with_seeds(metric, run, (), view)  # type: ignore[arg-type]
    assert len(alone.lines) == 1
    content = chart_with_seeds(metric, run, seeds, view)  # type: ignore[arg-type]
    training, validation, live = content.lines
    assert content.x_max == 3
    assert (training.role, validation.role, live.role) == ("muted", "validation", "train")
    assert training.low is not None
    assert validation.low is not None
    assert list(validation.x) == [1, 2, 3]
    assert list(live.trend) == list(alone.lines[0].trend)
    assert content.legend[-1].text.endswith("n=2")


def test_a_rewind_builds_the_line_again() -> None:
    run = trained(2)
    line = series_line(run, run.train_loss, ChartView(), role="train")
    assert series_line(run, run.train_loss, ChartView(), role="train") is line
    run.train_loss.cut(1.0)
    assert series_line(run, run.train_loss, ChartView(), role="train") is not line
