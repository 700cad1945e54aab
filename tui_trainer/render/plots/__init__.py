"""Plots as text: series, a size and roles in, rows of styled text out.

plotext draws the frame with its axes and tick labels, which is cached until a tick or the size
changes. A braille canvas draws the data; its cost depends on the width of the plot far more than
on the length of the run. This is the only package that imports plotext, which has one global
figure: draw on one thread only.

This package knows no colors: a *role* ("train", "validation", "axis", …) is the name by which a
front end finds the color in its theme.
"""

from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Segment
from tui_trainer.render.plots.drawing import MIN_HEIGHT, MIN_WIDTH, Drawing, chart, draw
from tui_trainer.render.plots.frame import XUnit
from tui_trainer.render.plots.grid import XAxis
from tui_trainer.render.plots.parallel import ParallelAxis, parallel_line, parallel_rows
from tui_trainer.text.scales import Scale

__all__ = [
    "MIN_HEIGHT",
    "MIN_WIDTH",
    "Drawing",
    "Line",
    "Mark",
    "ParallelAxis",
    "Points",
    "Row",
    "Scale",
    "Segment",
    "XAxis",
    "XUnit",
    "chart",
    "draw",
    "parallel_line",
    "parallel_rows",
]
