"""Rules about the start: initial weights and factors that make signals vanish or explode."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.findings import causes
from tui_trainer.findings.model_checks import MIXING
from tui_trainer.findings.rule import NOT_LEARNED, finding, relative_loss
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import LayerProbe

EXPLODED, AT_ONCE = 3.0, 30.0
"""The factors over random guessing's loss at which an untrained model's logits explode: if the loss
is still high after a few steps, and in any case."""

STILL = 1.5
"""The factor over random guessing's loss that counts as high after a few steps."""

FEW_STEPS = 5
"""The number of those steps."""

FAINT = 1e-3
"""The share of the input's standard deviation that must at least arrive at the last layer."""

SCALED = 20.0
"""The factor from the last layer's outputs to the logits that is reported."""

USUAL_RANGE = 5.0
"""The usual range of all logits in standard deviations."""


def init_small(history: History) -> FindingRaised | None:
    """Find initial weights so small that hardly any signal arrives at the last layer.

    Norms restore the signal in training mode; a small last layer is a usual initialization.
    """
    sample, started = history.samples[0] if history.samples else None, history.started
    if sample is None or sample.step or started is None:
        return None
    if any(row.kind.endswith("norm") for row in started.layers):
        return None
    places = [place for place, layer in enumerate(sample.layers) if layer.kind in MIXING]
    tried = history.model_probe
    incoming = (tried.first_input_std if tried else None) or sample.input_std
    before = sample.layers[places[-1] - 1] if len(places) > 1 else None
    if before is None or before.std > FAINT * incoming or relative_loss(history) < NOT_LEARNED:
        return None
    return finding(
        "init_small",
        evidence=(
            f"standard deviation {incoming:.2g} at the first layer, {before.std:.1e} at the last "
            f"one, {sample.layers[places[-1]].name}, before training"
        ),
        step=0,
        plot=tuple(sample.layers[place].std for place in places),
    )


def logits_scaled(history: History) -> FindingRaised | None:
    """Find a factor behind the last layer that makes logits tiny or huge."""
    sample, started = history.samples[0] if history.samples else None, history.started
    if sample is None or sample.step or started is None:
        return None
    last = next((one for one in reversed(sample.layers) if one.kind in MIXING), None)
    if last is None or not last.std or not _only_factors(last, started.layers):
        return None
    times = (sample.logit_max - sample.logit_min) / (USUAL_RANGE * last.std)
    if 1 / SCALED < times < SCALED:
        return None
    return finding(
        "logits_scaled",
        evidence=(
            f"standard deviation {last.std:.2g} behind {last.name}, logits from "
            f"{sample.logit_min:.2g} to {sample.logit_max:.2g}"
        ),
        cause=(
            "a factor behind the last layer makes the logits huge, and the gradient with them"
            if times > 1
            else "a factor behind the last layer makes the logits tiny, and the gradient with them"
        ),
        step=0,
    )


def _only_factors(last: LayerProbe, rows: Sequence[LayerRow]) -> bool:
    """Whether nothing but factors comes behind a layer."""
    place = max((i for i, row in enumerate(rows) if row.name == last.name), default=len(rows))
    tail = [row.kind for row in rows[place + 1 :] if row.is_layer]
    return bool(tail) and all(kind in ("multiply", "div", "softmax", "flatten") for kind in tail)


def exploding_logits(history: History) -> FindingRaised | None:
    """Find an untrained model that is confident and wrong.

    Its initial loss is three times that of random guessing, on the sample and in the first batch
    (spectral norm is only an estimate before its first forward pass in training mode), and is still
    high after a few steps.
    """
    sample, guessing = history.last_sample, history.guessing_loss
    if sample is None or sample.step or sample.loss < EXPLODED * guessing:
        return None
    first, now = history.train_loss.trend[:1], history.last_step
    if history.divergence is None:
        if not first or now is None or first[0] < EXPLODED * guessing:
            return None
        is_high = now.step >= FEW_STEPS and relative_loss(history) >= STILL
        is_raised = "exploding_logits" in history.findings  # it is kept until the next sample
        if not (is_high or is_raised or first[0] >= AT_ONCE * guessing):
            return None
    is_worse = relative_loss(history) >= EXPLODED or sample.loss >= AT_ONCE * guessing
    scaled = causes.from_finding("logits_scaled")(history)
    stds = [layer.std for layer in sample.layers if layer.kind in MIXING]
    growth = ""
    if len(stds) > 1:
        growth = f"standard deviation of the outputs {stds[0]:.2g} in the first layer, "
        growth += f"{stds[-1]:.2g} in the last"
    init = causes.cause("init_large", "possible" if scaled else "shown", growth)
    return finding(
        "exploding_logits",
        severity="error" if is_worse else "warning",
        evidence=(
            f"initial loss {sample.loss:.4g}, random guessing gives {guessing:.2f}; "
            f"logits from {sample.logit_min:.3g} to {sample.logit_max:.3g}"
        ),
        causes=(scaled, init) if scaled else (init,),
        step=0,
        plot=tuple(layer.std for layer in sample.layers),
    )
