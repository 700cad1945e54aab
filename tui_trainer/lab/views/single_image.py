"""One digit: what the network says of it, and what is shown of where it looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tui_trainer.engine.evaluation import probabilities_of
from tui_trainer.lab.context import Context, Digit
from tui_trainer.lab.controls import Controls, link_to
from tui_trainer.lab.drawing import WIDEST, digit_picture, map_picture, probability_bars, shrunk
from tui_trainer.lab.predictions import TEST
from tui_trainer.protocol.exhibit import Bars, Block, Exhibit, Picture, Pictures, Words, counting
from tui_trainer.text.fmt import count, percent

OCCLUSION, GRADIENT, TIMES_PIXEL, INTEGRATED = (
    "occlusion",
    "gradient",
    "gradient × pixel",
    "integrated",
)
ABOUT: Mapping[str, str] = {
    OCCLUSION: "Above 0: covering this place with black takes probability from the class, below "
    "0: it gives it some. A place is what is covered, not one pixel alone.",
    GRADIENT: "How fast the score changes with each pixel, up or down, at this very image: a "
    "slope, which says little of a larger change.",
    TIMES_PIXEL: "The slope times how bright the pixel is: a guess at what the ink there brings "
    "the score. Black pixels cannot count, though a gap may well matter.",
    INTEGRATED: "What the ink of each pixel brings the score on the way from black to this digit; "
    "together it is the score's whole difference. Black pixels cannot count.",
}
BARS = 5
"""Classes whose probabilities are told."""


@dataclass(frozen=True, slots=True)
class Prediction:
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
    def predicted(self) -> int:
        """The most probable class."""
        return self.order[0]

    @property
    def is_nonfinite(self) -> bool:
        """Whether they are no numbers."""
        return any(share != share for share in self.probabilities)

    @property
    def sentence(self) -> str:
        """What it says, and whether that is right."""
        if self.is_nonfinite:
            return "Its scores are no numbers any more: the run diverged."
        told = f"It says {self.predicted} ({percent(self.probabilities[self.predicted], 1)})"
        if self.predicted == self.label:
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
        return {
            "true": self.label,
            "predicted": self.predicted,
            "probabilities": list(self.probabilities),
        }


def prediction_of(digit: Digit, model: nn.Module) -> Prediction:
    """Return what a network says of a digit."""
    with torch.no_grad():
        logits: Tensor = model(digit.model_input)
    return Prediction(digit.label, tuple(probabilities_of(logits.float())[0].tolist()))


def chosen_digit(context: Context, images: str, controls: Controls) -> int:
    """Return which digit of a split is chosen."""
    total = len(context.split(images))
    control = replace(counting("digit", "digit", total), low=0.0, high=float(total - 1))
    return controls.whole(control)


def is_sealed(context: Context, images: str) -> bool:
    """Whether these images are not to be shown: the test set before it was opened."""
    return images == TEST and TEST not in context.prediction_store.by_split


@dataclass(frozen=True, slots=True)
class AttributedImage:
    """A digit that is looked at.

    Attributes:
        context: What the view works with.
        digit: The digit.
        prediction: What the network says of it.
        images: Whose images it is one of.
        method: By which method.
    """

    context: Context
    digit: Digit
    prediction: Prediction
    images: str
    method: str

    @property
    def rivals(self) -> tuple[int, int]:
        """The two classes that are looked at: the said one, and the true one or the next."""
        predicted, label = self.prediction.predicted, self.prediction.label
        return predicted, label if predicted != label else self.prediction.order[1]

    def picture(self, frame: tuple[int, int, int, int] | None = None) -> Picture:
        """Return the digit; the frame (top, left, height, width) where it is drawn whole."""
        return digit_picture(self.digit, frame=frame, most=WIDEST)

    def exhibit(
        self,
        pictures: tuple[Picture, ...],
        notes: tuple[Block, ...] = (),
        *,
        result: str = "",
        figures: Mapping[str, object] | None = None,
        progress: float | None = None,
        on: str = "",
    ) -> Exhibit:
        """Return what is shown.

        Args:
            pictures: The digit and its maps.
            notes: What is said below them.
            result: What came out; the prediction alone if empty.
            figures: The same as plain numbers, beside the prediction.
            progress: The share of the work that is done; None where all is.
            on: What it rests on, beside the one image.
        """
        about = Words(text=ABOUT[self.method], tone="muted")
        bars = () if self.prediction.is_nonfinite else (self.prediction.bars(BARS),)
        return Exhibit(
            blocks=(Pictures(caption="", items=pictures), *notes, *bars, about),
            result=result or self.prediction.sentence,
            certainty=f"One {self.images} image after step {count(self.context.step)}"
            + (f": {on}." if on else "."),
            opens=link_to(
                "maps", "its way through the layers", images=self.images, digit=self.digit.number
            ),
            progress=progress,
            figures={
                "digit": self.digit.number,
                **self.prediction.figures,
                "method": self.method,
                **(figures or {}),
            },
        )


def picture_of(values: Tensor, caption: str, bound: float, *, is_signed: bool = True) -> Picture:
    """Return a map of the digit's pixels (H, W), its colours from -bound or 0 to bound."""
    drawn = shrunk(values)
    if is_signed:
        return map_picture(drawn, caption, bound=bound or 1.0)
    return map_picture(drawn, caption, low=0.0, high=bound or 1.0)
