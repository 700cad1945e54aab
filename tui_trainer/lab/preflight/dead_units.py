"""Are there dead units, and do the logits depend on the image at all?"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.models.copies import copy_model
from tui_trainer.protocol.diagnosis import Diagnosis, Severity
from tui_trainer.protocol.probed import LayerProbe, SampleProbed

IMAGES = 64
"""Images on which the logits are compared."""

EQUAL = 1e-6
"""The relative difference between the logits of two images that is rounding error."""

MODEL_WARNING = 0.2
"""The share of dead units in a model worth a note: no model of the zoo has over 0.1."""

MOST_NAMED = 3


def unit_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Report the dead ReLUs before and after the first steps; the rules judge them."""
    samples = list(context.first.history.samples)
    relus = _relus(samples[-1]) if samples else []
    units, dead = sum(layer.units for layer in relus), sum(layer.dead for layer in relus)
    is_constant = _is_constant(context)
    severity: Severity = "ok"
    title, advice = "few dead units" if dead else "no dead units", ""
    if is_constant:
        severity, title = "error", "the logits are the same for every image"
    elif units and dead > MODEL_WARNING * units:
        severity, title = "note", "many dead units"
    if severity != "ok":
        advice = "use He initialization with zero biases, or add a norm before the ReLU"
    worst = sorted(relus, key=lambda layer: layer.dead / layer.units, reverse=True)
    named = [f"{w.dead} of {w.units} in {w.name}" for w in worst[:MOST_NAMED] if w.dead]
    steps = len(context.first.steps)
    text = f"{dead} of {units} ReLU units are dead after {steps} steps"
    if samples:
        before = sum(layer.dead for layer in _relus(samples[0]))
        text += f", {before} before the first, on all {samples[-1].sample_size} sampled images"
    yield check_item(
        code="dead-units",
        severity=severity,
        title=title,
        evidence=text + (": " + "; ".join(named) if named else ""),
        advice=advice,
        lesson=8,
        value=dead / units if units else 0.0,
        figure=f"{dead} of {units}",
        cause="init_small" if is_constant and not dead else "dead_units",
    )


def _relus(sample: SampleProbed) -> list[LayerProbe]:
    return [layer for layer in sample.layers if layer.kind == "relu" and layer.units]


@torch.no_grad()
def _is_constant(context: CheckContext) -> bool:
    """Return whether the logits of all images are equal, after the first steps."""
    model = copy_model(context.first.model)
    model.eval()
    logits = model(context.data.prepare(context.sample.images[:IMAGES])).double()
    if len(logits) < 2 or not bool(torch.isfinite(logits).all()):
        return False
    apart = float((logits.amax(dim=0) - logits.amin(dim=0)).max())
    return apart <= EQUAL * float(logits.abs().max())
