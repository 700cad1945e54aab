"""The kinds of layers that a requirement can name: ``--has batch-norm --no linear``."""

from __future__ import annotations

COMPONENTS = {
    "batch-norm": "batch normalization",
    "layer-norm": "layer normalization, also as group normalization with one group",
    "group-norm": "group normalization with two groups or more",
    "instance-norm": "instance normalization",
    "dropout": "dropout above 0 in training mode",
    "gap": "global average pooling that every path from the image to the logits takes",
    "max-pool": "max pooling",
    "average-pool": "average pooling of less than the whole map",
    "linear": "a fully connected layer, or another product with a weight matrix",
    "1x1": "a 1×1 convolution",
    "depthwise": "a depthwise convolution",
    "dilated": "a convolution with dilation above 1",
    "strided": "a convolution with a stride above 1",
    "residual": "an addition of two feature maps, as of a shortcut",
    "concatenate": "a concatenation of feature maps",
    "attention": "scaled dot-product attention",
    "softmax": "softmax or log-softmax",
}
"""Each kind with what counts as one. Only a layer on a path from the image to the logits counts."""
