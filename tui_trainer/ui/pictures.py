"""From a run's history to what each chart shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_trainer.plots import Line, Mark, Points, Scale
from tui_trainer.run import text
from tui_trainer.run.events import SettingChanged
from tui_trainer.run.history import History
from tui_trainer.run.text import Cell

LOSS = Scale("log")
ACCURACY = Scale("nines")
RATE = Scale("log")

_ENDS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80)

KNOB_NAMES = {
    "learning_rate": "lr",
    "batch_size": "batch",
    "augmentation": "augmentation",
    "dropout": "dropout",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart's content: what to draw, and the line of figures below it."""

    x_max: float
    lines: tuple[Line, ...] = ()
    points: tuple[Points, ...] = ()
    marks: tuple[Mark, ...] = ()
    legend: tuple[Cell, ...] = ()


def loss_picture(history: History) -> Picture:
    """Show the training loss with its noise, and the validation loss of each epoch."""
    done = [epoch for epoch in history.epochs if epoch.val_loss is not None]
    now, last = history.smoothed_loss, done[-1].val_loss if done else None
    legend = [_train_cell("" if now is None else text.loss(now).strip())]
    if last is not None:
        legend.append(Cell(f"  ● val {text.loss(last).strip()}", style="validation"))
    legend += [
        Cell(f"  ◆ test {text.loss(test.test_loss).strip()}", rank=1, style="test")
        for test in history.tests[-1:]
    ]
    series = history.train_loss
    return Picture(
        x_max=x_end(history),
        lines=(Line(series.x, series.trend, "train", series.low, series.high, "train-band"),),
        points=(
            Points([e.epoch for e in done], [e.val_loss or 0.0 for e in done], "validation"),
            _tests(history, [test.test_loss for test in history.tests]),
        ),
        marks=_marks(history),
        legend=tuple(legend),
    )


def accuracy_picture(history: History) -> Picture:
    """Show the training accuracy with its noise, and the validation accuracy of each epoch."""
    done = [epoch for epoch in history.epochs if epoch.val_accuracy is not None]
    now = history.smoothed_accuracy
    legend = [_train_cell("" if now is None else _percent(now))]
    for epoch in done[-1:]:
        legend.append(Cell(f"  ● val {_percent(epoch.val_accuracy or 0.0)}", style="validation"))
        if epoch.val_interval is not None:
            interval = text.interval(epoch.val_interval)
            legend.append(Cell(f" {interval}", rank=1, style="validation"))
    legend += [
        Cell(f"  ◆ test {_percent(test.test_accuracy)}", rank=2, style="test")
        for test in history.tests[-1:]
    ]
    series = history.train_accuracy
    return Picture(
        x_max=x_end(history),
        lines=(Line(series.x, series.trend, "train", series.low, series.high, "train-band"),),
        points=(
            Points([e.epoch for e in done], [e.val_accuracy or 0.0 for e in done], "validation"),
            _tests(history, [test.test_accuracy for test in history.tests]),
        ),
        marks=_marks(history),
        legend=tuple(legend),
    )


def rate_picture(history: History) -> Picture:
    """Show the learning rate of each update: base times schedule."""
    series = history.learning_rate
    legend: tuple[Cell, ...] = ()
    if history.last_step is not None and history.started is not None:
        now = text.learning_rate(history.last_step.learning_rate)
        legend = (
            Cell(f"  ─ {now}", style="title"),
            Cell(f"  {history.started.schedule}", rank=1, style="muted"),
        )
    return Picture(
        x_max=x_end(history),
        lines=(Line(series.x, series.trend, "title"),),
        marks=_marks(history),
        legend=legend,
    )


def x_end(history: History) -> float:
    """Return where the x axis ends, in epochs: the next round number, never past the last epoch.

    The picture is stretched as the run goes on, in few steps, so that the first minute of a long
    run already fills it.
    """
    if history.started is None:
        return 1.0
    seen = history.epochs_at(history.last_step.images) if history.last_step else 0.0
    total = history.started.epochs
    end = next((end for end in _ENDS if end >= seen), math.ceil(seen / 20) * 20)
    return float(min(end, max(total, math.ceil(seen))))


def knob_value(setting: str, value: float) -> str:
    """Return a knob's value as it is shown."""
    match setting:
        case "learning_rate":
            return text.learning_rate(value)
        case "batch_size":
            return text.count(int(value))
        case "augmentation":
            return "on" if value else "off"
        case _:
            return f"{value:g}"


def knob_change(change: SettingChanged) -> str:
    """Return a change in a few words: ``lr 0.1 → 0.05``."""
    old, new = knob_value(change.setting, change.old), knob_value(change.setting, change.new)
    return f"{KNOB_NAMES[change.setting]} {old} → {new}"


def _percent(fraction: float) -> str:
    """Return a percentage without its sign: the chart's title has it."""
    return text.percent(fraction).removesuffix(" %")


def _train_cell(value: str) -> Cell:
    return Cell(f"  ─ train {value}".rstrip(), style="train")


def _marks(history: History) -> tuple[Mark, ...]:
    changes = history.interventions
    return tuple(
        Mark(
            history.epochs_at(change.images),
            "intervention",
            label=knob_change(change) if change is changes[-1] else "",
        )
        for change in changes
    )


def _tests(history: History, values: list[float]) -> Points:
    """Put each reading of the test set at the place where it was made."""
    places = [history.epochs_at(test.images) for test in history.tests]
    return Points(places, values, "test", "◆")
