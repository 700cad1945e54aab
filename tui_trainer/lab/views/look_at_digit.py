"""What is shown of where a network looked: one digit, maps of its pixels, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tui_trainer.lab.context import Context, Digit
from tui_trainer.lab.drawing import WIDEST, digit_picture, map_picture, shrunk
from tui_trainer.lab.views.verdict import Verdict
from tui_trainer.protocol.exhibit import Block, Exhibit, Opening, Picture, Pictures, Words
from tui_trainer.text.fmt import count

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
class Look:
    """A digit that is looked at.

    Attributes:
        context: What the view works with.
        digit: The digit.
        verdict: What the network says of it.
        images: Whose images it is one of.
        method: By which method.
    """

    context: Context
    digit: Digit
    verdict: Verdict
    images: str
    method: str

    @property
    def rivals(self) -> tuple[int, int]:
        """The two classes that are looked at: the said one, and the true one or the next."""
        said, label = self.verdict.said, self.verdict.label
        return said, label if said != label else self.verdict.order[1]

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
            result: What came out; the verdict alone if empty.
            figures: The same as plain numbers, beside the verdict.
            progress: The share of the work that is done; None where all is.
            on: What it rests on, beside the one image.
        """
        about = Words(text=ABOUT[self.method], tone="muted")
        bars = () if self.verdict.is_lost else (self.verdict.bars(BARS),)
        return Exhibit(
            blocks=(Pictures(caption="", items=pictures), *notes, *bars, about),
            result=result or self.verdict.sentence,
            certainty=f"One {self.images} image after step {count(self.context.step)}"
            + (f": {on}." if on else "."),
            opens=Opening(
                view="maps",
                choices=(("images", self.images), ("digit", float(self.digit.number))),
                hint="its way through the layers",
            ),
            progress=progress,
            figures={
                "digit": self.digit.number,
                **self.verdict.figures,
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
