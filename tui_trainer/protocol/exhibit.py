"""What an experiment of a lesson shows: plain blocks that any front end can draw.

An exhibit is data: words, tables, pictures, curves and bars, and the controls that the reader
turns. Whoever makes one knows nothing of terminals; whoever draws one knows nothing of lessons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tui_trainer.protocol.diagnosis import Severity

Tone = Severity | Literal["plain", "muted", "title"]
"""How words are meant; a front end has a colour for each, and none of them says a thing alone."""

Value = str | float
"""What a control stands at: one of its words, or a number."""

Choices = Mapping[str, Value]
"""The reader's choices by the names of the controls; one that is missing is at its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Something that the reader turns.

    Attributes:
        name: What the experiment calls it.
        label: What the reader reads, two words at most.
        value: Where it stands.
        steps: What it can be turned to, in order; a free one may stand between them.
        low: The least number that may be typed; None where nothing can be typed.
        high: The largest.
    """

    name: str
    label: str
    value: Value
    steps: tuple[Value, ...]
    low: float | None = None
    high: float | None = None

    def turned(self, direction: int) -> Value:
        """Return its next step up (1) or down (-1); where it stands if there is none."""
        if isinstance(self.value, float | int):
            numbers = [step for step in self.steps if isinstance(step, float | int)]
            beyond = [step for step in numbers if (step - self.value) * direction > 0]
            return (min(beyond) if direction > 0 else max(beyond)) if beyond else self.value
        place = self.steps.index(self.value) + direction if self.value in self.steps else 0
        return self.steps[min(max(0, place), len(self.steps) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A paragraph, or lines that keep their breaks.

    Attributes:
        text: What is said.
        tone: How it is meant.
        keeps_lines: Whether its lines are kept as they are, for formulas and sums.
    """

    text: str
    tone: Tone = "plain"
    is_preformatted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under heads.

    Attributes:
        caption: What it shows, in a few words.
        heads: The columns' names.
        rows: The cells, ready to be read; a cell that begins with a digit or a sign is flush right.
        marked: The row that matters now; None if all do alike.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A map of numbers as a picture, two pixels a character.

    Attributes:
        caption: What it is, in two or three words: pictures stand side by side.
        height: Rows of pixels.
        width: Columns of pixels.
        values: height × width numbers, row after row.
        low: The number of the darkest pixel, or of the strongest negative one.
        high: The number of the brightest.
        is_signed: Whether 0 is the middle: negative and positive numbers have a colour each.
        frame: A rectangle to mark, in pixels: top, left, height, width; None for none.
    """

    caption: str
    height: int
    width: int
    values: tuple[float, ...]
    low: float
    high: float
    is_signed: bool = False
    frame: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.values) != self.height * self.width:
            raise ValueError(f"{len(self.values)} values for {self.height}×{self.width} pixels")

    @property
    def ends(self) -> str:
        """The numbers of its darkest and its brightest pixel."""
        return f"{self.low:.3g} to {self.high:.3g}".replace("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures side by side, as many as fit beside each other.

    Attributes:
        caption: What they show together.
        items: The pictures.
    """

    caption: str
    items: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One curve of a plot: x and y of its points, x rising."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def ends(self) -> str:
        """Its first and its last value."""
        ends = f"{self.y[0]:.4g} → {self.y[-1]:.4g}" if self.y else "no points yet"
        return ends.replace("-", "−")

    def drawable(self, *, is_log: bool) -> Curve:
        """Return the curve without the points that have no place in a plot."""
        kept = [
            (x, y)
            for x, y in zip(self.x, self.y, strict=True)
            if math.isfinite(x) and math.isfinite(y) and (y > 0 or not is_log)
        ]
        return replace(self, x=tuple(x for x, _ in kept), y=tuple(y for _, y in kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Curves in one plot, at most eight.

    Attributes:
        caption: What is drawn.
        x_label: What x is, with its unit.
        curves: The curves.
        is_log: Whether y is drawn on a logarithmic scale; values at or below 0 are then left out.
    """

    caption: str
    x_label: str
    curves: tuple[Curve, ...]
    is_log: bool = False

    @property
    def axis_label(self) -> str:
        """What stands below the plot."""
        return f"{self.x_label} · logarithmic y" if self.is_log else self.x_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: its share of the full width, 0 to 1, and the number that stands beside it."""

    label: str
    share: float
    number: str
    is_marked: bool = False

    @property
    def drawn_share(self) -> float:
        """The share as it can be drawn: 0 for what is no number."""
        return min(1.0, max(0.0, self.share)) if math.isfinite(self.share) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars below each other.

    Attributes:
        caption: What they show.
        bars: The bars.
    """

    caption: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A square table of numbers, in which a cell can be chosen.

    Attributes:
        caption: What it shows.
        row_label: What a row is, in a word or two.
        column_label: What a column is.
        heads: What the rows, and the columns, are called.
        texts: The cells, ready to be read, row by row.
        heats: How much each stands out, 0 to 1, row by row.
        cell: The chosen cell: its row and column.
        controls: The names of the two controls that choose it, the row's first.
    """

    caption: str
    row_label: str
    column_label: str
    heads: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    intensities: tuple[tuple[float, ...], ...]
    cell: tuple[int, int]
    controls: tuple[str, str]


Block = Words | Table | Pictures | Curves | Bars | Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where enter leads: another view, with choices of its own.

    Attributes:
        view: The view's name.
        choices: What its controls are to stand at.
        hint: What is opened, in a few words.
    """

    view: str
    choices: tuple[tuple[str, Value], ...]
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """What an experiment shows now.

    Attributes:
        blocks: What there is to see, from top to bottom.
        controls: What the reader can turn.
        result: What was measured, in a sentence; empty before there is something.
        certainty: How sure that is, and on how much it rests.
        progress: The share of an experiment under way that is done; None if none is.
        trains: What enter would do and about how long it takes ("train 200 steps three times: about
            12 s"); empty if the experiment needs no training.
        opens: Where enter leads in place of that; None if nowhere.
        figures: What is shown as plain numbers, texts, lists and mappings, for a script.
    """

    blocks: tuple[Block, ...]
    controls: tuple[Control, ...] = ()
    result: str = ""
    certainty: str = ""
    progress: float | None = None
    trains: str = ""
    opens: Link | None = None
    figures: Mapping[str, object] = field(default_factory=dict)


def counting(
    name: str, label: str, total: int, *, first: int = 0, value: float | None = None
) -> Control:
    """Return a control that counts ``total`` things from ``first`` on; it begins at the first."""
    steps = tuple(map(float, range(first, first + total)))
    return Control(name=name, label=label, value=steps[0] if value is None else value, steps=steps)


def at(control: Control, value: Value) -> Control:
    """Return a control that stands at a value."""
    return replace(control, value=value if isinstance(value, str) else float(value))


def chosen_number(choices: Choices, control: Control) -> float:
    """Return what a reader chose of a control of numbers, within its bounds."""
    value = choices.get(control.name, control.value)
    if isinstance(value, str):
        return float(control.value)
    numbers = [step for step in control.steps if not isinstance(step, str)]
    low = control.low if control.low is not None else min(numbers)
    high = control.high if control.high is not None else max(numbers)
    return min(max(low, float(value)), high)


def chosen_int(choices: Choices, control: Control) -> int:
    """Return what a reader chose of a control that counts: what lies between two is the lower."""
    return int(chosen_number(choices, control))


def chosen_text(choices: Choices, control: Control) -> str:
    """Return what a reader chose of a control of words; where it begins if there is no such."""
    value = choices.get(control.name, control.value)
    return str(value) if value in control.steps else str(control.value)
