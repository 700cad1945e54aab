from __future__ import annotations

import math

import pytest

from tests.protocol.facts import changed, finished, started, step
from tui_trainer.history.history import History
from tui_trainer.protocol.events import Event
from tui_trainer.text.lines import plain
from tui_trainer.ui.batch_lens import (
    BatchLens,
    Effort,
    LensRun,
    batch_lens,
    explanation,
    lens_lines,
)

SLOWER = 1.5
"""A step with four times the images takes this many times as long."""


def run(
    name: str, batch: int, *more: Event, steps: int = 200, noise: float | None = None
) -> LensRun:
    """Return a run whose loss falls by the same factor in each step, at any batch size."""
    seconds = 0.01 * (SLOWER if batch > 100 else 1)
    return LensRun(
        name,
        History.of(
            [
                started(batch_size=batch, train_size=100_000, epochs=1),
                *(
                    step(n, batch=batch, loss=2 * 0.98**n, seconds=n * seconds)
                    for n in range(1, steps + 1)
                ),
                *more,
            ]
        ),
        noise,
    )


def test_each_batch_size_has_its_effort_to_the_same_loss() -> None:
    lens = batch_lens([run("large", 400), run("small", 100), run("second", 100)])
    small, large = lens.efforts
    assert (small.batch_size, small.runs, large.batch_size, large.runs) == (100, 2, 400, 1)
    assert lens.target == pytest.approx(min(run("", 100).history.train_loss.trend))
    assert small.images == pytest.approx(100 * small.steps)
    assert large.images == pytest.approx(400 * large.steps)
    assert large.seconds == pytest.approx(0.015 * large.steps)
    assert large.steps < small.steps  # its average has the same half-life in images


def test_the_target_is_what_the_worst_run_has_reached() -> None:
    short = run("short", 100, steps=50)
    lens = batch_lens([short, run("long", 400)])
    assert lens.target == pytest.approx(min(short.history.train_loss.trend))
    assert lens.efforts[0].steps == pytest.approx(50)


def test_runs_that_cannot_be_compared_are_left_out_with_the_reason() -> None:
    lens = batch_lens(
        [
            run("diverged", 100, finished(reason="diverged")),
            run("changed", 100, changed("batch_size", 100, 200, images=20_000)),
            LensRun("empty", History()),
            run("one", 100),
        ]
    )
    assert [name for name, _ in lens.left_out] == ["diverged", "changed", "empty"]
    words = "\n".join(plain(lens_lines(lens, [], 60)))
    assert "changed is left out: its batch size was changed" in words
    assert len(lens.efforts) == 1
    assert "Mark runs of different batch sizes" in words


def test_without_runs_there_is_only_the_advice() -> None:
    lens = batch_lens([])
    assert math.isnan(lens.target)
    assert plain(lens_lines(lens, [], 80)) == [
        "Mark runs of different batch sizes to compare what each needs."
    ]


def lens(noise: float | None, *, seconds: float = 1.0) -> BatchLens:
    efforts = (Effort(100, 1, 400, 40_000, 4.0), Effort(400, 1, 100, 40_000, 4.0 * seconds))
    return BatchLens(0.1, efforts, noise, ())


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0.5, "it is faster"), (1.0, "it takes as long"), (2.0, "it is slower")],
)
def test_the_first_sentence_is_what_was_measured(seconds: float, verdict: str) -> None:
    first, _ = explanation(lens(None, seconds=seconds))
    assert "0.25× the steps, 1× the images" in first
    assert verdict in first
    assert "4 times fewer steps" in first


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (None, "unknown"),
        (4_000, "above all these batches"),
        (50, "below all these batches"),
        (200, "beyond it the gradient has little noise left"),
    ],
)
def test_the_second_sentence_is_about_the_noise_scale(noise: float | None, words: str) -> None:
    _, second = explanation(lens(noise))
    assert words in second
    if noise == 200:  # (1 + 200 / 400) / (1 + 200 / 100)
        assert "0.5× the steps" in second


def test_other_differences_are_named() -> None:
    words = plain(lens_lines(lens(200), ["model", "weight_decay"], 120))
    assert any("They also differ in model, weight_decay" in line for line in words)


def test_the_noise_scale_is_the_geometric_mean() -> None:
    found = batch_lens([run("one", 100, noise=100.0), run("two", 400, noise=400.0)])
    assert found.noise == pytest.approx(200)
