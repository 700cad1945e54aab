"""Curves as text: series, a size and roles in, rows of text with a role each out.

plotext draws what seldom changes, the frame with its axes and tick labels, and the frame is kept
until a tick or the size changes. The data is drawn in between by a braille canvas of our own, whose
cost depends on the width of the picture far more than on the length of the run. This is the only
package that knows plotext; as that is one global figure, draw on one thread only.

Colours are none of its business: a *role* ("train", "validation", "axis", …) is the name by which
a front end finds the colour in its theme.
"""

from tui_trainer.render.plots.chart_shapes import Line, Mark, Points, Row, Run
from tui_trainer.render.plots.drawing import MIN_HEIGHT, MIN_WIDTH, chart
from tui_trainer.text.scales import Scale

__all__ = ["MIN_HEIGHT", "MIN_WIDTH", "Line", "Mark", "Points", "Row", "Run", "Scale", "chart"]
