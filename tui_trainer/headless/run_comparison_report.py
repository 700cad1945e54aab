"""A comparison of runs as one self-contained HTML file: curves, tables and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

from tui_trainer.headless.html_page import html_page
from tui_trainer.history.history import History
from tui_trainer.protocol.exhibit import Curve, Curves
from tui_trainer.recording.comparison import RunComparison
from tui_trainer.recording.comparison_text import comparison_blocks
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.stats.means import Curve as Points
from tui_trainer.stats.means import band
from tui_trainer.text.fmt import plural
from tui_trainer.version import __version__

BAND_POINTS = 200
"""Points of a training curve."""


@dataclass(frozen=True, slots=True)
class _Chart:
    """A chart of the report.

    Attributes:
        caption: Its caption.
        points: Returns the curve of a run, by epochs.
        is_accuracy: Whether the values are accuracies; otherwise they are losses.
        is_by_time: Whether the x axis is the time of each epoch instead.
    """

    caption: str
    points: Callable[[History], Points]
    is_accuracy: bool = False
    is_by_time: bool = False


def _accuracies(history: History) -> Points:
    found = [(e.epoch, e.val_accuracy) for e in history.epochs if e.val_accuracy is not None]
    return [float(x) for x, _ in found], [y for _, y in found]


def _val_losses(history: History) -> Points:
    found = [(e.epoch, e.val_loss) for e in history.epochs if e.val_loss is not None]
    return [float(x) for x, _ in found], _capped(history, (y for _, y in found))


def _train_losses(history: History) -> Points:
    series = history.train_loss
    return series.x.tolist(), _capped(history, series.trend)


def _capped(history: History, losses: Iterable[float]) -> list[float]:
    return [min(loss, history.largest_drawn_loss) for loss in losses]


_CHARTS = (
    _Chart("validation accuracy, %", _accuracies, is_accuracy=True),
    _Chart("validation accuracy by time, %", _accuracies, is_accuracy=True, is_by_time=True),
    _Chart("validation loss", _val_losses),
    _Chart("training loss, smoothed", _train_losses),
)


def comparison_report(
    found: RunComparison, histories: Sequence[Sequence[History]], command: str
) -> str:
    """Return a comparison as an HTML document.

    Args:
        found: The comparison.
        histories: The history of each run that counts, for each compared run or group.
        command: The command that creates this report.
    """
    names = ", ".join(group.name for group in found.groups)
    title = f"{_heading(found)}: {names}"
    has_groups = any(not group.is_single for group in found.groups)
    about = (
        "A group is the mean of its runs in the 95 % band of that mean (Student's t), up to the "
        "end of the shortest one."
    )
    body = "\n".join(
        (
            f"<header>\n<h1>{escape(_heading(found))}</h1>\n<p class='muted'>{escape(names)}</p>\n"
            "</header>",
            f"<section id='comparison'>\n{blocks_html(comparison_blocks(found))}\n</section>",
            "<section id='curves'>\n<h2>curves</h2>",
            f"<p class='about'>{about}</p>" if has_groups else "",
            blocks_html([_curves(found, histories, chart) for chart in _CHARTS]),
            "</section>",
            f"<footer>\n<p>Created by mnist-tui {__version__} with "
            f"<code>{escape(command)}</code></p>\n</footer>",
        )
    )
    return html_page(title, body)


def _heading(found: RunComparison) -> str:
    groups = sum(not group.is_single for group in found.groups)
    runs = len(found.groups) - groups
    parts = [plural(runs, "run") if runs else "", plural(groups, "group") if groups else ""]
    return f"{' and '.join(filter(None, parts))} compared"


def _curves(found: RunComparison, histories: Sequence[Sequence[History]], chart: _Chart) -> Curves:
    curves = [
        _curve(name, some, chart) for name, some in zip(_names(found), histories, strict=True)
    ]
    return Curves(
        caption=chart.caption,
        x_label="minutes of training and validation" if chart.is_by_time else "epochs",
        curves=tuple(curves),
        is_log=not chart.is_accuracy,
        is_accuracy=chart.is_accuracy,
    )


def _names(found: RunComparison) -> list[str]:
    """Return the name of each curve: label and name, or the name alone."""
    return [
        group.name if group.name == label else f"{label} {group.name}"
        for label, group in zip(found.labels, found.groups, strict=True)
    ]


def _curve(name: str, histories: Sequence[History], chart: _Chart) -> Curve:
    """Return the curve of a run, or the mean of several with its band."""
    mean = band([chart.points(history) for history in histories], BAND_POINTS)
    # Beyond the end of the shortest run the mean would jump.
    whole = [index for index, count in enumerate(mean.counts) if count == max(mean.counts)]
    columns = (mean.x, mean.mean, mean.low, mean.high)
    x, y, low, high = (tuple(each[index] for index in whole) for each in columns)
    if chart.is_by_time:
        x = tuple(fmean(_minutes(history, epoch) for history in histories) for epoch in x)
    is_single = len(histories) == 1
    return Curve(name=name, x=x, y=y, low=() if is_single else low, high=() if is_single else high)


def _minutes(history: History, last: float) -> float:
    """Return the time until the end of an epoch, in minutes."""
    return sum(epoch.seconds for epoch in history.epochs if epoch.epoch <= last) / 60
