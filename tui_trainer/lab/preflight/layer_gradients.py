"""Gradient flow: does every parameter get a gradient, and does the optimizer update it?

The findings judge the sampled updates of the first steps; the items add their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tui_trainer.history.history import History
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.probed import UpdateProbed
from tui_trainer.text.fmt import listed


def gradient_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Report the gradients and the updates of the first steps."""
    history = context.first.history
    update = history.last_update
    yield _gradient_item(history, update)
    yield _update_item(update)


def _gradient_item(history: History, update: UpdateProbed | None) -> Diagnosis:
    parameters = update.parameters if update else ()
    unused = (history.last_sample.unused_parameters if history.last_sample else None) or ()
    asked = [p for p in parameters if not p.frozen and p.name not in unused]
    reached = [p for p in asked if p.gradient_norm is not None]
    broken = [p.name for p in reached if not math.isfinite(p.gradient_norm or 0.0)]
    text = f"{len(reached)} of {len(asked)} trainable parameter tensors have a gradient"
    if update is not None:
        text += f"; gradient norm {update.gradient_norm:.3g} at step {update.step}"
    if broken:
        text += f"; {listed(broken)} non-finite"
    title = "every parameter gets a gradient"
    if len(asked) < len(parameters):
        title = "every trainable parameter gets a gradient"
    return check_item(
        code="gradients",
        severity="error" if broken else "ok",
        title="gradients are not finite" if broken else title,
        evidence=text,
        advice="initialize with smaller weights; look for a division by 0 or a logarithm of 0"
        if broken
        else "",
        lesson=19,
        value=float(len(asked) - len(reached)),
        figure=f"{len(reached)} of {len(asked)}",
        cause="init_large",
    )


def _update_item(update: UpdateProbed | None) -> Diagnosis:
    parameters = [p for p in update.parameters if p.gradient_norm] if update else []
    moved = [p for p in parameters if p.update_norm > 0]
    return check_item(
        code="optimizer",
        severity="ok",
        title="the optimizer updates every parameter",
        evidence=f"one step updates {len(moved)} of {len(parameters)} tensors with a gradient",
        lesson=19,
        value=float(len(parameters) - len(moved)),
        figure=f"{len(moved)} of {len(parameters)}",
    )
