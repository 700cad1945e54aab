"""What the network says of one digit, and the choice of that digit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tui_trainer.engine.evaluation import probabilities_of
from tui_trainer.lab.context import Context, Digit
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.drawing import probability_bars
from tui_trainer.lab.predictions import TEST
from tui_trainer.protocol.exhibit import Bars, counting
from tui_trainer.text.fmt import percent


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a network says of a digit.

    Attributes:
        label: The digit's class.
        probabilities: Of each class.
    """

    label: int
    probabilities: tuple[float, ...]

    @property
    def order(self) -> list[int]:
        """The classes from the most probable to the least."""
        places = range(len(self.probabilities))
        return sorted(places, key=lambda place: -self.probabilities[place])

    @property
    def said(self) -> int:
        """The most probable class."""
        return self.order[0]

    @property
    def is_lost(self) -> bool:
        """Whether they are no numbers."""
        return any(share != share for share in self.probabilities)

    @property
    def sentence(self) -> str:
        """What it says, and whether that is right."""
        if self.is_lost:
            return "Its scores are no numbers any more: the run diverged."
        told = f"It says {self.said} ({percent(self.probabilities[self.said], 1)})"
        if self.said == self.label:
            return f"{told}, rightly."
        share = percent(self.probabilities[self.label], 1)
        return f"{told}, but it is a {self.label} ({share})."

    def bars(self, most: int) -> Bars:
        """Return the most probable classes as bars, the true one marked and always among them."""
        shown = self.order[:most]
        if self.label not in shown:
            shown[-1] = self.label
        return probability_bars("what it says", self.probabilities, shown, self.label)

    @property
    def figures(self) -> Mapping[str, object]:
        """The same as plain numbers."""
        return {"true": self.label, "said": self.said, "probabilities": list(self.probabilities)}


def verdict_of(digit: Digit, network: nn.Module) -> Verdict:
    """Return what a network says of a digit."""
    with torch.no_grad():
        scores: Tensor = network(digit.network_input)
    return Verdict(digit.label, tuple(probabilities_of(scores.float())[0].tolist()))


def chosen_digit(context: Context, images: str, controls: Controls) -> int:
    """Return which digit of a split is chosen."""
    total = len(context.split(images))
    control = replace(counting("digit", "digit", total), low=0.0, high=float(total - 1))
    return controls.whole(control)


def is_sealed(context: Context, images: str) -> bool:
    """Whether these images are not to be shown: the test set before it was opened."""
    return images == TEST and TEST not in context.predictions.judged
