"""Exhibits: what a view or a lesson's experiment shows, as blocks that any front end can render.

An exhibit is plain data: text, tables, pictures, curves, bars and controls. Views and lessons know
nothing of terminals; front ends know nothing of views and lessons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tui_trainer.protocol.class_names import class_name, class_number
from tui_trainer.protocol.diagnosis import Severity

Tone = Severity | Literal["plain", "muted", "title"]
"""The meaning of a text; a front end may color it, but the text says the same without color."""

Value = str | float
"""The value of a control: one of its words, or a number."""

Choices = Mapping[str, Value]
"""The values of controls by name; a missing control has its initial value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control of the user.

    Attributes:
        name: Its name in code.
        label: Its label, at most two words.
        value: Its current value.
        steps: The values that keys select, in order; a typed number may lie between them.
        low: The smallest number that may be typed; None if nothing can be typed.
        high: The largest one.
        class_names: The names of the classes that its numbers stand for; empty for other numbers.
    """

    name: str
    label: str
    value: Value
    steps: tuple[Value, ...]
    low: float | None = None
    high: float | None = None
    class_names: tuple[str, ...] = ()

    def name_of(self, value: Value) -> str | None:
        """Return the name of the class that a value stands for; None for other values."""
        is_named = not isinstance(value, str) and 0 <= value < len(self.class_names)
        return class_name(self.class_names, int(value)) if is_named else None

    @property
    def known_names(self) -> list[str]:
        """The names of the classes that it can be set to, in the order of its steps."""
        return [name for step in self.steps if (name := self.name_of(step)) is not None]

    def class_called(self, word: str) -> float | None:
        """Return the step that stands for the class of that name; None if there is none."""
        number = class_number(self.class_names, word)
        return None if number is None or number not in self.steps else float(number)

    def turned(self, direction: int) -> Value:
        """Return the next step up (1) or down (-1); the current value if there is none.

        A word next to the first or the last number is the step after it.
        """
        if isinstance(self.value, float | int):
            numbers = [step for step in self.steps if isinstance(step, float | int)]
            beyond = [step for step in numbers if (step - self.value) * direction > 0]
            if beyond:
                return min(beyond) if direction > 0 else max(beyond)
            if self.value not in self.steps:
                return self.value
        place = self.steps.index(self.value) + direction if self.value in self.steps else 0
        return self.steps[min(max(0, place), len(self.steps) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A paragraph, or preformatted lines.

    Attributes:
        text: The text.
        tone: Its meaning.
        is_preformatted: Whether line breaks are kept, for formulas and calculations.
    """

    text: str
    tone: Tone = "plain"
    is_preformatted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        caption: The caption.
        heads: The column headers.
        rows: The cells as text; those that begin with a digit or a sign are right-aligned.
        marked: The highlighted row; None for none.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A matrix of numbers as a picture, two pixels per character; or an image in color.

    Attributes:
        caption: The caption, in two or three words: pictures are shown side by side.
        height: Rows of pixels.
        width: Columns of pixels.
        values: height × width × channels numbers, row by row; with three channels red, green and
            blue of one pixel after the other.
        low: The value of the darkest pixel, or of the strongest negative one.
        high: The value of the brightest pixel.
        is_signed: Whether the color map diverges at 0. In a picture in color 0 is a medium gray.
        frame: A highlighted rectangle in pixels: top, left, height, width; None for none.
        channels: 1, or 3 for a picture in color.
    """

    caption: str
    height: int
    width: int
    values: tuple[float, ...]
    low: float
    high: float
    is_signed: bool = False
    frame: tuple[int, int, int, int] | None = None
    channels: int = 1

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"{self.channels} channels: a picture has 1 or 3")
        if len(self.values) != self.height * self.width * self.channels:
            size = f"{self.height}×{self.width} pixels of {self.channels}"
            raise ValueError(f"{len(self.values)} values for {size}")

    @property
    def is_color(self) -> bool:
        """Whether it is in color."""
        return self.channels == 3

    @property
    def ends(self) -> str:
        """The values of its darkest and its brightest pixel, as text."""
        return f"{self.low:.3g} to {self.high:.3g}".replace("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures side by side, wrapped to the width of the screen.

    Attributes:
        caption: Their common caption.
        items: The pictures.
    """

    caption: str
    items: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve of a plot: x and y of its points, by increasing x.

    Attributes:
        low: The lower end of a band around the curve at each point; empty without a band. Where
            the band has no end, it is NaN. Plain text shows the curve alone.
        high: The upper end of the band.
        is_faint: Whether it is one of many, drawn under the others without a mark and a legend.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    is_faint: bool = False

    @property
    def ends(self) -> str:
        """Its first and its last value, as text."""
        ends = f"{self.y[0]:.4g} → {self.y[-1]:.4g}" if self.y else "no points yet"
        return ends.replace("-", "−")

    def drawable(self, *, is_log: bool, is_log_x: bool = False) -> Curve:
        """Return the curve without points that cannot be drawn."""
        kept = [
            index
            for index, (x, y) in enumerate(zip(self.x, self.y, strict=True))
            if math.isfinite(x)
            and math.isfinite(y)
            and (y > 0 or not is_log)
            and (x > 0 or not is_log_x)
        ]
        columns = (self.x, self.y, self.low, self.high)
        x, y, low, high = (tuple(each[i] for i in kept) if each else () for each in columns)
        return replace(self, x=x, y=y, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place on the x axis of a plot, marked by a vertical line.

    Attributes:
        x: The place.
        label: What it is, in a word or a number; may be empty.
        glyph: The character at the top of its line.
    """

    x: float
    label: str = ""
    glyph: str = "▼"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A plot of curves: of at most eight that are not faint, except in HTML.

    Attributes:
        caption: The caption.
        x_label: The label of the x axis, with its unit.
        curves: The curves.
        places: Places on the x axis.
        is_log_x: Whether the x axis is logarithmic, without a zero; values at or below 0 are then
            omitted.
        is_log: Whether the y axis is logarithmic; values at or below 0 are then omitted.
        is_accuracy: Whether the values are accuracies, from 0 to 1: the y axis is logarithmic in
            the error rate, and in percent.
    """

    caption: str
    x_label: str
    curves: tuple[Curve, ...]
    places: tuple[Place, ...] = ()
    is_log_x: bool = False
    is_log: bool = False
    is_accuracy: bool = False

    @property
    def axis_label(self) -> str:
        """The text below the plot."""
        return f"{self.x_label} · logarithmic y" if self.is_log else self.x_label

    @property
    def scale(self) -> str:
        """The name of the :class:`tui_trainer.text.scales.Scale` of the y axis."""
        return "nines" if self.is_accuracy else "log" if self.is_log else "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar: its share of the full width, 0 to 1, and the number next to it."""

    label: str
    share: float
    number: str
    is_marked: bool = False

    @property
    def drawn_share(self) -> float:
        """The share clamped to 0 to 1; 0 for a number that is not finite."""
        return min(1.0, max(0.0, self.share)) if math.isfinite(self.share) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A bar chart.

    Attributes:
        caption: The caption.
        bars: The bars, from top to bottom.
    """

    caption: str
    bars: tuple[Bar, ...]


MOST_HEADS = 16
"""Rows and columns of a matrix up to which it is drawn as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A square matrix with a selectable cell.

    Attributes:
        caption: The caption.
        row_label: The label of the rows, in a word or two.
        column_label: The label of the columns.
        heads: The names of the rows and of the columns.
        texts: The cells as text, row by row.
        intensities: The intensity of each cell in a heat map, 0 to 1, row by row.
        cell: The selected cell: row and column.
        controls: The names of the two controls that select it, the row's first.
    """

    caption: str
    row_label: str
    column_label: str
    heads: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    intensities: tuple[tuple[float, ...], ...]
    cell: tuple[int, int]
    controls: tuple[str, str]

    @property
    def fits_a_screen(self) -> bool:
        """Whether a terminal has room for it; a page and a picture always have."""
        return len(self.heads) <= MOST_HEADS


Block = Words | Table | Pictures | Curves | Bars | Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link to another view, opened with enter.

    Attributes:
        view: The name of the view.
        choices: The values of its controls.
        hint: What it opens, in a few words.
    """

    view: str
    choices: tuple[tuple[str, Value], ...]
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """The current content of a view or an experiment.

    Attributes:
        blocks: The blocks from top to bottom.
        controls: The controls of the user.
        result: The result in a sentence; empty if there is none yet.
        evidence: How certain the result is: its sample size, interval or test.
        progress: The share of a running experiment that is done; None if none is running.
        trains: What enter starts and about how long it takes ("train 200 steps three times: about
            12 s"); empty if the experiment needs no training.
        opens: The link that enter opens instead; None for none.
        figures: The shown values as numbers, strings, lists and mappings, for scripts.
    """

    blocks: tuple[Block, ...]
    controls: tuple[Control, ...] = ()
    result: str = ""
    evidence: str = ""
    progress: float | None = None
    trains: str = ""
    opens: Link | None = None
    figures: Mapping[str, object] = field(default_factory=dict)


def counting(
    name: str, label: str, total: int, *, first: int = 0, value: float | None = None
) -> Control:
    """Return a control with ``total`` consecutive integers from ``first``, initially the first."""
    steps = tuple(map(float, range(first, first + total)))
    return Control(name=name, label=label, value=steps[0] if value is None else value, steps=steps)


def of_classes(
    name: str, label: str, names: tuple[str, ...], classes: int, *, value: float | None = None
) -> Control:
    """Return a control of a class: its values are numbers, shown and set as names if it has any."""
    return replace(counting(name, label, classes, value=value), class_names=names)


def at(control: Control, value: Value) -> Control:
    """Return a control with another value."""
    return replace(control, value=value if isinstance(value, str) else float(value))


def chosen_number(choices: Choices, control: Control) -> float:
    """Return the chosen number of a control, clamped to its limits."""
    value = choices.get(control.name, control.value)
    if isinstance(value, str):
        called = control.class_called(value)
        return float(control.value) if called is None else called
    numbers = [step for step in control.steps if not isinstance(step, str)]
    low = control.low if control.low is not None else min(numbers)
    high = control.high if control.high is not None else max(numbers)
    return min(max(low, float(value)), high)


def chosen_int(choices: Choices, control: Control) -> int:
    """Return the chosen number of a control, rounded down to an integer."""
    return int(chosen_number(choices, control))


def chosen_text(choices: Choices, control: Control) -> str:
    """Return the chosen word of a control; its initial value if the choice is invalid."""
    value = choices.get(control.name, control.value)
    return str(value) if value in control.steps else str(control.value)
