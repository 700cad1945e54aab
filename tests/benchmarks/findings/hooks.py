"""Fault injection for a run: hooks that change its data, its model or its parts.

Each function is a hook, or returns one, and is named after what it breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data, HeldOutTest, Split
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.engine.run import Run

DataHook = Callable[[Data], Data]
ModelHook = Callable[[nn.Module], None]
SessionHook = Callable[[Run], None]

MIXING = (nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm2d, nn.BatchNorm1d)


# --- the data


def with_few_test_images(count: int) -> DataHook:
    """Keep only the first test images: no rule uses them."""

    def shorten(data: Data) -> Data:
        test = data.test.open()
        return replace(data, test=HeldOutTest(Split(test.images[:count], test.labels[:count])))

    return shorten


def random_labels(share: float, seed: int, *, val: bool) -> DataHook:
    """Give a share of the images random labels, in the validation split too if ``val``."""
    rng = torch.Generator().manual_seed(seed)

    def redraw(split: Split, classes: int) -> Split:
        drawn = torch.randint(classes, (len(split),), generator=rng)
        is_redrawn = torch.rand(len(split), generator=rng) < share
        return Split(split.images, torch.where(is_redrawn, drawn, split.labels))

    def spoil(data: Data) -> Data:
        train = redraw(data.train, data.classes)
        return replace(data, train=train, val=redraw(data.val, data.classes) if val else data.val)

    return spoil


def one_label(label: int) -> DataHook:
    """Give every image the same label."""

    def spoil(data: Data) -> Data:
        train, val = (
            Split(split.images, torch.full_like(split.labels, label))
            for split in (data.train, data.val)
        )
        return replace(data, train=train, val=val)

    return spoil


def without_class(label: int) -> DataHook:
    """Remove a class from the training split; validation keeps it."""

    def spoil(data: Data) -> Data:
        kept = data.train.labels != label
        return replace(data, train=Split(data.train.images[kept], data.train.labels[kept]))

    return spoil


def unscaled(data: Data) -> Data:
    """Feed the model raw pixels from 0 to 255."""
    return replace(data, mean=(0.0,), std=(1 / 255,))


def faint(divisor: int) -> DataHook:
    """Divide every pixel, and normalize with the original statistics."""

    def spoil(data: Data) -> Data:
        train, val = (Split(s.images // divisor, s.labels) for s in (data.train, data.val))
        return replace(data, train=train, val=val)

    return spoil


def val_changed(change: Callable[[Tensor], Tensor]) -> DataHook:
    """Change only the validation images (N, H, H), uint8."""

    def spoil(data: Data) -> Data:
        return replace(data, val=Split(change(data.val.images), data.val.labels))

    return spoil


# --- the model


def dead(share: float) -> ModelHook:
    """Set a share of each hidden layer's biases so low that their ReLUs are dead."""

    def spoil(model: nn.Module) -> None:
        hidden = _hidden_shifts(model)
        for bias in hidden:
            bias.data[: max(1, round(share * len(bias)))] = -30.0

    return spoil


def _hidden_shifts(model: nn.Module) -> list[nn.Parameter]:
    """Return the bias before each ReLU: batch norm's if there is one, else the layer's."""
    norms = [m for m in model.modules() if isinstance(m, NORMS)]
    layers = norms or [m for m in model.modules() if isinstance(m, MIXING)][:-1]
    return [layer.bias for layer in layers if isinstance(layer.bias, nn.Parameter)]


def louder(times: float) -> ModelHook:
    """Multiply every weight of the convolutions and fully connected layers."""

    def spoil(model: nn.Module) -> None:
        for layer in model.modules():
            if isinstance(layer, MIXING):
                layer.weight.data.mul_(times)

    return spoil


def first_layer_detached(model: nn.Module) -> None:
    """Detach the first layer from the graph; freezing it on purpose would be fine."""
    first = next(m for m in model.modules() if isinstance(m, MIXING))
    first.register_forward_hook(lambda module, args, output: output.detach())


def softmax_at_the_end(model: nn.Module) -> None:
    """Add a softmax, so that the loss gets probabilities instead of logits."""
    if not isinstance(model, nn.Sequential):
        raise TypeError(f"{type(model).__name__} is not an nn.Sequential")
    model.add_module("probabilities", nn.Softmax(dim=1))


def dropout_everywhere(share: float) -> ModelHook:
    """Add dropout after every ReLU."""

    def spoil(model: nn.Module) -> None:
        for name, layer in list(model.named_children()):
            if isinstance(layer, nn.ReLU):
                setattr(model, name, nn.Sequential(nn.ReLU(), nn.Dropout(share)))

    return spoil


# --- the parts of a run


def sorted_by_class(run: Run) -> None:
    """Let every epoch see the images class by class."""
    order = run.data.train.labels.argsort(stable=True)

    def begin_epoch() -> None:
        run.batches.stream.order, run.batches.stream.cursor = order, 0

    run.batches.stream.begin_epoch = begin_epoch  # type: ignore[method-assign]


def same_images(count: int) -> SessionHook:
    """Let every epoch repeat the same few images."""

    def spoil(run: Run) -> None:
        begin = run.batches.stream.begin_epoch

        def begin_epoch() -> None:
            begin()
            run.batches.stream.order = run.batches.stream.order % count

        run.batches.stream.begin_epoch = begin_epoch  # type: ignore[method-assign]

    return spoil


class _Some:
    """A stand-in for a model with only some of its parameters."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters

    def parameters(self) -> list[nn.Parameter]:
        return self._parameters


def half_optimized(which: int) -> SessionHook:
    """Give the optimizer only half of the parameters.

    Args:
        which: 0 for the first half, 1 for the last, 2 for every other one.
    """

    def spoil(run: Run) -> None:
        every = list(run.model.parameters())
        middle = len(every) // 2
        some: Any = _Some([every[:middle], every[middle:], every[::2]][which])
        run.optimizer = make_optimizer(some, run.config)
        clear = run.optimizer.zero_grad

        def clear_all() -> None:
            clear()
            for parameter in every:  # an unused gradient must not accumulate forever
                parameter.grad = None

        run.optimizer.zero_grad = clear_all  # type: ignore[method-assign]

    return spoil


def never_training(run: Run) -> None:
    """Put the model in evaluation mode, and make ``train()`` do nothing."""
    run.model.eval()
    run.model.train = MethodType(_stay, run.model)  # type: ignore[method-assign]


def _stay(model: nn.Module, mode: bool = True) -> nn.Module:
    return model


def uphill(after_epochs: int) -> SessionHook:
    """Let each update ascend the gradient after a number of epochs."""

    def spoil(run: Run) -> None:
        step = run.optimizer.step

        def turned(lr: float) -> None:
            is_turned = run.progress.epochs_done >= after_epochs
            with _negated(run.model) if is_turned else _as_they_are():
                step(lr)

        run.optimizer.step = turned  # type: ignore[method-assign]

    return spoil


@contextmanager
def _negated(model: nn.Module) -> Iterator[None]:
    """Negate the gradients during the block; probes afterwards see the original ones."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    for gradient in gradients:
        gradient.neg_()
    try:
        yield
    finally:
        for gradient in gradients:
            gradient.neg_()


@contextmanager
def _as_they_are() -> Iterator[None]:
    yield
