"""For each rule of the review, a good model and a bad one that differs in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tests.anatomy.review.networks import drop, move, put, sound, swap, width


@dataclass(frozen=True, slots=True)
class Twins:
    """Two models for a rule: it accepts one and rejects the other.

    Attributes:
        rule: The rule.
        what: The difference of the bad one from the good one.
        good: Builds the one.
        bad: Builds the other.
        verdict: The severity of the rule's verdict on the bad one.
        layers: The layers that the verdict names.
        also: The other rules that inevitably reject the bad one.
    """

    rule: str
    what: str
    good: Callable[[], nn.Module]
    bad: Callable[[], nn.Module]
    verdict: str
    layers: tuple[str, ...]
    also: frozenset[str] = frozenset()


class Scaled(nn.Module):
    """The sound model, with an optional scale for each logit."""

    def __init__(self, *, uses: bool) -> None:
        super().__init__()
        self.body = sound()
        self.scale = nn.Parameter(torch.ones(10))
        self.uses = uses

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images)
        return logits * self.scale if self.uses else logits


class Gated(nn.Module):
    """The sound model and a layer that reads a softmax, or features that it weights."""

    def __init__(self, *, gates: bool) -> None:
        super().__init__()
        self.body, self.last = sound(), nn.Linear(10, 10)
        self.gates = gates

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        weights = torch.softmax(features, 1)
        logits: Tensor = self.last(features * weights if self.gates else weights)
        return logits


def _pointwise(inputs: int, outputs: int, *, padding: int = 0) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, padding=padding, bias=False)


def _connected(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: sound(
        drop("logits"),
        *(put(f"end{i}", layer, after="output") for i, layer in reversed([*enumerate(layers)])),
    )


_FULL = sound
_NORMS = [f"{name}_norm" for name in ("conv1", "conv2", "shrink1", "conv3", "conv4", "shrink2")]
_NORMS += ["conv5_norm", "conv6_norm"]

TWINS: tuple[Twins, ...] = (
    Twins(
        "final-receptive-field",
        "two convolutions less",
        _FULL,
        lambda: sound(
            drop("conv5", "conv5_norm", "conv5_relu", "conv6", "conv6_norm", "conv6_relu"),
            swap(logits=nn.Conv2d(8, 10, 1)),
        ),
        "warning",
        ("logits",),
        frozenset({"max-pool-distance"}),
    ),
    Twins(
        "final-receptive-field",
        "one convolution less",
        _FULL,
        lambda: sound(drop("conv6", "conv6_norm", "conv6_relu"), swap(logits=nn.Conv2d(16, 10, 1))),
        "note",
        ("logits",),
    ),
    Twins(
        "first-pooling",
        "a pool after the first convolution",
        _FULL,
        lambda: sound(move("pool1", after="conv1_relu")),
        "note",
        ("pool1",),
        frozenset({"transition-position"}),
    ),
    Twins(
        "first-pooling",
        "a pool before the first convolution",
        _FULL,
        lambda: sound(move("pool1", after=None)),
        "warning",
        ("pool1",),
        frozenset({"transition-position", "late-convolution"}),
    ),
    Twins(
        "max-pool-distance",
        "the second pool right before the logits",
        _FULL,
        lambda: sound(move("pool2", after="conv6_relu")),
        "note",
        ("pool2",),
        frozenset({"final-receptive-field", "transition-position"}),
    ),
    Twins(
        "max-pool-distance",
        "the maximum of the logits instead of their mean",
        _FULL,
        lambda: sound(swap(average=nn.AdaptiveMaxPool2d(1))),
        "note",
        ("average",),
    ),
    Twins(
        "norm-distance",
        "batch norm of the logits",
        _FULL,
        lambda: sound(
            swap(logits=_pointwise(20, 10)), put("last_norm", nn.BatchNorm2d(10), after="logits")
        ),
        "note",
        ("last_norm",),
    ),
    Twins(
        "activation-before-logits",
        "a ReLU on the logits",
        _FULL,
        lambda: sound(put("last_relu", nn.ReLU(), after="logits")),
        "error",
        ("last_relu",),
    ),
    Twins(
        "activation-before-logits",
        "a leaky ReLU on the logits",
        _FULL,
        lambda: sound(put("last_leaky", nn.LeakyReLU(), after="logits")),
        "note",
        ("last_leaky",),
    ),
    Twins(
        "activation-before-logits",
        "a sigmoid on the mean logits",
        _FULL,
        lambda: sound(put("last_sigmoid", nn.Sigmoid(), after="output")),
        "error",
        ("last_sigmoid",),
    ),
    Twins(
        "dropout-before-logits",
        "dropout after the last layer, not before it",
        lambda: sound(put("drop", nn.Dropout(0.1), after="conv6_relu")),
        lambda: sound(put("drop", nn.Dropout(0.1), after="logits")),
        "warning",
        ("drop",),
    ),
    Twins(
        "softmax-output",
        "a softmax at the end",
        _FULL,
        lambda: sound(put("softmax", nn.Softmax(dim=1), after="output")),
        "error",
        ("softmax",),
    ),
    Twins(
        "softmax-output",
        "a log-softmax at the end",
        _FULL,
        lambda: sound(put("softmax", nn.LogSoftmax(dim=1), after="output")),
        "note",
        ("softmax",),
    ),
    Twins(
        "softmax-output",
        "a log-softmax over the batch",
        _FULL,
        lambda: sound(put("softmax", nn.LogSoftmax(dim=0), after="output")),
        "error",
        ("softmax",),
    ),
    Twins(
        "norm-presence",
        "one norm less",
        _FULL,
        lambda: sound(drop("conv3_norm")),
        "note",
        ("conv3",),
    ),
    Twins(
        "norm-presence",
        "no norm at all",
        _FULL,
        lambda: sound(drop(*_NORMS)),
        "note",
        tuple(name.removesuffix("_norm") for name in _NORMS),
    ),
    Twins(
        "norm-before-activation",
        "a ReLU before its norm",
        _FULL,
        lambda: sound(move("conv4_norm", after="conv4_relu")),
        "note",
        ("conv4_norm",),
    ),
    Twins(
        "transition-layer",
        "64 channels pooled without a 1×1 before",
        lambda: sound(width("conv4", 64)),
        lambda: sound(
            width("conv4", 64),
            drop("shrink2", "shrink2_norm", "shrink2_relu"),
            swap(conv5=nn.Conv2d(64, 16, 3, padding=1, bias=False)),
        ),
        "note",
        ("pool2",),
        frozenset({"budget"}),
    ),
    Twins(
        "transition-layer",
        "a 1×1 that does not reduce channels",
        _FULL,
        lambda: sound(width("shrink2", 16)),
        "note",
        ("shrink2",),
    ),
    Twins(
        "transition-position",
        "the pool of a transition one convolution later",
        _FULL,
        lambda: sound(move("pool1", after="conv3_relu")),
        "note",
        ("shrink1",),
    ),
    Twins(
        "kernel-growth",
        "fewer kernels in the second convolution than in the first",
        _FULL,
        lambda: sound(width("conv4", 10)),
        "note",
        ("conv4",),
    ),
    Twins(
        "bias-with-norm",
        "a bias before batch norm",
        _FULL,
        lambda: sound(swap(conv2=nn.Conv2d(8, 16, 3, padding=1))),
        "note",
        ("conv2",),
    ),
    Twins(
        "late-convolution",
        "one more convolution at 7×7",
        _FULL,
        lambda: sound(
            put("conv7_relu", nn.ReLU(), after="conv6_relu"),
            put("conv7_norm", nn.BatchNorm2d(20), after="conv6_relu"),
            put("conv7", nn.Conv2d(20, 20, 3, padding=1, bias=False), after="conv6_relu"),
        ),
        "note",
        ("conv7",),
    ),
    Twins(
        "fully-connected-share",
        "the map flattened in place of averaged",
        lambda: sound(drop("logits"), put("end", nn.Linear(20, 10), after="output")),
        lambda: sound(
            drop("logits", "average"), put("end", nn.Linear(7 * 7 * 20, 10), after="output")
        ),
        "note",
        ("end",),
    ),
    Twins(
        "budget",
        "120 kernels in the last convolution",
        _FULL,
        lambda: sound(width("conv6", 120)),
        "warning",
        ("conv6", "conv4"),
    ),
    Twins(
        "even-kernel",
        "a 4×4 kernel",
        _FULL,
        lambda: sound(swap(conv3=nn.Conv2d(8, 12, 4, padding="same", bias=False))),
        "note",
        ("conv3",),
    ),
    Twins(
        "average-pool-coverage",
        "a 5×5 average of a 7×7 map",
        lambda: sound(swap(average=nn.AvgPool2d(7))),
        lambda: sound(swap(average=nn.AvgPool2d(5))),
        "note",
        ("average",),
    ),
    Twins(
        "dropped-edge",
        "a 4×4 pool of a 14×14 map",
        _FULL,
        lambda: sound(swap(pool2=nn.MaxPool2d(4))),
        "note",
        ("pool2",),
        frozenset({"late-convolution"}),
    ),
    Twins(
        "idle-padding",
        "padding around a 1×1 kernel",
        _FULL,
        lambda: sound(swap(shrink1=_pointwise(16, 8, padding=1))),
        "note",
        ("shrink1",),
        frozenset({"dropped-edge"}),
    ),
    Twins(
        "unused-parameters",
        "parameters that forward leaves out",
        lambda: Scaled(uses=True),
        lambda: Scaled(uses=False),
        "note",
        ("not used in the forward pass",),
    ),
    Twins(
        "stride-skips",
        "a stride of 2 with a kernel of 1",
        _FULL,
        lambda: sound(swap(pool2=nn.MaxPool2d(1, stride=2))),
        "warning",
        ("pool2",),
    ),
    Twins(
        "dead-weights",
        "a dilation as wide as the map",
        lambda: sound(swap(conv6=nn.Conv2d(16, 20, 3, dilation=2, padding=2, bias=False))),
        lambda: sound(swap(conv6=nn.Conv2d(16, 20, 3, dilation=7, padding=7, bias=False))),
        "note",
        ("conv6",),
    ),
    Twins(
        "activation-between",
        "a ReLU less between two convolutions",
        _FULL,
        lambda: sound(drop("conv3_relu")),
        "warning",
        ("conv3",),
    ),
    Twins(
        "activation-between",
        "a ReLU less between narrow fully connected layers",
        _connected(nn.Linear(20, 4), nn.ReLU(), nn.Linear(4, 10)),
        _connected(nn.Linear(20, 4), nn.Linear(4, 10)),
        "note",
        ("end0",),
    ),
    Twins(
        "dropout-before-norm",
        "dropout before the norm, not after it",
        lambda: sound(put("drop", nn.Dropout(0.1), after="conv3_relu")),
        lambda: sound(put("drop", nn.Dropout(0.1), after="conv3")),
        "note",
        ("drop",),
    ),
    Twins(
        "hidden-softmax",
        "a softmax before the last layer that weights nothing",
        lambda: Gated(gates=True),
        lambda: Gated(gates=False),
        "warning",
        ("softmax",),
        frozenset({"norm-presence"}),
    ),
    Twins(
        "nonlinearity",
        "no activation, and averages instead of maxima",
        _FULL,
        lambda: sound(
            drop(*(name.replace("norm", "relu") for name in _NORMS)),
            swap(pool1=nn.AvgPool2d(2), pool2=nn.AvgPool2d(2)),
        ),
        "warning",
        ("conv1", "conv2", "shrink1", "conv3", "conv4", "shrink2", "conv5", "conv6", "logits"),
        frozenset({"activation-between"}),
    ),
    Twins(
        "norm-momentum",
        "a momentum of 0",
        _FULL,
        lambda: sound(swap(conv3_norm=nn.BatchNorm2d(12, momentum=0.0))),
        "warning",
        ("conv3_norm",),
    ),
    Twins(
        "norm-momentum",
        "a momentum of 0.99, as in Keras",
        _FULL,
        lambda: sound(swap(conv3_norm=nn.BatchNorm2d(12, momentum=0.99))),
        "note",
        ("conv3_norm",),
    ),
)
