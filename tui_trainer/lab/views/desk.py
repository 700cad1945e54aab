"""The view that is worked on between batches, and what was found for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from tui_trainer.protocol.commands import Inspect
from tui_trainer.protocol.exhibit import Exhibit

VALIDATION, TEST = "validation", "test"
"""Splits that are judged; where there is no validation split it is ``training``."""

NO_CLASS = -1
"""What an image is given whose scores are no numbers: it is wrong, whatever its label."""

SHARE = 0.01
"""The share of the time that a view may take while nobody waits for it."""

WAITED_FOR = 0.5
"""The share that it may take while somebody does."""

CREDIT = 0.3
"""Seconds that a view may take at once, if there was time enough before."""

Parts = Iterator[Exhibit | None]
"""A view at work: after each part of a few hundredths of a second an exhibit, or None."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a network says of every image of a split.

    Attributes:
        images: The split: ``validation``, ``training`` or ``test``.
        step: After how many batches the weights were as they were used.
        probabilities: Of each class (N, classes), on the CPU.
        labels: The true classes (N), on the CPU.
        look: Which reading of the test set it was; 0 for other splits.
        at: When that was, by the run's clock in seconds.
    """

    images: str
    step: int
    probabilities: Tensor
    labels: Tensor
    look: int = 0
    at: float = 0.0

    @property
    def given(self) -> Tensor:
        """The class that each image is given (N): the most probable one, or :data:`NO_CLASS`."""
        most, given = self.probabilities.max(dim=1)
        return given.masked_fill(most.isnan(), NO_CLASS)

    @property
    def sureness(self) -> Tensor:
        """The probability of that class (N)."""
        return self.probabilities.amax(dim=1)

    @property
    def right_probability(self) -> Tensor:
        """The probability of the true class (N)."""
        return self.probabilities.gather(1, self.labels.unsqueeze(1)).squeeze(1)


@dataclass
class Desk:
    """Holds the one view that is worked on, and keeps account of the time.

    Attributes:
        wish: What was asked.
        parts: The view at work; None while there is nothing to do.
        step: After how many batches the weights were as they are shown.
        turn: How many parts are done.
        judged: The newest judgement of each split.
        told_steps: The step of the judgement of each split that was shown last.
    """

    wish: Inspect | None = None
    parts: Parts | None = None
    step: int = 0
    turn: int = 0
    judged: dict[str, Judgement] = field(default_factory=dict)
    told_steps: dict[str, int] = field(default_factory=dict)
    _credit: float = CREDIT
    _at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a view is worked on."""
        return self.parts is not None

    def begin(self, wish: Inspect, parts: Parts, step: int) -> None:
        """Put a view on the desk, in place of the one that lies there."""
        self.wish, self.parts, self.step, self.turn = wish, parts, step, 0

    def clear(self) -> None:
        """Put the view away."""
        self.parts = None

    def may_work(self, now: float) -> bool:
        """Whether there is time for another part, by a clock in seconds."""
        share = SHARE if self.wish is None or self.wish.follows else WAITED_FOR
        if self._at is not None:
            self._credit = min(CREDIT, self._credit + share * (now - self._at))
        self._at = now
        return self._credit > 0

    def spend(self, seconds: float) -> None:
        """Book the time that a part took."""
        self._credit -= seconds

    def keep(self, judgement: Judgement) -> None:
        """Keep a judgement, in place of the one before of its split."""
        self.judged[judgement.images] = judgement

    def told(self, judgement: Judgement | None) -> Judgement | None:
        """Return a judgement, now that it is to be shown."""
        if judgement is not None:
            self.step = self.told_steps[judgement.images] = judgement.step
        return judgement

    def forget(self) -> None:
        """Forget the judgements: the weights are others at the same step."""
        self.judged.clear()
        self.told_steps.clear()
