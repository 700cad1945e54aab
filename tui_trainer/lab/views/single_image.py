"""One image: its prediction, and the exhibit of its attribution maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tui_trainer.lab.context import Context, Digit
from tui_trainer.lab.controls import Controls, link_to
from tui_trainer.lab.drawing import WIDEST, digit_picture, map_picture, probability_bars, shrunk
from tui_trainer.lab.predictions import TEST
from tui_trainer.models.tensors import probabilities_of
from tui_trainer.protocol.class_names import class_name, full_name
from tui_trainer.protocol.exhibit import Bars, Block, Exhibit, Picture, Pictures, Words, counting
from tui_trainer.text.fmt import count, percent

OCCLUSION, SALIENCY, INPUT_X_GRADIENT, INTEGRATED, GRAD_CAM = (
    "occlusion",
    "saliency",
    "input × gradient",
    "integrated gradients",
    "Grad-CAM",
)
ABOUT: Mapping[str, str] = {
    OCCLUSION: "Positive: occluding this region with {occluder} lowers the probability of the "
    "class; negative: it raises it. Each value is the mean over the patches that cover the pixel.",
    SALIENCY: "The saliency map |∂logit/∂pixel|: how fast the logit changes with each pixel at "
    "this image. It is a local slope and says little about larger changes.",
    INPUT_X_GRADIENT: "Input × gradient: a first-order estimate of what each pixel contributes to "
    "the logit. Black pixels always get 0, although a gap may well matter.",
    INTEGRATED: "Integrated gradients from a black baseline: the values add up to logit(image) − "
    "logit(baseline). Black pixels always get 0.",
    GRAD_CAM: "Grad-CAM: the feature maps of the layer, each weighted by the mean gradient of the "
    "logit; a negative sum counts as 0 (ReLU). It is as coarse as the layer: finer detail comes "
    "from the interpolation.",
}
BARS = 5
"""Classes with a probability bar."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a model for one image.

    Attributes:
        label: The true class.
        probabilities: The probability of each class.
        class_names: The names of all classes, if they have any.
    """

    label: int
    probabilities: tuple[float, ...]
    class_names: tuple[str, ...] = ()

    def name(self, class_: int) -> str:
        """Return how a class is called."""
        return class_name(self.class_names, class_)

    @property
    def order(self) -> list[int]:
        """The classes by falling probability."""
        places = range(len(self.probabilities))
        return sorted(places, key=lambda place: -self.probabilities[place])

    @property
    def predicted(self) -> int:
        """The predicted class: the most probable one."""
        return self.order[0]

    @property
    def is_nonfinite(self) -> bool:
        """Whether the probabilities are NaN."""
        return any(share != share for share in self.probabilities)

    @property
    def sentence(self) -> str:
        """The prediction in a sentence, with the true class if it differs."""
        if self.is_nonfinite:
            return "The logits are not finite: the run diverged."
        share = percent(self.probabilities[self.predicted], 1)
        text = f"Predicted {self.name(self.predicted)} ({share})"
        if self.predicted == self.label:
            return f"{text}: correct."
        share = percent(self.probabilities[self.label], 1)
        return f"{text}; true class {self.name(self.label)} ({share})."

    def bars(self, most: int) -> Bars:
        """Return the most probable classes as bars, the true one marked and always included."""
        shown = self.order[:most]
        if self.label not in shown:
            shown[-1] = self.label
        return probability_bars(
            "class probabilities", self.probabilities, shown, self.label, self.class_names
        )

    @property
    def figures(self) -> Mapping[str, object]:
        """The prediction as plain numbers."""
        labels = {"true": self.label, "predicted": self.predicted}
        names = self.class_names
        return {
            **labels,
            **{f"{key}_name": full_name(names, label) for key, label in labels.items() if names},
            "probabilities": list(self.probabilities),
        }


def prediction_of(context: Context, digit: Digit, model: nn.Module) -> Prediction:
    """Return the prediction of a model for one image."""
    with torch.no_grad():
        logits: Tensor = model(digit.model_input)
    probabilities = tuple(probabilities_of(logits.float())[0].tolist())
    return Prediction(digit.label, probabilities, context.data.class_names)


def chosen_digit(context: Context, images: str, controls: Controls) -> int:
    """Return the index of the selected image of a split."""
    total = len(context.split(images))
    control = replace(counting("digit", "digit", total), low=0.0, high=float(total - 1))
    return controls.whole(control)


def is_sealed(context: Context, images: str) -> bool:
    """Whether these images must not be shown: the test set before its first evaluation."""
    return images == TEST and TEST not in context.prediction_store.by_split


@dataclass(frozen=True, slots=True)
class AttributedImage:
    """An image whose prediction is attributed to its pixels.

    Attributes:
        context: The context of the view.
        digit: The image.
        prediction: Its prediction.
        images: The split of the image.
        method: The attribution method.
    """

    context: Context
    digit: Digit
    prediction: Prediction
    images: str
    method: str

    @property
    def rivals(self) -> tuple[int, int]:
        """The attributed classes: the predicted one, and the true one or the second best."""
        predicted, label = self.prediction.predicted, self.prediction.label
        return predicted, label if predicted != label else self.prediction.order[1]

    def picture(self, frame: tuple[int, int, int, int] | None = None) -> Picture:
        """Return the image; the frame (top, left, height, width) is drawn unless it is shrunk."""
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
        """Return the exhibit.

        Args:
            pictures: The image and its maps.
            notes: Blocks below the pictures.
            result: The result; the prediction alone if empty.
            figures: The result as plain numbers, in addition to the prediction.
            progress: The share of the work that is done; None if all is.
            on: What the result is computed from, in addition to the image.
        """
        what = "the mean color" if has_color(self.context) else "black"
        about = Words(text=ABOUT[self.method].format(occluder=what), tone="muted")
        bars = () if self.prediction.is_nonfinite else (self.prediction.bars(BARS),)
        return Exhibit(
            blocks=(Pictures(caption="", items=pictures), *notes, *bars, about),
            result=result or self.prediction.sentence,
            evidence=f"One {self.images} image, step {count(self.context.step)}"
            + (f": {on}." if on else "."),
            opens=link_to(
                "maps",
                "its feature maps, layer by layer",
                images=self.images,
                digit=self.digit.number,
            ),
            progress=progress,
            figures={
                "digit": self.digit.number,
                **self.prediction.figures,
                "method": self.method,
                **(figures or {}),
            },
        )


def has_color(context: Context) -> bool:
    """Whether the images are of a dataset in color, not the recorded inputs of a script."""
    return context.data.channels == 3


def occluder(context: Context) -> Tensor:
    """Return the values (channels, 1, 1) of an occluded pixel after normalization.

    Grays get black, as if the stroke had not been written. A photograph has black objects, so it
    gets the mean color of the training images: 0.
    """
    black = context.data.black
    return torch.zeros_like(black) if has_color(context) else black


def where(digit: Digit, values: Tensor, what: str) -> str:
    """Return where the values of a map (H, W), at least 0, are: on the ink, or on few pixels."""
    total = float(values.sum())
    if digit.pixels.ndim == 3:
        falling = values.flatten().sort(descending=True).values.cumsum(0)
        pixels = int((falling < total / 2).sum()) + 1
        share = pixels / values.numel()
        rounded = percent(share, 0 if share >= 0.1 else 1)
        return f"Half of the {what} is on {rounded} of the pixels."
    ink = digit.pixels.cpu() > 0
    share, area = float(values[ink].sum()) / total, float(ink.float().mean())
    return f"{percent(share, 0)} of the {what} is on the ink, {percent(area, 0)} of the pixels."


def picture_of(values: Tensor, caption: str, bound: float, *, is_signed: bool = True) -> Picture:
    """Return a map (H, W) as a picture, colors from -bound (or 0 if unsigned) to bound."""
    drawn = shrunk(values)
    if is_signed:
        return map_picture(drawn, caption, bound=bound or 1.0)
    return map_picture(drawn, caption, low=0.0, high=bound or 1.0)
