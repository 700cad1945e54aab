"""How the loss of a step was computed, from its autograd graph and the gradient of the logits.

The graph of a loss remains after the backward pass, without the tensors it had saved. It names the
functions between logits and loss. The gradient of the logits, in turn, has one entry per example
that the loss pulls up: the label.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.protocol.loop_probed import LossProbe

_HEADS = {
    "NllLossBackward": "nll",
    "NllLoss2DBackward": "nll",
    "NllLossNdBackward": "nll",
    "BinaryCrossEntropyWithLogitsBackward": "bce_logits",
    "BinaryCrossEntropyBackward": "bce",
    "MseLossBackward": "mse",
}
_ACTIVATIONS = {
    "SoftmaxBackward": "softmax",
    "LogSoftmaxBackward": "log_softmax",
    "SigmoidBackward": "sigmoid",
    "LogSigmoidForwardBackward": "log_sigmoid",
}
_LOGS = ("LogBackward", "Log1PBackward", "Log2Backward")
_PASSED = (
    *("ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "ToCopyBackward"),
    *("SqueezeBackward", "UnsqueezeBackward", "CloneBackward", "AliasBackward", "SliceBackward"),
    *("ClampBackward", "ClampMinBackward", "ClampMaxBackward", "IndexBackward", "SelectBackward"),
)
"""Functions that keep what a softmax made of the logits."""

_TURNED = ("TBackward", "TransposeBackward", "PermuteBackward")
_MOST_NODES = 400
_FIT = 0.05
"""The part of a gradient that no label explains, from which the loss has another kind."""

_ROWS = 64
"""The most examples whose labels are read from the gradient."""

_SAME_VALUE = 0.02
"""The relative difference of two losses that are the same."""


@dataclass(frozen=True, slots=True)
class _Structure:
    """The functions of a loss, as its graph shows them; see :class:`LossProbe`."""

    head: str = ""
    activations: tuple[str, ...] = ()
    axis: int | None = None
    is_log: bool = False


@torch.no_grad()
def probe_loss(
    loss: object,
    logits: Tensor | None,
    gradient: Tensor | None,
    labels: Tensor | None,
    previous: Tensor | None,
    sources: Collection[Any] = (),
) -> LossProbe:
    """Return how a loss was computed.

    Args:
        loss: What the script passed as the loss: a tensor of one number, or a number.
        logits: The outputs (N, classes) of the model; None if they have another shape.
        gradient: The gradient that the backward pass gave them; None if it gave none.
        labels: The labels (N) of the batch.
        previous: Those of the batch before.
        sources: The nodes of the graph that made the outputs of the model.
    """
    root = loss.grad_fn if isinstance(loss, Tensor) else None
    found = _structure(root) if root is not None else _Structure()
    fields: dict[str, Any] = {
        "head": found.head,
        "activations": found.activations,
        "is_log": found.is_log,
        "has_graph": root is not None,
        "is_connected": root is None or not sources or _reaches(root, set(sources)),
    }
    if logits is None or logits.ndim != 2:
        return LossProbe(**fields)
    fields["axis"] = found.axis
    if labels is None or len(logits) != len(labels) or not len(labels):
        return LossProbe(**fields)
    rows = min(_ROWS, len(labels))
    whole, mine = logits.detach().double().cpu(), labels.cpu()
    fields["label_range"] = int(mine.min()), int(mine.max())
    if not bool(torch.isfinite(whole).all()) or int(mine.min()) < 0:
        return LossProbe(**fields)
    implied = None
    if gradient is not None and gradient.shape == logits.shape and logits.shape[1] > 2:
        read = _implied(whole[:rows], gradient[:rows].detach().double().cpu())
        fields["direction"], implied = read
    if int(mine.max()) < logits.shape[1]:
        fields |= _values(_value(loss), whole, mine, found)
    if implied is not None:
        places, used = implied
        if not _share(used, mine[places]) >= 0.9:
            fields["guess_loss"] = _guess_loss(logits.shape[1], found)  # the ratio means nothing
        old = None if previous is None or len(previous) != len(labels) else previous.cpu()
        fields |= _compared(used, places, mine, old, logits.shape[1])
    return LossProbe(**fields)


def _value(loss: object) -> float | None:
    if isinstance(loss, Tensor):
        return float(loss.detach()) if loss.numel() == 1 else None
    return float(loss) if isinstance(loss, int | float) else None


def _name(node: Any) -> str:
    return str(type(node).__name__).rstrip("0123456789")


def _structure(root: Any) -> _Structure:
    """Walk from the loss to its first known function, and from there to the logits."""
    queue, seen = [root], {root}
    while queue:
        node = queue.pop(0)
        name = _name(node)
        if name in _HEADS:
            head = _HEADS[name]
            return _chain(_next(node), head)
        if name in ("SoftmaxBackward", "LogSoftmaxBackward"):
            return _chain(node, "")
        for after in _children(node):
            if after not in seen and len(seen) < _MOST_NODES:
                seen.add(after)
                queue.append(after)
    return _Structure()


def _reaches(root: Any, wanted: set[Any]) -> bool:
    """Whether a graph contains one of some nodes, which are near its root."""
    queue, seen = [root], {root}
    while queue:
        node = queue.pop(0)
        if node in wanted:
            return True
        for after in _children(node):
            if after not in seen and len(seen) < _MOST_NODES:
                seen.add(after)
                queue.append(after)
    return len(seen) >= _MOST_NODES


def _chain(node: Any, head: str) -> _Structure:
    activations: list[str] = []
    axis: int | None = None
    is_log = is_turned = False
    while node is not None and len(activations) < 4:
        name = _name(node)
        if name in _ACTIVATIONS:
            activations.append(_ACTIVATIONS[name])
            if name in ("SoftmaxBackward", "LogSoftmaxBackward") and axis is None:
                axis = _axis(node)
        elif name in _LOGS or (name == "AddBackward" and _is_single(node)):
            is_log = is_log or name in _LOGS
        elif name in _TURNED:
            is_turned = True
        elif name not in _PASSED:
            break
        node = _next(node)
    return _Structure(head, tuple(activations), None if is_turned else axis, is_log)


def _axis(node: Any) -> int:
    dim = int(node._saved_dim)
    return dim - 2**64 if dim >= 2**63 else dim


def _children(node: Any) -> Iterator[Any]:
    for after, _ in node.next_functions:
        if after is not None:
            yield after


def _next(node: Any) -> Any:
    """Return the function that made the first argument of a function."""
    return next(_children(node), None)


def _is_single(node: Any) -> bool:
    return len(list(_children(node))) == 1


def _values(
    value: float | None, logits: Tensor, labels: Tensor, found: _Structure
) -> dict[str, Any]:
    """Compare the loss with the losses of known kinds on the logits and labels."""
    if value is None:
        return {}
    mean = _mean_loss(logits, labels, found)
    fields: dict[str, Any] = {"ratio": value / mean if mean else None}
    chosen = -float(logits.gather(1, labels.unsqueeze(1)).mean())
    entropy = float(functional.cross_entropy(logits, labels))
    if not found.head or found.head == "nll":
        counts = (1, len(labels)) if len(labels) > 1 else (1,)
        is_raw = any(_is_same(value, chosen * count) for count in counts)
        fields["is_raw"] = is_raw and not any(_is_same(value, entropy * c) for c in counts)
    guess = _guess_loss(logits.shape[1], found)
    ratio = fields["ratio"]
    if guess is not None and ratio is not None:
        scale = float(len(labels)) if _is_same(ratio, len(labels)) else 1.0
        pieces = round(1 / ratio) if 0 < ratio < 1 else 1
        scale = scale / pieces if pieces > 1 and abs(ratio * pieces - 1) < 1e-4 else scale
        fields["guess_loss"] = guess * scale
    return fields


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_VALUE * max(abs(one), abs(other), 1e-9)


def _guess_loss(classes: int, found: _Structure) -> float | None:
    """Return the mean loss of outputs of 0 for all classes, where training begins."""
    match found.head:
        case "nll":
            return math.log(classes)
        case "bce" | "bce_logits":
            return math.log(2)
        case "mse":
            return 1 / classes
    return None


def _mean_loss(logits: Tensor, labels: Tensor, found: _Structure) -> float | None:
    """Return the mean loss of a kind; None if the kind is not known."""
    wanted = functional.one_hot(labels, logits.shape[1]).to(logits)
    inner = found.activations[1:] if found.activations[:1] == ("log_softmax",) else ()
    values = logits
    if found.head == "nll" and found.activations[:1] == ("log_softmax",):
        for name in reversed(inner):
            values = _activated(values, name)
        return float(functional.cross_entropy(values, labels))
    if found.head == "bce_logits" or (found.head == "bce" and found.activations == ("sigmoid",)):
        if found.activations and bool(((logits >= 0) & (logits <= 1)).all()):
            return float(functional.binary_cross_entropy(logits, wanted))
        if found.head == "bce_logits":
            for name in reversed(found.activations):
                values = _activated(values, name)
        return float(functional.binary_cross_entropy_with_logits(values, wanted))
    if found.head == "mse" and len(found.activations) <= 1:
        for name in found.activations:
            values = _activated(values, name)
        return float(functional.mse_loss(values, wanted))
    if not found.head:
        return float(functional.cross_entropy(values, labels))
    return None


def _activated(values: Tensor, name: str) -> Tensor:
    """Apply an activation, unless the model itself has: its outputs then look like it."""
    if name == "log_softmax":
        is_done = bool((values.logsumexp(dim=1).abs() < 1e-3).all())
        return values if is_done else values.log_softmax(dim=1)
    if bool(((values >= 0) & (values <= 1)).all()):
        return values
    return values.softmax(dim=1) if name == "softmax" else values.sigmoid()


def _implied(logits: Tensor, gradient: Tensor) -> tuple[int, tuple[Tensor, Tensor] | None]:
    """Return the direction of the loss, and the labels that its gradient shows.

    For each example, the gradient of a loss with one label is a combination of the activated
    logits, of a constant, and of the label's unit vector, which is by far the largest part of it.
    """
    sizes = gradient.abs().amax(dim=1)
    places = (sizes > 1e-12 * max(1e-30, float(sizes.max()))).nonzero().flatten()
    places = places[sizes[places] > 0]
    if not len(places):
        return 0, None
    few, rows = logits[places], gradient[places]
    low, high = -rows.amin(dim=1), rows.amax(dim=1)
    down, up = int((low > 1.02 * high).sum()), int((high > 1.02 * low).sum())
    if max(down, up) < 0.6 * len(places) or min(down, up) > 0.2 * len(places):
        return 0, None
    direction = 1 if down > up else -1
    used = (-direction * rows).argmax(dim=1)
    return (direction, (places, used)) if _fits(few, rows, used) else (0, None)


def _fits(logits: Tensor, rows: Tensor, used: Tensor) -> bool:
    """Whether one label per example explains a gradient, for the best of some activations."""
    classes = logits.shape[1]
    if classes < 5:
        return True
    unit = functional.one_hot(used, classes).to(rows)
    constant = torch.ones_like(rows)
    for values in (logits.softmax(dim=1), logits.sigmoid(), logits, logits.exp().clamp(max=1e6)):
        basis = torch.stack((values, unit, constant), dim=2)
        solved = torch.linalg.lstsq(basis, rows.unsqueeze(2), driver="gelsd").solution
        rest = (rows.unsqueeze(2) - basis @ solved).norm(dim=(1, 2)) / rows.norm(dim=1)
        if float(rest.median()) < _FIT:
            return True
    return False


def _compared(
    used: Tensor, places: Tensor, labels: Tensor, previous: Tensor | None, classes: int
) -> dict[str, Any]:
    """Compare the labels of the loss with those of the batch and of what they can be mixed up."""
    mine = labels[places]
    fields: dict[str, Any] = {"agreement": _share(used, mine)}
    fields["is_permuted"] = torch.equal(used.sort().values, mine.sort().values)
    if previous is not None:
        fields["previous"] = _share(used, previous[places])
    rolled = (_share(used, labels.roll(by)[places]) for by in (1, -1))
    fields["rolled"] = max(rolled)
    shifts = (used - mine) % classes
    if len(shifts) and bool((shifts == shifts[0]).all()):
        shift = int(shifts[0])
        fields["shift"] = shift - classes if shift > classes // 2 else shift
    seen: dict[int, int] = {}
    pairs = zip(mine.tolist(), used.tolist(), strict=True)
    fields["is_relabeled"] = all(seen.setdefault(label, other) == other for label, other in pairs)
    return fields


def _share(one: Tensor, other: Tensor) -> float:
    return float((one == other).double().mean())
