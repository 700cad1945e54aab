"""Dropout: masks on a feature map, their mean, and what they do to the scores of a digit."""

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
from tui_trainer.lab.lessons.dropout.arithmetic import spread_of_sum
from tui_trainer.lab.samples import seeded_rng
from tui_trainer.models.build import DROPOUT_LAYERS, dropout_of
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Pictures, Words, at, counting

MASKS = 200
"""Masks by which the mean of the sum is measured."""

LOOKS = 20
"""Masks by which the scatter of the scores is measured."""

LEAST_SIDE = 14
"""Pixels that a picture has at least: each feature of a smaller map takes several."""

SHARE = number_control("share", "share p", 0.3, (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 0.0, 0.9)
DRAW = counting("draw", "mask", 100)
MODE = word_control("mode", ("training", "evaluation"))


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a feature map behind a mask, and how far the scores scatter from mask to mask."""
    usual = at(SHARE, min(0.9, dropout_of(context.model) or float(SHARE.value)))
    share, draw = controls.number(usual), controls.whole(DRAW)
    mode, digit = controls.word(MODE), context.digit(controls.whole(DIGIT))
    site = _site(context, digit)
    if site is None:
        text = "This network has no layer whose inputs could be hidden: dropout cannot be shown."
        yield Exhibit(blocks=(Words(text=text, tone="warning"),))
        return
    scores = _scores(context, digit, site, share, draw)
    if not bool(torch.isfinite(site.features).all() & torch.isfinite(scores).all()):
        lost = nonfinite_notice("the features")
        yield Exhibit(blocks=(lost,), result=lost.text)
        return
    hides = share if mode == "training" else 0.0
    yield Exhibit(
        blocks=(
            _pictures(site, hides, draw, mode),
            _confidence(scores, digit),
            Words(text=site.where, tone="muted"),
        ),
        result=_result(site, share, draw),
        certainty=_certainty(context, scores, digit, share),
    )


@dataclass(frozen=True, slots=True)
class Site:
    """Where features are hidden.

    Attributes:
        features: The features (C, …) of one digit there, in evaluation, on the CPU.
        layer: The last layer with weights, whose input they are; None where the network has
            dropout layers of its own.
        where: The place in a sentence.
    """

    features: Tensor
    layer: str | None
    where: str

    @property
    def map(self) -> Tensor:
        """The strongest map (H, W); a list of features is laid out as a rectangle."""
        if self.features.dim() == 3:
            strength = self.features.abs().flatten(1).sum(dim=1)
            return self.features[int(torch.nan_to_num(strength).argmax())]
        count = self.features.numel()
        rows = max(side for side in range(1, math.isqrt(count) + 1) if count % side == 0)
        return self.features.reshape(rows, -1)


def _site(context: Context, digit: Digit) -> Site | None:
    """Return where the run's network hides features, or could: before its last weights."""
    network = context.copy()
    modules = dict(network.named_modules())
    own = [name for name, module in modules.items() if isinstance(module, DROPOUT_LAYERS)]
    weighted = [
        row.name
        for row in context.layers
        if isinstance(modules.get(row.name), nn.Linear | nn.Conv2d) and row.is_layer
    ]
    name = own[0] if own else weighted[-1] if weighted else None
    if name is None:
        return None
    met = input_and_output(network, modules[name], digit.model_input)
    if met is None:
        return None
    where = (
        f"The network's own dropout: {', '.join(own)}; the map is that before {name}."
        if own
        else f"This network has no dropout: the mask lies on what {name} reads, its last features."
    )
    if own and not isinstance(modules[name], nn.Dropout):
        where += " It hides whole maps; in the picture each feature is hidden by itself."
    return Site(met[0][0].float().cpu(), None if own else name, where)


def mask_of(shape: torch.Size, share: float, draw: int) -> Tensor:
    """Return a mask: 1 where a feature is kept, 0 where it is hidden."""
    chance = torch.Generator().manual_seed(SEED + draw)
    return (torch.rand(shape, generator=chance) >= share).float()


def _pictures(site: Site, share: float, draw: int, mode: str) -> Pictures:
    shown = site.map
    mask = mask_of(shown.shape, share, draw)
    result = shown * mask / (1 - share)
    most = max(float(shown.abs().max()) / (1 - share), 1e-12)
    times = max(1, math.ceil(LEAST_SIDE / max(shown.shape)))

    # One scale for both, that of what is scaled up: whether a feature grows is to be seen.
    bound = most if float(shown.min()) < 0 else None
    before = map_picture(enlarged(shown, times), "before", low=0.0, high=most, bound=bound)
    kept = int(mask.sum())
    return Pictures(
        caption=f"{mode} mode: {mask.numel() - kept} of {mask.numel()} features are hidden",
        items=(
            before,
            map_picture(enlarged(mask, times), "mask", low=0.0, high=1.0),
            map_picture(enlarged(result, times), f"after, × {1 / (1 - share):.2f}", like=before),
        ),
    )


def _scores(context: Context, digit: Digit, site: Site, share: float, draw: int) -> Tensor:
    """Return the probabilities (LOOKS + 1, classes): first in evaluation, then behind masks."""
    network = context.copy()
    inputs = digit.model_input.expand(LOOKS, -1, -1, -1).contiguous()
    with torch.no_grad():
        plain = network(digit.model_input)
        modules = dict(network.named_modules())
        if site.layer is None:
            for module in modules.values():
                if isinstance(module, DROPOUT_LAYERS):
                    module.p, module.training = share, True
        else:
            modules[site.layer].register_forward_pre_hook(
                lambda module, given: (nn.functional.dropout(given[0], share), *given[1:])
            )
        with seeded_rng(context.device, SEED + draw):
            masked = network(inputs)
    return torch.cat((plain, masked)).double().softmax(dim=1).cpu()


def _confidence(scores: Tensor, digit: Digit) -> Bars:
    plain, *masked = scores[:, digit.label].tolist()
    masked.sort()
    told = (
        ("evaluation", plain),
        ("lowest", masked[0]),
        ("middle", statistics.median(masked)),
        ("highest", masked[-1]),
    )
    return Bars(
        caption=f"probability of the right class, {digit.label}, behind {LOOKS} masks",
        bars=tuple(
            Bar(label=f"{label:10}", share=p, number=f"{p:.4f}", is_marked=label == "evaluation")
            for label, p in told
        ),
    )


def _result(site: Site, share: float, draw: int) -> str:
    """Return the sum of the map in evaluation, and its mean over many masks."""
    shown = site.map
    masks = mask_of(torch.Size((MASKS, *shown.shape)), share, draw)
    sums = (shown * masks / (1 - share)).double().flatten(1).sum(dim=1).tolist()
    error = statistics.stdev(sums) / math.sqrt(MASKS)
    expected = spread_of_sum(shown.double().flatten().tolist(), share)
    return (
        f"The map's sum is {float(shown.double().sum()):.4g} in evaluation; behind {MASKS} masks "
        f"with p = {share:g} it is {statistics.fmean(sums):.4g} ± {error:.2g} in the mean, and "
        f"scatters by {statistics.stdev(sums):.3g} (√(p/(1−p) Σx²) = {expected:.3g})."
    )


def _certainty(context: Context, scores: Tensor, digit: Digit, share: float) -> str:
    right = int((scores[1:].argmax(dim=1) == digit.label).sum())
    usual = dropout_of(context.model)
    own = "the run has no dropout" if usual is None else f"the run hides {usual:g}"
    return (
        f"One digit, after step {context.step:,}: right behind {right} of {LOOKS} masks with p = "
        f"{share:g}. ± is one standard error; {own}."
    )
