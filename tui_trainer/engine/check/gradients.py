"""Does every parameter learn: has it a gradient, and does the optimizer move it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.engine.check.lab import Lab
from tui_trainer.engine.check.trial import Trial
from tui_trainer.run.checked import CheckItem

MOST_IMAGES = 256
"""Of the batch that is tried: a gradient of all of them is not 0 by chance."""

MOST_NAMED = 4
"""Parameters that are named; of more their number is told."""


def gradient_items(lab: Lab) -> Iterator[CheckItem]:
    """Judge the gradients of one batch, and the update that follows."""
    trial = lab.trial()
    images = lab.data.prepare(lab.sample.images[:MOST_IMAGES])
    loss = functional.cross_entropy(trial.network(images), lab.sample.labels[:MOST_IMAGES])
    strangers = _strangers(loss, trial.network)
    trial.optimizer.clear()
    loss.backward()  # type: ignore[no-untyped-call]
    yield _gradient_item(trial.network)
    yield _update_item(lab, trial, strangers)


def _gradient_item(network: nn.Module) -> CheckItem:
    named = dict(network.named_parameters())
    frozen = [name for name, p in named.items() if not p.requires_grad]
    learning = {name: p for name, p in named.items() if p.requires_grad}
    unreached = [name for name, p in learning.items() if p.grad is None]
    reached = {name: p.grad for name, p in learning.items() if p.grad is not None}
    still = [name for name, grad in reached.items() if not bool(grad.any())]
    broken = [name for name, grad in reached.items() if not bool(torch.isfinite(grad).all())]
    kinds = {
        "frozen (requires_grad is off)": frozen,
        "not on the way to the loss": unreached,
        "with a gradient of exactly 0": still,
        "with a gradient that is no number": broken,
    }
    bad = sum(map(len, kinds.values()))
    told = [f"{_listed(names)} {kind}" for kind, names in kinds.items() if names]
    norm = float(sum((grad.double() ** 2).sum() for grad in reached.values())) ** 0.5
    return CheckItem(
        name="gradients",
        verdict="fail" if bad else "pass",
        title=f"{bad} of {len(named)} parameter tensors do not learn"
        if bad
        else "every parameter has a gradient",
        evidence="; ".join(told) if told else f"{len(named)} tensors; together the norm {norm:.3g}",
        advice=_advice(frozen, unreached, still) if bad else "",
        lesson=19,
        value=float(bad),
        figure=f"{len(named) - bad} of {len(named)}",
    )


def _advice(frozen: Sequence[str], unreached: Sequence[str], still: Sequence[str]) -> str:
    if frozen:
        return "set requires_grad to True, unless they are meant to stay as they are"
    if unreached:
        return "use them in forward, without detach() or no_grad(), or take them away"
    if still:
        return "look at what lies behind them: a dead ReLU, a factor 0, a bias before a norm"
    return "draw smaller first weights; look for a division by 0 or a logarithm of 0"


def _update_item(lab: Lab, trial: Trial, strangers: int) -> CheckItem:
    """Take one step of the run's optimizer, and see what has moved."""
    named = dict(trial.network.named_parameters())
    moving = {n: p for n, p in named.items() if p.grad is not None and bool(p.grad.any())}
    before = {name: p.detach().clone() for name, p in moving.items()}
    trial.optimizer.step(lab.config.learning_rate)
    left = [name for name, p in moving.items() if torch.equal(p.detach(), before[name])]
    told = f"{len(moving) - len(left)} of {len(moving)} tensors with a gradient are moved by a step"
    if left:
        told += f"; not {_listed(left)}"
    if strangers:
        told += f"; {strangers} tensors that learn are no parameters of the network"
    return CheckItem(
        name="optimizer",
        verdict="fail" if left or strangers else "pass",
        title="the optimizer leaves parameters where they are"
        if left or strangers
        else "the optimizer moves every parameter",
        evidence=told,
        advice="register them: as attributes, in nn.ModuleList or nn.ParameterList"
        if strangers
        else ("raise the learning rate" if left else ""),
        lesson=19,
        value=float(len(left) + strangers),
        figure=f"{len(left) + strangers} left out",
    )


def _strangers(loss: Tensor, network: nn.Module) -> int:
    """Return how many tensors get a gradient that are no parameters of the network."""
    known = {id(parameter) for parameter in network.parameters()}
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


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
