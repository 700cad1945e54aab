"""Where in a run something happened: epochs, steps and seconds, mapped to each other."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

CAPACITY = 1_024
"""The maximum number of places that are kept."""


class Timeline:
    """The step and the training seconds at places of a run, in bounded memory.

    Between two kept places, steps and seconds are interpolated: the batch size and the speed rarely
    change. Adding a place takes amortized constant time. The beginning (0, 0, 0) and the last place
    are always kept.

    Attributes:
        epochs: The places in epochs, increasing.
        steps: The number of batches until each place, increasing.
        seconds: The training time until each place, increasing.
    """

    __slots__ = ("_capacity", "_every", "_since", "epochs", "seconds", "steps")

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 4 or capacity % 2:
            raise ValueError("a timeline needs an even capacity of 4 or more")
        self._capacity = capacity
        self._every, self._since = 1, 1
        self.epochs = array("d", [0.0])
        self.steps = array("d", [0.0])
        self.seconds = array("d", [0.0])

    def append(self, epochs: float, step: int, seconds: float) -> None:
        """Add the place after a step, which becomes the last one.

        After a rewind the clock of a run may start again a little before: it counts as stopped.
        """
        seconds = max(seconds, self.seconds[-1])
        if self._since < self._every:
            self._since += 1
            self.epochs[-1], self.steps[-1], self.seconds[-1] = epochs, step, seconds
            return
        if len(self.epochs) == self._capacity:
            # The first place stays; of every two others the later one.
            for values in (self.epochs, self.steps, self.seconds):
                del values[1:-1:2]
            self._every *= 2
        self._since = 1
        self.epochs.append(epochs)
        self.steps.append(step)
        self.seconds.append(seconds)

    def cut(self, epochs: float, step: int) -> None:
        """Go back to a place: drop what is after it.

        The seconds stay those of the last kept place, since training time does not go back.
        """
        kept = max(1, bisect_right(self.epochs, epochs))
        if kept == len(self.epochs):
            return
        seconds = self.at([epochs], "seconds")[0]
        for values in (self.epochs, self.steps, self.seconds):
            del values[kept:]
        self._since = self._every
        if epochs > self.epochs[-1]:
            self.append(epochs, step, seconds)
            self._since = self._every

    def at(self, epochs: Sequence[float], unit: str) -> array[float]:
        """Return the ``steps`` or ``seconds`` at places in epochs.

        Args:
            epochs: The places, increasing; beyond the ends of the timeline, its ends count.
            unit: The name of the attribute to interpolate.
        """
        return _interpolated(self.epochs, getattr(self, unit), epochs)

    def epochs_at(self, step: int) -> float:
        """Return the place of a step in epochs; within the timeline."""
        return _interpolated(self.steps, self.epochs, [step])[0]


def _interpolated(
    xs: Sequence[float], ys: Sequence[float], places: Sequence[float]
) -> array[float]:
    values, after, last = array("d"), 0, len(xs) - 1
    for x in places:
        after = bisect_left(xs, x, after)
        if after > last:
            values.extend([ys[last]] * (len(places) - len(values)))
            break
        if xs[after] == x or after == 0:
            values.append(ys[after])
        else:
            share = (x - xs[after - 1]) / (xs[after] - xs[after - 1])
            values.append(ys[after - 1] + share * (ys[after] - ys[after - 1]))
    return values
