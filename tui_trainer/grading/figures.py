"""The figures of a submitted model: what its requirements are checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tui_trainer.protocol.components import COMPONENTS
from tui_trainer.text.fmt import clip, one_line

Pair = tuple[int, int]

LONGEST_NAME = 80
"""The most characters of a layer's name, which the submission chose."""


class FiguresError(ValueError):
    """A record has no valid figures; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """The figures of a model; they equal those of ``mnist-tui model --json``.

    Attributes:
        parameters: The number of learnable parameters, unused ones included.
        multiply_adds: Multiply-adds for one image.
        receptive_field: The size of the receptive field of a logit; None if undefined.
        last_receptive_field: That of the last layer that combines positions of a map, before
            averaging; None if undefined.
        measured: The receptive fields that are measured, because arithmetic defines none.
        undefined: Why a receptive field or a component is not known.
        components: The layers of each kind on a path to the logits; None if not known.
        defined: The modules of each kind that the model defines, whether it uses them or not.
        review_errors: The errors of the design review; None if it was not asked for.
    """

    parameters: int
    multiply_adds: int
    receptive_field: Pair | None = None
    last_receptive_field: Pair | None = None
    measured: tuple[str, ...] = ()
    undefined: str = ""
    components: Mapping[str, tuple[str, ...]] | None = None
    defined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    review_errors: tuple[str, ...] | None = None

    def record(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: Any) -> ModelFigures:
        """Return the figures in a record that another process has written.

        Raises:
            FiguresError: If they are not valid: the code of the submission runs in that process.
        """
        try:
            return cls(
                parameters=_count(record["parameters"]),
                multiply_adds=_count(record["multiply_adds"]),
                receptive_field=_pair(record["receptive_field"]),
                last_receptive_field=_pair(record["last_receptive_field"]),
                measured=_texts(record["measured"]) or (),
                undefined=clip(one_line(str(record["undefined"])), 200),
                components=_names_by_kind(record["components"]),
                defined=_names_by_kind(record["defined"]) or {},
                review_errors=_texts(record["review_errors"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FiguresError(one_line(f"{type(error).__name__}: {error}")) from None


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("needs a count")
    return value


def _pair(value: Any) -> Pair | None:
    if value is None:
        return None
    down, across = value
    return _count(down), _count(across)


def _texts(values: Any) -> tuple[str, ...] | None:
    if values is None:
        return None
    return tuple(clip(one_line(str(value)), LONGEST_NAME) for value in values)


def _names_by_kind(values: Any) -> Mapping[str, tuple[str, ...]] | None:
    if values is None:
        return None
    return {kind: _texts(values[kind]) or () for kind in COMPONENTS if kind in values}
