"""A fixed sample of training images, and what the network makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.engine.data import Data, Split
from tui_trainer.engine.memory import scarce_memory
from tui_trainer.engine.metrics import EVAL_PIXELS
from tui_trainer.run.layers import LayerRow
from tui_trainer.run.probed import LayerProbe, SampleProbed

if TYPE_CHECKING:
    from tui_trainer.engine.session import Session

LARGEST, SMALLEST = 512, 64
"""Images of the sample, at most and at least, as far as there are so many …"""

SHARE = 32
"""… and one in so many of the training split between them."""

MAP_IMAGES = 128
"""Images whose maps are looked at: with hundreds of places in each, they are enough."""

GAP_IMAGES = 128
"""Images, or one whole batch, of which batch statistics are compared with the running ones."""

LOOKED_AT = ("conv", "depthwise", "fully connected", "batch norm", "relu", "activation")
"""The kinds of layers that are told of."""

BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
NEAR = 0.01


class Sample:
    """So many training images, evenly spread over the split; always the same ones."""

    def __init__(self, data: Data) -> None:
        total = len(data.train)
        self.size = min(total, max(SMALLEST, min(LARGEST, total // SHARE)))
        self._images = _spread(data.train, self.size)
        self._others = _spread(data.val, min(self.size, len(data.val)))

    def look(self, session: Session) -> SampleProbed:
        """Run the network over the sample and tell what it makes of it; it is left as it was."""
        data, network = session.data, session.network
        seen = _Layers(session.layers)
        with torch.no_grad():
            scores, inputs = _scores(network, data, self._images, seen)
            gap, gap_error = _batch_gap(session, self._images, scores)
            val = data.prepare(self._others.images) if len(self._others) else None
        labels = self._images.labels
        losses = functional.cross_entropy(scores, labels, reduction="none").double().cpu()
        largest = scores.softmax(dim=1).amax(dim=1).double().cpu()
        given = scores.argmax(dim=1)
        pairs = torch.bincount(labels * data.classes + given, minlength=data.classes**2)
        confusion = pairs.view(data.classes, data.classes)
        std, mean = torch.std_mean(inputs, correction=0)
        val_std, val_mean = torch.std_mean(val, correction=0) if val is not None else (None, None)
        return SampleProbed(
            step=session.step,
            epoch=session.epoch if session.step else 0,
            images=session.images,
            sample=self.size,
            loss=float(losses.mean()),
            loss_error=float(losses.std(correction=0)) / self.size**0.5,
            correct=int(confusion.diagonal().sum()),
            batch_gap=gap,
            batch_gap_error=gap_error,
            confidence=float(largest.mean()),
            sure=float(largest.quantile(0.9)),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            score_low=float(scores.min()),
            score_high=float(scores.max()),
            are_probabilities=bool(
                (scores >= 0).all() and ((scores.sum(dim=1) - 1).abs() < 1e-3).all()
            ),
            input_mean=float(mean),
            input_std=float(std),
            val_mean=None if val_mean is None else float(val_mean),
            val_std=None if val_std is None else float(val_std),
            layers=seen.probes(),
            memory_left=scarce_memory(),
        )


def _spread(split: Split, count: int) -> Split:
    """Return that many images, evenly spread over a split."""
    places = torch.linspace(0, max(0, len(split) - 1), count).round().long()
    places = places.to(split.labels.device)
    return Split(split.images[places], split.labels[places])


def _scores(network: nn.Module, data: Data, sample: Split, seen: _Layers) -> tuple[Tensor, Tensor]:
    """Return the scores (N, classes) in evaluation mode, and the inputs that they are for.

    Every operation is seen on its way; a network that cannot be watched is only run.
    """
    scores: list[Tensor] = []
    inputs = data.prepare(sample.images)

    def keep(module: nn.Module, args: object, output: Tensor) -> None:
        scores.append(output.detach().float())

    handle = network.register_forward_hook(keep) if not seen.is_closed else None
    try:
        for images in torch.split(inputs, max(1, EVAL_PIXELS // data.image_size**2)):
            if handle is not None:
                trace(network, images, reached=seen.reached)
            else:
                with _evaluating(network):
                    keep(network, (), network(images))
    finally:
        if handle is not None:
            handle.remove()
    return torch.cat(scores), inputs


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and each module back into its own afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _batch_gap(
    session: Session, sample: Split, scores: Tensor
) -> tuple[float | None, float | None]:
    """Return how much batch statistics raise the loss over running ones, and the standard error.

    Without batch norm both are None. Only whole batches count, as long as there is one.
    """
    network, data = session.network, session.data
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return None, None
    size = min(session.batch_size, len(sample))
    count = max(1, min(GAP_IMAGES, len(sample)) // size)
    running = functional.cross_entropy(scores, sample.labels, reduction="none")
    kept = [(buffer, buffer.detach().clone()) for norm in norms for buffer in norm.buffers()]
    gaps = []
    with torch.random.fork_rng([], enabled=data.train.images.device.type == "cpu"):
        with _evaluating(network):
            for norm in norms:
                norm.training = True
            for start in range(0, count * size, size):
                part = slice(start, start + size)
                given = network(data.prepare(sample.images[part]))
                loss = functional.cross_entropy(given.float(), sample.labels[part])
                gaps.append(loss - running[part].mean())
        for buffer, before in kept:
            buffer.copy_(before)
    found = torch.stack(gaps).double().cpu()
    error = float(found.std()) / count**0.5 if count > 1 else 0.0
    return float(found.mean()), error


@dataclass(slots=True)
class _Unit:
    """What is known of a layer's outputs so far."""

    row: LayerRow
    silent: Tensor
    low: Tensor
    high: Tensor
    saturated: float
    total: float
    square: float
    count: int


class _Layers:
    """Collects what the layers of the table make of the images that come by."""

    def __init__(self, rows: tuple[LayerRow, ...]) -> None:
        self.is_closed = len(rows) == 2 and rows[1].kind == "network"
        self._rows = rows
        self._units: dict[int, _Unit] = {}

    def reached(self, place: int, step: Step, result: Tensor) -> None:
        """Take in the output of an operation, for one part of the sample."""
        row = self._rows[place] if place < len(self._rows) else None
        if row is None or row.kind not in LOOKED_AT or result.ndim < 2:
            return
        known = self._units.get(place)
        if known is not None and (result.ndim > 2 and known.count >= MAP_IMAGES):
            return
        outputs = result.detach()[:MAP_IMAGES].float().transpose(0, 1).flatten(1)
        low, high = outputs.aminmax(dim=1)
        square, mean = torch.std_mean(outputs, correction=0)
        saturated = 0.0
        if (bounds := BOUNDS.get(row.type.lower())) is not None:
            at = (outputs < bounds[0] + NEAR) | (outputs > bounds[1] - NEAR)
            saturated = float(at.float().mean())
        images = len(result)
        unit = _Unit(
            row=row,
            silent=high <= 0,
            low=low,
            high=high,
            saturated=saturated * images,
            total=float(mean) * images,
            square=(float(square) ** 2 + float(mean) ** 2) * images,
            count=images,
        )
        self._units[place] = unit if known is None else _together(known, unit)

    def probes(self) -> tuple[LayerProbe, ...]:
        """Return what was seen of each layer."""
        return tuple(_probe(unit) for _, unit in sorted(self._units.items()))


def _together(one: _Unit, other: _Unit) -> _Unit:
    return _Unit(
        row=one.row,
        silent=one.silent & other.silent,
        low=torch.minimum(one.low, other.low),
        high=torch.maximum(one.high, other.high),
        saturated=one.saturated + other.saturated,
        total=one.total + other.total,
        square=one.square + other.square,
        count=one.count + other.count,
    )


def _probe(unit: _Unit) -> LayerProbe:
    mean = unit.total / unit.count
    still = unit.high == unit.low
    dead = still | unit.silent if unit.row.kind == "relu" else still
    return LayerProbe(
        name=unit.row.name,
        kind=unit.row.kind,
        units=len(unit.high),
        dead=int(dead.sum()),
        saturated=unit.saturated / unit.count,
        mean=mean,
        std=max(0.0, unit.square / unit.count - mean * mean) ** 0.5,
    )
