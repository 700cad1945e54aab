"""Attribution methods: how much each pixel of an image contributes to a logit.

All of them take a model in evaluation mode and a model input (1, C, H, W), and return a map (H, W)
on the CPU. They answer different questions; none of them is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.models.tensors import probabilities_of

PATH_STEPS = 32
"""Steps of integrated gradients on the straight line from black to the image."""


def gradient(model: nn.Module, image: Tensor, class_: int) -> Tensor | None:
    """Return ∂logit/∂pixel; None if no gradient flows from the logit to the image.

    Its absolute value is the saliency map. It is a local slope at this image, and says nothing
    about larger changes.

    Source: K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks: visualising
    image classification models and saliency maps" (2014), arXiv:1312.6034.
    """
    found = _gradients(model, image, class_)
    return None if found is None else found[0].sum(dim=0).cpu()


def input_x_gradient(
    model: nn.Module, image: Tensor, black: Tensor | float, class_: int
) -> Tensor | None:
    """Return input × gradient, (pixel − black) · ∂logit/∂pixel.

    It is a first-order estimate of how much the logit falls if the pixel becomes black.

    Source: A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje, "Not just a black box: learning
    important features through propagating activation differences" (2016), arXiv:1605.01713.
    """
    found = _gradients(model, image, class_)
    return None if found is None else ((image - black) * found)[0].sum(dim=0).cpu()


def integrated_gradients(
    model: nn.Module, image: Tensor, black: Tensor | float, class_: int, *, part: int = PATH_STEPS
) -> Generator[None, None, Tensor | None]:
    """Return integrated gradients: (pixel − black) times the mean gradient from black to the image.

    The mean uses the midpoint rule with :data:`PATH_STEPS` points on the straight line; the
    baseline is a black image. Up to the error of that rule, the map sums to
    logit(image) − logit(baseline) (completeness).

    Source: M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017.

    Args:
        model: The model.
        image: The model input.
        black: The values (channels, 1, 1) of a black pixel after normalization.
        class_: The class of the logit.
        part: Points per slice; the generator yields after each slice.
    """
    shares = (torch.arange(PATH_STEPS, device=image.device) + 0.5) / PATH_STEPS
    total = torch.zeros_like(image)
    for start in range(0, PATH_STEPS, part):
        share = shares[start : start + part, None, None, None]
        found = _gradients(model, black + share * (image - black), class_)
        if found is None:
            return None
        total += found.sum(dim=0, keepdim=True)
        yield
    return ((image - black) * total / PATH_STEPS)[0].sum(dim=0).cpu()


def _gradients(model: nn.Module, images: Tensor, class_: int) -> Tensor | None:
    """Return the gradient of each image's logit with respect to that image."""
    with torch.enable_grad():
        images = images.detach().clone().requires_grad_(True)
        logits = model(images)
        if not logits.requires_grad:
            return None
        # Images do not mix in evaluation mode, so one backward pass of the sum gives each gradient.
        (found,) = torch.autograd.grad(logits[:, class_].sum(), images, allow_unused=True)
    return None if found is None else found.detach()


@dataclass(frozen=True, slots=True)
class Occluded:
    """The occlusion results so far.

    Attributes:
        patch: Side of the patch in pixels.
        stride: Pixels from one position to the next.
        corners: Top and left of each position (positions, 2).
        whole: The probabilities of the unoccluded image (classes).
        covered: The probabilities at each finished position (positions so far, classes).
        size: Height and width of the image in pixels.
    """

    patch: int
    stride: int
    corners: tuple[tuple[int, int], ...]
    whole: Tensor
    covered: Tensor
    size: tuple[int, int]

    @property
    def share(self) -> float:
        """The share of the positions that are done."""
        return len(self.covered) / len(self.corners)

    def drop(self, class_: int) -> Tensor:
        """Return, for each pixel, the mean drop in probability over the patches that cover it.

        It is 0 where no patch is done yet.
        """
        falls = torch.zeros(len(self.corners))
        falls[: len(self.covered)] = self.whole[class_] - self.covered[:, class_]
        tried = torch.zeros(len(self.corners))
        tried[: len(self.covered)] = 1.0
        total, times = self._spread(falls), self._spread(tried)
        return total / times.clamp(min=1)

    def _spread(self, values: Tensor) -> Tensor:
        """Return, for each pixel, the sum of the values of the patches that cover it."""
        down = len({top for top, _ in self.corners})
        ones = torch.ones(1, 1, self.patch, self.patch)
        spread = functional.conv_transpose2d(values.view(1, 1, down, -1), ones, stride=self.stride)
        return spread[0, 0, : self.size[0], : self.size[1]]

    def worst(self, class_: int) -> int:
        """Return the position with the largest drop in the probability of a class."""
        return int(self.covered[:, class_].argmin())


def occlusion(
    model: nn.Module,
    image: Tensor,
    black: Tensor | float,
    *,
    patch: int,
    stride: int,
    part: int,
    probabilities: Callable[[Tensor], Tensor] = probabilities_of,
) -> Generator[Occluded, None, None]:
    """Occlude an image with a black patch at one position after another; yield the results so far.

    The patch has the value of the background, as if the stroke under it had not been written. At
    the right and the lower edge it may extend beyond the image.

    Source: M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV
    2014, with black in place of their gray.

    Args:
        model: The model.
        image: The model input.
        black: The values (channels, 1, 1) of a black pixel after normalization.
        patch: Side of the patch in pixels.
        stride: Pixels from one position to the next.
        part: Positions per slice.
        probabilities: Turns logits (N, classes) into probabilities.
    """
    height, width = image.shape[-2:]
    patch = min(patch, height, width)
    tops, lefts = (
        range(0, -(-(side - patch) // stride) * stride + 1, stride) for side in (height, width)
    )
    corners = tuple((top, left) for top in tops for left in lefts)
    with torch.no_grad():
        whole = probabilities(model(image))[0].float().cpu()
    covered: list[Tensor] = []
    for start in range(0, len(corners), part):
        here = corners[start : start + part]
        images = image.repeat(len(here), 1, 1, 1)
        for place, (top, left) in enumerate(here):
            images[place, :, top : top + patch, left : left + patch] = black
        with torch.no_grad():
            covered.append(probabilities(model(images)).float().cpu())
        yield Occluded(patch, stride, corners, whole, torch.cat(covered), (height, width))
