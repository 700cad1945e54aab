"""The layer table, made short for a panel: each convolution with what belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui_trainer.run.events import LayerRow

BUDGET = 20_000
"""The course's limit on parameters, which shares are measured against."""

_COMPANIONS = ("batch norm", "relu", "dropout")


@dataclass(frozen=True, slots=True)
class Stage:
    """A layer and the companions that follow it without changing the shape.

    Attributes:
        name: The first layer's name.
        what: Its kind and kernel, as in ``conv 3×3``.
        companions: The kinds that were folded into it.
        output_shape: Height, width, channels.
        parameters: The parameters of all of them together.
    """

    name: str
    what: str
    companions: tuple[str, ...]
    output_shape: tuple[int, int, int]
    parameters: int

    @property
    def shape_text(self) -> str:
        """The output in the course's notation, as in 28×28×16."""
        return "×".join(map(str, self.output_shape))


def stages(rows: Sequence[LayerRow]) -> list[Stage]:
    """Fold batch norm, ReLU and dropout into the layer before them, max pools left aside.

    The parameters of the stages add up to those of the network.
    """
    folded: list[Stage] = []
    owner = 0
    for row in rows:
        if row.kind in _COMPANIONS and folded:
            folded[owner] = replace(
                folded[owner],
                companions=(*folded[owner].companions, row.kind),
                parameters=folded[owner].parameters + row.parameters,
            )
            continue
        if row.kind != "max pool" or not folded:
            owner = len(folded)
        what = f"{row.kind} {row.kernel}".strip()
        folded.append(Stage(row.name, what, (), row.output_shape, row.parameters))
    return folded
