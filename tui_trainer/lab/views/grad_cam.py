"""Grad-CAM: where in the image the feature maps of a layer raise the logit of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional

from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.lab.layer_maps import is_convolution
from tui_trainer.lab.views.layer_units import output_place
from tui_trainer.models.tensors import is_trainable, logits_of
from tui_trainer.protocol.layers import COMPANIONS, NO_LAYERS, LayerRow

NO_MAPS = ("input", "pad", *NO_LAYERS, *COMPANIONS)
"""Kinds of rows that are no layer to choose; companions belong to the layer before them."""


@dataclass(frozen=True, slots=True)
class GradCam:
    """The Grad-CAM map of a class.

    Attributes:
        values: The map (h, w) at the resolution of the layer, at least 0, on the CPU.
        weights: The weight of each feature map (channels).
        kept: The share of the squared norm of the gradient that is left after averaging it over
            the positions: 1 if only global average pooling and a fully connected layer follow, as
            the method assumes; NaN without a gradient.
    """

    values: Tensor
    weights: Tensor
    kept: float

    def enlarged(self, size: Sequence[int]) -> Tensor:
        """Return the map interpolated bilinearly to an image of this height and width."""
        height, width = size
        return functional.interpolate(
            self.values[None, None], (height, width), mode="bilinear", align_corners=False
        )[0, 0]


def layers_with_maps(rows: Sequence[LayerRow]) -> list[str]:
    """Return the names of the layers with maps larger than 1×1; none without a convolution."""
    if not any(map(is_convolution, rows)):
        return []
    found = (r.name for r in rows if r.kind not in NO_MAPS and r.output_shape[:2] != (1, 1))
    return list(dict.fromkeys(found))


def last_convolution(rows: Sequence[LayerRow]) -> str:
    """Return the name of the last convolution with a map larger than 1×1.

    Raises:
        ValueError: If there is none.
    """
    names = [row.name for row in rows if is_convolution(row)]
    if not names:
        raise ValueError("no convolution has a map larger than 1×1")
    return names[-1]


def place_of(rows: tuple[LayerRow, ...], name: str) -> int:
    """Return the place of a layer's output, after its batch norm, activation and dropout."""
    return output_place(rows, next(at for at, row in enumerate(rows) if row.name == name))


def grad_cam(
    model: nn.Module, place: int, image: Tensor, classes: Sequence[int]
) -> dict[int, GradCam] | None:
    """Return the Grad-CAM map of each class at a layer.

    With the feature maps A^k (h, w) of the layer and the logit y^c of the class::

        α_k^c = 1 / (h·w) · Σ_ij ∂y^c / ∂A^k_ij        L^c = ReLU(Σ_k α_k^c · A^k)

    The model runs once, in evaluation mode; its state, its random numbers and the ``grad`` of its
    parameters are left unchanged. An in-place operation after the layer changes neither the maps,
    which are copied, nor the gradient, which is taken at the layer's own node of the graph.

    Source: R. R. Selvaraju, M. Cogswell, A. Das, R. Vedantam, D. Parikh, D. Batra, "Grad-CAM:
    visual explanations from deep networks via gradient-based localization", ICCV 2017,
    arXiv:1610.02391, equations 1 and 2.

    Args:
        model: The model; a copy, because it is hooked.
        place: The place of the maps in the layer table.
        image: The model input (1, channels, H, W).
        classes: The classes.

    Returns:
        The maps by class; None if the layer is not reached, or no gradient flows to it.
    """
    found = _grad_cam(model, place, image, classes)
    if found:
        return found
    # Where the model detaches its input, only the weights of the layer can carry a gradient.
    frozen = [p for p in model.parameters() if is_trainable(p) and not p.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        return _grad_cam(model, place, image, classes) or None
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _grad_cam(
    model: nn.Module, place: int, image: Tensor, classes: Sequence[int]
) -> dict[int, GradCam]:
    """Return the maps of one forward; none if no gradient flows to the layer."""
    read: list[tuple[Tensor, GradientEdge]] = []
    found: dict[int, GradCam] = {}

    def reached(at: int, step: Step, result: Tensor) -> None:
        if at == place and result.ndim == 4 and result.requires_grad:
            read[:] = [(result.detach().clone(), get_gradient_edge(result))]

    def finished(output: Any) -> None:
        # Here, because the model's state is restored afterwards, which backward would refuse.
        logits = logits_of(output)
        if not read or logits is None or not logits.requires_grad:
            return
        maps, edge = read[0]
        for class_ in classes:
            (slope,) = torch.autograd.grad(
                logits[0, class_], edge, retain_graph=True, allow_unused=True
            )
            if slope is None:
                found.clear()
                return
            found[class_] = _map_of(maps[0].float(), slope[0].float())

    with torch.enable_grad():
        trace(
            model, image.detach().clone().requires_grad_(True), reached=reached, finished=finished
        )
    return found


def _map_of(maps: Tensor, slopes: Tensor) -> GradCam:
    """Return the map from feature maps and their gradient, both (channels, h, w)."""
    weights = slopes.mean(dim=(1, 2))
    values = (weights[:, None, None] * maps).sum(dim=0).relu()
    total = float(slopes.double().square().sum())
    left = float(weights.double().square().sum()) * slopes[0].numel()
    # Rounded: 1 must not become 0.99999 by the rounding of the sums.
    kept = min(1.0, round(left / total, 5)) if total > 0 else float("nan")
    return GradCam(values.cpu(), weights.cpu(), kept)
