"""The parallel coordinates of a sweep: one axis a setting, the last one is the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.render.plots import Line, ParallelAxis, Row, Scale, parallel_line, parallel_rows
from tui_trainer.sweeps.ended import place_of
from tui_trainer.sweeps.figures import NAMES, best_first, objective_text, setting_text
from tui_trainer.sweeps.spec import Dimension, Range
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.ui.keys.keymap import TRIAL_KEYS
from tui_trainer.ui.overlay import RunStyle
from tui_trainer.ui.widgets.painting import Painted, Styles, role_styles, strip_of

MOST_LINES = 30
"""The most lines behind the strong ones: more of them fill the plot."""

SPREAD = 0.5
"""The part of the distance between two listed values over which their lines are spread."""

GOLDEN = (math.sqrt(5) - 1) / 2

FAINT = RunStyle("dim:train", "")
"""The style of a trial that is neither one of the best nor chosen."""


class ParallelPanel(Painted, can_focus=True):
    """Draws the trials; those with a style are drawn over the others, in their order."""

    BINDINGS: ClassVar[list[BindingType]] = [*TRIAL_KEYS]
    DEFAULT_CSS = """
    ParallelPanel {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
    }
    ParallelPanel:focus { border: round $primary; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = "parallel coordinates"
        self._state: SweepState | None = None
        self._styles: Mapping[int, RunStyle] = {}
        self._kept: dict[tuple[object, ...], Line] = {}
        self._rows: list[Row] = []
        self._style: Styles | None = None

    def show(self, state: SweepState, styles: Mapping[int, RunStyle]) -> None:
        """Show the trials of a sweep.

        Args:
            state: The sweep.
            styles: The styles of the best trials and of the chosen one by their numbers, the one
                on top last.
        """
        self._state, self._styles = state, styles
        self._update()

    def on_show(self) -> None:
        """Paint what was skipped while the panel was hidden."""
        self._repaint()

    def _repaint(self) -> None:
        self._style, self._rows = None, []
        self._update()

    def _update(self) -> None:
        """Paint the rows that have changed."""
        width, height = self.size
        if self._state is None or not width or not height or not self.is_on_screen:
            return
        rows = self._drawn(self._state, width, height)
        is_new = self._style is None or len(rows) != len(self._rows)
        style = self._style = self._style or role_styles(self)
        if rows == self._rows and not is_new:
            return
        before = [] if is_new else self._rows
        self._strips = [
            self._strips[y] if not is_new and row == before[y] else strip_of(row, style, width)
            for y, row in enumerate(rows)
        ]
        self._rows = rows
        self.refresh()

    def _drawn(self, state: SweepState, width: int, height: int) -> list[Row]:
        spec = state.spec
        scale = Objective(state)
        axes = [*(_axis(name, each) for name, each in spec.space.items()), scale.axis]
        trials = {trial.number: trial for trial in state.trials}
        faint = [trial for trial in best_first(state) if trial.number not in self._styles]
        apart = max(1.0, len(faint) / MOST_LINES)  # good ones and bad ones alike
        shown = [faint[int(place * apart)] for place in range(min(MOST_LINES, len(faint)))]
        strong = [trials[number] for number in self._styles if number in trials]
        kept: dict[tuple[object, ...], Line] = {}
        texture, lines = list[Line](), list[Line]()
        for trial in [*shown, *strong]:
            style = self._styles.get(trial.number, FAINT)
            heights = _heights(state, trial, scale)
            key = (trial.number, style, *heights)
            if heights:
                kept[key] = self._kept.get(key) or parallel_line(heights, *style)
                (lines if trial.number in self._styles else texture).append(kept[key])
        self._kept = kept
        more = len(faint) - len(shown)
        self.border_subtitle = f"{len(faint) - more} of {len(faint)} other trials" if more else ""
        return parallel_rows(axes, texture, lines, width, height)


class Objective:
    """The axis of the objective: the best value is on top."""

    def __init__(self, state: SweepState) -> None:
        spec = state.spec
        values = [trial.value for trial in state.completed if trial.value is not None]
        self._scale = Scale("log" if spec.is_minimized else "nines")
        known = [value for value in values if self._scale.has_place_for(value)]
        heights = self._scale.heights([min(known), max(known)]) if known else [0.0, 0.0]
        self._is_minimized = spec.is_minimized
        self._low, self._high = heights
        ends = (min(known), max(known)) if known else (math.nan, math.nan)
        worst, best = reversed(ends) if spec.is_minimized else ends
        name = NAMES[spec.objective].replace("validation ", "val ")
        if not known:
            self.axis = ParallelAxis(name)
        else:
            self.axis = ParallelAxis(name, objective_text(spec, worst), objective_text(spec, best))

    def height(self, value: float) -> float:
        """Return the height of a value, 0 to 1."""
        if not self._scale.has_place_for(value):
            return 0.0
        if self._high <= self._low:
            return 0.5
        share = (self._scale.height(value) - self._low) / (self._high - self._low)
        share = min(1.0, max(0.0, share))
        return 1 - share if self._is_minimized else share


def _axis(name: str, dimension: Dimension) -> ParallelAxis:
    if isinstance(dimension, Range):
        low, high = dimension.low, dimension.high
        if dimension.is_integer:
            low, high = round(low), round(high)
        log = " log" if dimension.log else ""
        return ParallelAxis(f"{name}{log}", setting_text(low), setting_text(high))
    count = len(dimension.values)
    values = tuple(
        (_choice_height(index, count), setting_text(value))
        for index, value in enumerate(dimension.values)
    )
    return ParallelAxis(name, values=values)


def _choice_height(index: int, count: int) -> float:
    """Return the height of a listed value: the first one on top."""
    return 1 - (index + 0.5) / count


def _spread(number: int) -> float:
    """Return where a line passes a listed value, so that not all of them pass at one point.

    The fractional part of multiples of the golden ratio fills the interval evenly.
    """
    return SPREAD * (number * GOLDEN % 1 - 0.5)


def _heights(state: SweepState, trial: TrialState, scale: Objective) -> Sequence[float]:
    """Return the heights of a trial; one without an objective ends at the last setting."""
    heights = []
    for name, dimension in state.spec.space.items():
        if name not in trial.settings:
            return ()
        at = place_of(dimension, trial.settings[name])
        if not isinstance(dimension, Range):
            count = len(dimension.values)
            at = _choice_height(int(at), count) + _spread(trial.number) / count
        heights.append(at)
    return [*heights, *([] if trial.value is None else [scale.height(trial.value)])]
