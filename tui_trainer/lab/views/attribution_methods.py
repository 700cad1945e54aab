"""How much each pixel of an image counts for a score: four methods, none of them the truth.

All of them take a network in evaluation mode and an image as the network gets it (1, C, H, W), and
give a map (H, W) on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.engine.evaluation import probabilities_of

PATH_STEPS = 32
"""Points on the way from black to the image at which integrated gradients look."""


def gradient(model: nn.Module, image: Tensor, class_: int) -> Tensor | None:
    """Return ∂score/∂pixel; None where no gradient gets from the score to the image.

    Its absolute value is the saliency map: which pixels need to be changed the least to change the
    score the most. It is a slope at this image and says nothing of what a larger change does.

    Source: K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks: visualising
    image classification models and saliency maps" (2014), arXiv:1312.6034.
    """
    found = _gradients(model, image, class_)
    return None if found is None else found[0].sum(dim=0).cpu()


def gradient_times_pixel(
    model: nn.Module, image: Tensor, black: float, class_: int
) -> Tensor | None:
    """Return (pixel − black) · ∂score/∂pixel: a first guess at what is lost if a pixel is black.

    Source: A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje, "Not just a black box: learning
    important features through propagating activation differences" (2016), arXiv:1605.01713.
    """
    found = _gradients(model, image, class_)
    return None if found is None else ((image - black) * found)[0].sum(dim=0).cpu()


def integrated_gradients(
    model: nn.Module, image: Tensor, black: float, class_: int, *, part: int = PATH_STEPS
) -> Generator[None, None, Tensor | None]:
    """Return integrated gradients, (pixel − black) times the mean gradient from black to the image.

    The mean is taken by the midpoint rule at :data:`PATH_STEPS` points of the straight way. The
    map adds up to the score of the image less that of a black one, but for that rule's error.

    Source: M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017.

    Args:
        model: The network.
        image: The image.
        black: What a black pixel is to the network.
        class_: Whose score it is.
        part: Points that are looked at before it breathes.
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
    """Return the gradient of each image's own score by it."""
    with torch.enable_grad():
        images = images.detach().clone().requires_grad_(True)
        logits = model(images)
        if not logits.requires_grad:
            return None
        # Images do not mix in evaluation mode: the sum's gradient is each one's own.
        (found,) = torch.autograd.grad(logits[:, class_].sum(), images, allow_unused=True)
    return None if found is None else found.detach()


@dataclass(frozen=True, slots=True)
class Occluded:
    """What covering a digit does, place by place, as far as it was tried.

    Attributes:
        patch: Side of the patch in pixels.
        stride: Pixels from one place to the next.
        corners: Where it lay: top and left of each place (places, 2).
        whole: The probabilities of the uncovered image (classes).
        covered: The probabilities at each place (places, classes); fewer while work goes on.
        side: Of the image, in pixels.
    """

    patch: int
    stride: int
    corners: tuple[tuple[int, int], ...]
    whole: Tensor
    covered: Tensor
    side: int

    @property
    def share(self) -> float:
        """The share of the places that were tried."""
        return len(self.covered) / len(self.corners)

    def loss(self, class_: int) -> Tensor:
        """Return, for each pixel, by how much the probability of a class falls if it is covered.

        It is the mean over all patches that cover the pixel; 0 where none was tried yet.
        """
        falls = torch.zeros(len(self.corners))
        falls[: len(self.covered)] = self.whole[class_] - self.covered[:, class_]
        tried = torch.zeros(len(self.corners))
        tried[: len(self.covered)] = 1.0
        total, times = self._spread(falls), self._spread(tried)
        return total / times.clamp(min=1)

    def _spread(self, values: Tensor) -> Tensor:
        """Return, for each pixel, the sum of a number of each place over the patches on it."""
        across = isqrt(len(values))
        ones = torch.ones(1, 1, self.patch, self.patch)
        spread = functional.conv_transpose2d(
            values.view(1, 1, across, across), ones, stride=self.stride
        )
        return spread[0, 0, : self.side, : self.side]

    def worst(self, class_: int) -> int:
        """Return the place where a class loses most."""
        return int(self.covered[:, class_].argmin())


def occlusion(
    model: nn.Module,
    image: Tensor,
    black: float,
    *,
    patch: int,
    stride: int,
    part: int,
    probabilities: Callable[[Tensor], Tensor] = probabilities_of,
) -> Generator[Occluded, None, None]:
    """Cover an image with a black patch at one place after another; yield what is known so far.

    The patch is as black as the background: what is covered is as if it had not been written. At
    the right and the lower edge it may hang over.

    Source: M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV
    2014, with the image's own black in place of their grey.

    Args:
        model: The network.
        image: The image, square.
        black: What a black pixel is to the network.
        patch: Side of the patch in pixels.
        stride: Pixels from one place to the next.
        part: Places that are tried before it yields.
        probabilities: Turns scores (N, classes) into what is told.
    """
    side = image.shape[-1]
    patch = min(patch, side)
    ends = range(0, -(-(side - patch) // stride) * stride + 1, stride)
    corners = tuple((top, left) for top in ends for left in ends)
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
        yield Occluded(patch, stride, corners, whole, torch.cat(covered), side)
