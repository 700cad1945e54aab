"""The layer table: what each layer of a network makes of an image, and what it costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.run.events import LayerRow

_KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "batch norm",
    nn.ReLU: "relu",
    nn.Dropout: "dropout",
    nn.MaxPool2d: "max pool",
    nn.AvgPool2d: "average pool",
    nn.AdaptiveAvgPool2d: "average pool",
    nn.Linear: "fully connected",
    nn.Flatten: "flatten",
}


def layer_table(network: nn.Module, image_size: int) -> tuple[LayerRow, ...]:
    """Run the network once on an empty image and tell of every layer that was called.

    The network must lie on the CPU. It is run in evaluation mode, so that neither its running
    statistics nor the random generators move, and is left in the mode it was in.

    Args:
        network: Maps (1, 1, image_size, image_size) to scores (1, classes).
        image_size: Side of the square image, in pixels.

    Returns:
        The input, then a row a layer without children, in calling order; shapes are height, width,
        channels, with 1, 1, n for a flat output.
    """
    rows = [
        LayerRow(
            name="input",
            kind="input",
            kernel="",
            output_shape=(image_size, image_size, 1),
            parameters=0,
        )
    ]

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        rows.append(
            LayerRow(
                name=name,
                kind=_kind(module),
                kernel=_kernel(module),
                output_shape=_shape(output),
                parameters=sum(p.numel() for p in module.parameters()),
            )
        )

    hooks = []
    for name, module in network.named_modules():
        if not any(module.children()):

            def hook(module: nn.Module, _: Any, output: Tensor, name: str = name) -> None:
                note(name, module, output)

            hooks.append(module.register_forward_hook(hook))
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 1, image_size, image_size))
    finally:
        network.train(was_training)
        for handle in hooks:
            handle.remove()
    return tuple(rows)


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
        return "depthwise"
    return _KINDS.get(type(module), type(module).__name__)


def _kernel(module: nn.Module) -> str:
    size = getattr(module, "kernel_size", None)
    if size is None:
        return ""
    height, width = size if isinstance(size, tuple) else (size, size)
    stride = module.stride[0] if isinstance(module.stride, tuple) else module.stride
    # A pool's stride is its kernel unless said otherwise: only the unusual is worth a mark.
    usual = 1 if isinstance(module, nn.Conv2d) else height
    return f"{height}×{width}" + (f" /{stride}" if stride != usual else "")


def _shape(output: Tensor) -> tuple[int, int, int]:
    if output.dim() == 4:
        _, channels, height, width = output.shape
        return int(height), int(width), int(channels)
    return 1, 1, int(output.shape[-1])
