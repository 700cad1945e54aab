"""Gradient flow: does every parameter get a gradient, and does the optimizer update it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.engine.steps import backward, loss_fn
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.trial import Trial
from tui_trainer.models.tensors import gradient_of, is_trainable, rms
from tui_trainer.models.unused import unused_parameters
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.text.fmt import listed

MOST_IMAGES = 256
"""The most images in the batch: with so many, a gradient is not 0 by coincidence."""

READ_IMAGES = 8
"""Images of the forward pass that finds unused parameters."""

MORE_STEPS = 4
"""Steps within which every gradient should be nonzero once."""

NOISE = 1e-5
"""A gradient below this share of the largest is rounding error, as of a bias before a norm."""


def gradient_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Check the gradients of one batch, and the update after it."""
    trial = context.trial()
    model, parameters = trial.model, trial.optimizer.parameters
    images = context.data.prepare(context.sample.images[:MOST_IMAGES])
    labels = context.sample.labels[:MOST_IMAGES]
    logits = model(images)
    unregistered = _unregistered(loss_fn(logits, labels), model)
    trial.optimizer.zero_grad()
    backward(loss_fn(logits, labels), parameters)
    seen = _seen(model)
    update = _update_item(context, trial, unregistered)
    _train_more(context, trial, seen)
    yield _gradient_item(seen, unused_parameters(context.copy(), images[:READ_IMAGES]))
    yield update


@dataclass(frozen=True, slots=True)
class _Seen:
    """The result of the first backward passes, by parameter name.

    Attributes:
        frozen: Parameters with ``requires_grad=False``.
        reached: The gradient of each parameter that got one.
        unreached: Parameters without a gradient.
        zero: Weights whose gradients were all exactly 0 so far.
    """

    frozen: list[str]
    reached: dict[str, Tensor]
    unreached: list[str]
    zero: list[str]


def _seen(model: nn.Module) -> _Seen:
    named = {name: p for name, p in model.named_parameters() if is_trainable(p)}
    learning = {name: p for name, p in named.items() if p.requires_grad}
    found = {name: gradient_of(p) for name, p in learning.items()}
    reached = {name: grad.clone() for name, grad in found.items() if grad is not None}
    return _Seen(
        frozen=[name for name in named if name not in learning],
        reached=reached,
        unreached=[name for name in learning if name not in reached],
        # The gradient of a bias may be 0, as before a norm; that of a weight matrix may not.
        zero=[n for n, grad in reached.items() if named[n].dim() > 1 and not bool(grad.any())],
    )


def _train_more(context: CheckContext, trial: Trial, seen: _Seen) -> None:
    """Train more batches while a gradient is 0, as before a zero-initialized layer."""
    named = dict(trial.model.named_parameters())
    for _ in range(MORE_STEPS):
        if not seen.zero:
            return
        trial.step(lr=context.config.base_lr)
        seen.zero[:] = [name for name in seen.zero if not _has_gradient(named[name])]


def _has_gradient(parameter: nn.Parameter) -> bool:
    gradient = gradient_of(parameter)
    return gradient is not None and bool(gradient.any())


def _gradient_item(seen: _Seen, unused: Sequence[str]) -> Diagnosis:
    idle = [name for name in seen.unreached if name in unused]
    cut = [name for name in seen.unreached if name not in unused]
    broken = [n for n, grad in seen.reached.items() if not bool(torch.isfinite(grad).all())]
    kinds = {
        "frozen (requires_grad is off)": seen.frozen,
        "unused in forward": idle,
        "used in forward but detached from the loss": cut,
        "with a gradient of exactly 0": seen.zero,
        "with a non-finite gradient": broken,
    }
    total, bad = len(seen.reached) + len(cut), len(cut) + len(seen.zero) + len(broken)
    parts = [f"{listed(names)} {kind}" for kind, names in kinds.items() if names]
    if not bad:
        norm = float(sum((grad.double() ** 2).sum() for grad in seen.reached.values())) ** 0.5
        parts.insert(0, f"{total} tensors; gradient norm {norm:.3g}")
    return Diagnosis(
        code="gradients",
        severity="error" if bad else "ok",
        title=f"{bad} of {total} parameter tensors get no useful gradient"
        if bad
        else "every trainable parameter gets a gradient"
        if seen.frozen or idle
        else "every parameter gets a gradient",
        evidence="; ".join(parts),
        advice=_advice(cut, seen.zero) if bad else "",
        lesson=19,
        value=float(bad),
        figure=f"{total - bad} of {total}",
    )


def _advice(cut: Sequence[str], zero: Sequence[str]) -> str:
    if cut:
        return "remove detach(), no_grad(), .data or .item() after them, or set requires_grad=False"
    if zero:
        return "check the layers after them: a dead ReLU, a factor of 0"
    return "initialize with smaller weights; look for a division by 0 or a logarithm of 0"


def _update_item(context: CheckContext, trial: Trial, unregistered: int) -> Diagnosis:
    """Take one step of the run's optimizer, and find parameters that did not change."""
    found = {name: (p, gradient_of(p)) for name, p in trial.model.named_parameters()}
    sizes = {n: rms(grad) for n, (_, grad) in found.items() if grad is not None}
    most = max(sizes.values(), default=0.0)
    moving = {n: found[n][0] for n, size in sizes.items() if size > NOISE * most}
    before = {name: p.detach().clone() for name, p in moving.items()}
    trial.optimizer.step(context.config.base_lr)
    left = [name for name, p in moving.items() if torch.equal(p.detach(), before[name])]
    text = f"one step updates {len(moving) - len(left)} of {len(moving)} tensors with a gradient"
    if left:
        text += f"; not {listed(left)}"
    if unregistered:
        text += f"; {unregistered} tensors with a gradient are not in model.parameters()"
    return Diagnosis(
        code="optimizer",
        severity="error" if left or unregistered else "ok",
        title="the optimizer does not update every parameter"
        if left or unregistered
        else "the optimizer updates every parameter",
        evidence=text,
        advice="register them: as attributes, in nn.ModuleList or nn.ParameterList"
        if unregistered
        else ("raise the learning rate" if left else ""),
        lesson=19,
        value=float(len(left) + unregistered),
        figure=f"{len(left) + unregistered} not updated",
    )


def _unregistered(loss: Tensor, model: nn.Module) -> int:
    """Return how many leaf tensors get a gradient but are not registered as parameters."""
    known = {id(parameter) for parameter in model.parameters()}
    found: set[int] = set()
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in known:
            found.add(id(variable))
        waiting.extend(following for following, _ in node.next_functions)
    return len(found)
