"""Dropout: masks on a feature map, their mean, and the effect on a digit's probabilities."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.lab.context import DIGIT, SEED, Context, Digit
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.drawing import enlarged, map_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import input_and_output
from tui_trainer.lab.lessons.dropout.arithmetic import std_of_sum
from tui_trainer.lab.samples import seeded_rng
from tui_trainer.models.build import DROPOUT_LAYERS, dropout_of
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Pictures, Words, at, counting

MASKS = 200
"""Masks for the mean of the sum."""

PREDICTIONS = 20
"""Masks for the spread of the probabilities."""

LEAST_SIDE = 14
"""Minimum pixels of a picture: each feature of a smaller map takes several."""

SHARE = number_control(
    "share", "probability p", 0.3, (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 0.0, 0.9
)
DRAW = counting("draw", "mask", 100)
MODE = word_control("mode", ("training", "evaluation"))


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a feature map with a mask, and the spread of the probabilities over masks."""
    share_control = at(SHARE, min(0.9, dropout_of(context.model) or float(SHARE.value)))
    share, draw = controls.number(share_control), controls.whole(DRAW)
    mode, digit = controls.word(MODE), context.digit(controls.whole(DIGIT))
    site = _site(context, digit)
    if site is None:
        text = "This network has no layer whose inputs could be dropped: dropout cannot be shown."
        yield Exhibit(blocks=(Words(text=text, tone="warning"),))
        return
    probabilities = _probabilities(context, digit, site, share, draw)
    if not bool(torch.isfinite(site.features).all() & torch.isfinite(probabilities).all()):
        message = nonfinite_notice("the features")
        yield Exhibit(blocks=(message,), result=message.text)
        return
    dropped = share if mode == "training" else 0.0
    yield Exhibit(
        blocks=(
            _pictures(site, dropped, draw, mode),
            _confidence(probabilities, digit),
            Words(text=site.where, tone="muted"),
        ),
        result=_result(site, share, draw),
        evidence=_uncertainty(context, probabilities, digit, share),
    )


@dataclass(frozen=True, slots=True)
class Site:
    """Where features are dropped.

    Attributes:
        features: The features (C, …) of one digit there, in evaluation mode, on the CPU.
        layer: The last layer with weights, whose input they are; None if the model has dropout
            layers.
        where: A sentence that names the position.
    """

    features: Tensor
    layer: str | None
    where: str

    @property
    def map(self) -> Tensor:
        """The strongest map (H, W); a vector of features is reshaped to a rectangle."""
        if self.features.dim() == 3:
            strength = self.features.abs().flatten(1).sum(dim=1)
            return self.features[int(torch.nan_to_num(strength).argmax())]
        count = self.features.numel()
        rows = max(side for side in range(1, math.isqrt(count) + 1) if count % side == 0)
        return self.features.reshape(rows, -1)


def _site(context: Context, digit: Digit) -> Site | None:
    """Return where the run's model drops features, or could: before its last weights."""
    model = context.copy()
    modules = dict(model.named_modules())
    dropouts = [name for name, module in modules.items() if isinstance(module, DROPOUT_LAYERS)]
    weighted = [
        row.name
        for row in context.layers
        if isinstance(modules.get(row.name), nn.Linear | nn.Conv2d) and row.is_layer
    ]
    name = dropouts[0] if dropouts else weighted[-1] if weighted else None
    if name is None:
        return None
    met = input_and_output(model, modules[name], digit.model_input)
    if met is None:
        return None
    where = (
        f"Dropout of this network: {', '.join(dropouts)}; the map is the input of {name}."
        if dropouts
        else f"This network has no dropout: the mask is applied to the input of {name}."
    )
    if dropouts and not isinstance(modules[name], nn.Dropout):
        where += " This layer drops whole channels; the picture drops single features."
    return Site(met[0][0].float().cpu(), None if dropouts else name, where)


def mask_of(shape: torch.Size, share: float, draw: int) -> Tensor:
    """Return a mask: 1 for a feature that is kept, 0 for one that is dropped."""
    rng = torch.Generator().manual_seed(SEED + draw)
    return (torch.rand(shape, generator=rng) >= share).float()


def _pictures(site: Site, share: float, draw: int, mode: str) -> Pictures:
    shown = site.map
    mask = mask_of(shown.shape, share, draw)
    result = shown * mask / (1 - share)
    most = max(float(shown.abs().max()) / (1 - share), 1e-12)
    times = max(1, math.ceil(LEAST_SIDE / max(shown.shape)))

    # One scale for both, large enough for the scaled features, so that their growth is visible.
    bound = most if float(shown.min()) < 0 else None
    before = map_picture(enlarged(shown, times), "before", low=0.0, high=most, bound=bound)
    kept = int(mask.sum())
    return Pictures(
        caption=f"{mode} mode: {mask.numel() - kept} of {mask.numel()} features are dropped",
        items=(
            before,
            map_picture(enlarged(mask, times), "mask", low=0.0, high=1.0),
            map_picture(enlarged(result, times), f"after, × {1 / (1 - share):.2f}", like=before),
        ),
    )


def _probabilities(context: Context, digit: Digit, site: Site, share: float, draw: int) -> Tensor:
    """Return the probabilities (1 + PREDICTIONS, classes): in evaluation mode, then with masks."""
    model = context.copy()
    inputs = digit.model_input.expand(PREDICTIONS, -1, -1, -1).contiguous()
    with torch.no_grad():
        plain = model(digit.model_input)
        modules = dict(model.named_modules())
        if site.layer is None:
            for module in modules.values():
                if isinstance(module, DROPOUT_LAYERS):
                    module.p, module.training = share, True
        else:
            modules[site.layer].register_forward_pre_hook(
                lambda module, given: (nn.functional.dropout(given[0], share), *given[1:])
            )
        with seeded_rng(context.device, SEED + draw):
            masked = model(inputs)
    return torch.cat((plain, masked)).double().softmax(dim=1).cpu()


def _confidence(probabilities: Tensor, digit: Digit) -> Bars:
    plain, *masked = probabilities[:, digit.label].tolist()
    masked.sort()
    rows = (
        ("evaluation", plain),
        ("lowest", masked[0]),
        ("median", statistics.median(masked)),
        ("highest", masked[-1]),
    )
    return Bars(
        caption=f"probability of the true class, {digit.name}, with {PREDICTIONS} masks",
        bars=tuple(
            Bar(label=f"{label:10}", share=p, number=f"{p:.4f}", is_marked=label == "evaluation")
            for label, p in rows
        ),
    )


def _result(site: Site, share: float, draw: int) -> str:
    """Return the sum of the map in evaluation mode, and its mean over many masks."""
    shown = site.map
    masks = mask_of(torch.Size((MASKS, *shown.shape)), share, draw)
    sums = (shown * masks / (1 - share)).double().flatten(1).sum(dim=1).tolist()
    error = statistics.stdev(sums) / math.sqrt(MASKS)
    expected = std_of_sum(shown.double().flatten().tolist(), share)
    return (
        f"The sum of the map is {float(shown.double().sum()):.4g} in evaluation mode. Over {MASKS} "
        f"masks with p = {share:g} its mean is {statistics.fmean(sums):.4g} ± {error:.2g}, its "
        f"standard deviation {statistics.stdev(sums):.3g} (√(p/(1−p) Σx²) = {expected:.3g})."
    )


def _uncertainty(context: Context, probabilities: Tensor, digit: Digit, share: float) -> str:
    correct = int((probabilities[1:].argmax(dim=1) == digit.label).sum())
    run_dropout = dropout_of(context.model)
    note = "the run has no dropout" if run_dropout is None else f"the run has p = {run_dropout:g}"
    return (
        f"One image, after step {context.step:,}: correct with {correct} of {PREDICTIONS} masks at "
        f"p = {share:g}. ± is one standard error; {note}."
    )
