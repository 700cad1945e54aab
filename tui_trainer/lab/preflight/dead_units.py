"""Are there dead units before the first step?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.operations import operation_of
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.models.build import set_dropout
from tui_trainer.models.modes import recalibrate
from tui_trainer.models.units import is_dead
from tui_trainer.protocol.diagnosis import Diagnosis, Severity

IMAGES = 256
"""A unit that is 0 on all of them, at every position, is called dead."""

FEW_STEPS = 4
"""Updates after which logits that were equal for all images are checked again."""

LAYER_WARNING = 0.5
"""The share of dead units in a layer that gives a warning …"""

MODEL_WARNING = 0.2
"""… and in the model: no model of the zoo has more than 0.1."""

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Layer:
    """A ReLU: its name, its number of units, and the indices of the dead ones."""

    name: str
    units: int
    dead: tuple[int, ...]


def unit_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Check the units of every ReLU, and whether the logits depend on the image at all."""
    try:
        layers, answers = _watched(context, _recalibrated(context, context.copy()))
        if not answers:  # for example a last layer initialized to 0, which the first updates change
            _, answers = _watched(context, _recalibrated(context, _trained(context)))
    except Exception as error:  # a custom model can raise anything
        yield Diagnosis(
            code="dead-units",
            severity="warning",
            title="the units cannot be checked",
            evidence=f"{type(error).__name__} in a traced forward pass",
            lesson=8,
        )
        return
    yield _item(layers, answers)


def _item(layers: list[_Layer], answers: bool) -> Diagnosis:
    units, dead = sum(layer.units for layer in layers), sum(len(layer.dead) for layer in layers)
    worst = sorted(layers, key=lambda layer: len(layer.dead) / layer.units, reverse=True)
    silent = [layer.name for layer in layers if len(layer.dead) == layer.units]
    severity: Severity = "ok"
    title, advice = "few dead units" if dead else "no dead units", ""
    if not answers:
        severity, title = "error", "the logits are the same for every image"
    elif silent:
        severity, title = "error", f"all units of {silent[0]} are dead"
    elif units and (
        dead > MODEL_WARNING * units or len(worst[0].dead) > LAYER_WARNING * worst[0].units
    ):
        severity, title = "warning", "many dead units before the first step"
    if severity != "ok":
        advice = "use He initialization with zero biases, or add a norm before the ReLU"
    text = f"{dead} of {units} ReLU units are inactive on all {IMAGES} images"
    named = [f"{w.name} {_places(w)} of {w.units}" for w in worst[:MOST_NAMED] if w.dead]
    return Diagnosis(
        code="dead-units",
        severity=severity,
        title=title,
        evidence=text + (": " + "; ".join(named) if named else ""),
        advice=advice,
        lesson=8,
        value=dead / units if units else 0.0,
        figure=f"{dead} of {units}",
    )


def _places(layer: _Layer) -> str:
    shown = ", ".join(map(str, layer.dead[:6]))
    return f"{shown}, … ({len(layer.dead)})" if len(layer.dead) > 6 else shown


def _recalibrated(context: CheckContext, model: nn.Module) -> nn.Module:
    """Return the model with batch norm recalibrated on the sample.

    The running statistics of an untrained model are of no image at all.
    """
    set_dropout(model, 0.0)
    recalibrate(model, [context.data.prepare(context.sample.images[:IMAGES])])
    return model


def _trained(context: CheckContext) -> nn.Module:
    """Return a copy of the model after a few updates."""
    trial = context.trial()
    for _ in range(FEW_STEPS):
        trial.step(lr=context.config.base_lr)
    return trial.model


@torch.no_grad()
def _watched(context: CheckContext, model: nn.Module) -> tuple[list[_Layer], bool]:
    """Return the units of every ReLU, and whether the logits differ between images."""
    layers: list[_Layer] = []
    last: list[Tensor] = []

    def reached(place: int, step: Step, result: Tensor) -> None:
        last[:] = [result.detach().clone()] if result.dim() == 2 else last
        if operation_of(step.call.name).kind == "relu" and result.dim() > 1:
            silent = is_dead(result)
            dead = tuple(silent.nonzero().flatten().tolist())
            layers.append(_Layer(context.name_of(place, step), len(silent), dead))

    trace(model, context.data.prepare(context.sample.images[:IMAGES]), reached=reached)
    logits = last[0] if last else None
    answers = logits is None or bool((logits.amax(dim=0) != logits.amin(dim=0)).any())
    return layers, answers
