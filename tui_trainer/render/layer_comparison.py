"""Two models side by side: their stages, aligned, and their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal

from tui_trainer.protocol.layers import BUDGET, LayerRow, Stage, stages, totals
from tui_trainer.text import fmt

Better = Literal["left", "right", ""]


@dataclass(frozen=True, slots=True)
class Line:
    """A stage of either model, or of both where they match.

    Attributes:
        left: The first model's stage; None where it has no match.
        right: The second model's stage, likewise.
        differs: Whether they differ in anything but their names.
    """

    left: Stage | None
    right: Stage | None
    differs: bool

    @property
    def sides(self) -> tuple[Stage | None, Stage | None]:
        """Both stages, the first model's first."""
        return self.left, self.right


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of both models.

    Attributes:
        name: What is counted.
        left: The first model's number as text.
        right: The second model's.
        better: The cheaper side; empty where they are equal, or where less is not better.
    """

    name: str
    left: str
    right: str
    better: Better = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models side by side."""

    lines: tuple[Line, ...]
    figures: tuple[Figure, ...]


def compare(
    left: Sequence[LayerRow],
    right: Sequence[LayerRow],
    *,
    budget: int = BUDGET,
    batch_size: int = 1,
) -> Comparison:
    """Compare two layer tables.

    Args:
        left: The first model's rows.
        right: The second model's rows.
        budget: The limit on parameters.
        batch_size: The batch size of the activation memory.
    """
    return Comparison(_lines(left, right), _figures(left, right, budget, batch_size))


def _lines(left: Sequence[LayerRow], right: Sequence[LayerRow]) -> tuple[Line, ...]:
    ours, theirs = stages(left), stages(right)
    matcher = SequenceMatcher(None, [_key(s) for s in ours], [_key(s) for s in theirs], False)
    lines: list[Line] = []
    for _, start, end, their_start, their_end in matcher.get_opcodes():
        pairs = zip_longest(ours[start:end], theirs[their_start:their_end])
        lines += [Line(a, b, a is None or b is None or _all_of(a) != _all_of(b)) for a, b in pairs]
    return tuple(lines)


def _key(stage: Stage) -> tuple[object, ...]:
    """Return what two matching stages share: kind and map size, not the number of channels."""
    return stage.what, stage.output_shape[:2]


def _all_of(stage: Stage) -> tuple[object, ...]:
    """Return everything about a stage except its name."""
    return _key(stage), stage.output_shape, stage.companions, stage.parameters


def _figures(
    left: Sequence[LayerRow], right: Sequence[LayerRow], budget: int, batch_size: int
) -> tuple[Figure, ...]:
    a, b = totals(left), totals(right)
    share = f"share of {fmt.count(budget)}"
    memory = f"activations, batch {fmt.count(batch_size)}"
    a_bytes, b_bytes = a.activation_bytes * batch_size, b.activation_bytes * batch_size
    return (
        Figure(
            "parameters",
            fmt.count(a.parameters),
            fmt.count(b.parameters),
            _less(a.parameters, b.parameters),
        ),
        Figure(share, fmt.percent(a.parameters / budget, 1), fmt.percent(b.parameters / budget, 1)),
        Figure(
            "multiply-adds",
            fmt.count(a.multiply_adds),
            fmt.count(b.multiply_adds),
            _less(a.multiply_adds, b.multiply_adds),
        ),
        Figure(memory, fmt.size(a_bytes), fmt.size(b_bytes), _less(a_bytes, b_bytes)),
        Figure("receptive field", fmt.field(a.receptive_field), fmt.field(b.receptive_field)),
        Figure("layers with weights", _weighted_layers(left), _weighted_layers(right)),
    )


def _weighted_layers(rows: Sequence[LayerRow]) -> str:
    """Return the number of convolutions and fully connected layers."""
    kinds = ("conv", "depthwise", "fully connected")
    return fmt.count(sum(row.kind in kinds for row in rows))


def _less(left: int, right: int) -> Better:
    if left == right:
        return ""
    return "left" if left < right else "right"
