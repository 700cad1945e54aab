"""Batch norm: a layer before and after it, how batches scatter, and twins with and without."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.lab.context import SEED, Context
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.drawing import nonfinite_notice
from tui_trainer.lab.layer_maps import Subject, input_and_output, subject
from tui_trainer.lab.lessons.batch_normalization.arithmetic import normalized, scatter
from tui_trainer.lab.lessons.batch_normalization.norm_twins import RATE, race_of_twins
from tui_trainer.lab.samples import affordable, drawn
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Table, Words

SIZES = (4, 16, 128)
"""Batches whose statistics are compared."""

SHOWN = 6
"""Channels that are shown, evenly spread over the layer's."""

DRAWS = 200
"""Batches of each size by which the scatter of their means is measured."""

LEAST, MOST = 64, 256
"""Images from which these batches are drawn."""

FALLBACK = "squeeze-norm"

MODE = word_control("mode", ("training", "evaluation"))
BATCH = number_control("batch", "batch", 16, SIZES)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show what a batch norm makes of one batch, or train twins with and without it."""
    seen = subject(context, lambda s: bool(norms_of(s)), fallback=FALLBACK, lacks="batch norm")
    norms = norms_of(seen)
    names = tuple(norms)
    layer = word_control("layer", names)
    name, mode = controls.word(layer), controls.word(MODE)
    size, rate = controls.whole(BATCH), controls.number(RATE)
    if confirmed:
        yield from race_of_twins(context, rate)
        return
    look = look_at(context, seen, norms[name], size, training=mode == "training")
    if look.is_nonfinite:
        lost = nonfinite_notice("its outputs")
        yield Exhibit(blocks=(lost,), result="There is nothing to normalize.")
        return
    yield Exhibit(
        blocks=(*seen.note, _table(look, name, mode, size), _one_number(look), _scatter(look)),
        result=_result(look, mode),
        certainty=(
            f"One batch of {size} images, after step {context.step:,}; the scatter from {DRAWS} "
            f"batches of each size, drawn from {len(look.by_image)} images."
        ),
        trains="train squeeze without and with batch norm: about 15 s",
    )


@dataclass(frozen=True, slots=True)
class NormLook:
    """A batch norm and a batch, all by channel (C) and in double precision, on the CPU.

    Attributes:
        mean: Of the batch's outputs of the layer before.
        std: Likewise, as batch norm computes it: over all images and places, not corrected.
        out_mean: Of what batch norm gives.
        out_std: Likewise.
        running_mean: What it would take in evaluation.
        running_std: Likewise.
        used_mean: What it took now.
        used_std: Likewise, with ε under the root.
        scale: γ.
        shift: β.
        first: An output of the layer before, of the first channel, and what became of it.
        by_image: The mean of each image's channel (N, C), of more images than the batch has.
    """

    mean: Tensor
    std: Tensor
    out_mean: Tensor
    out_std: Tensor
    running_mean: Tensor
    running_std: Tensor
    used_mean: Tensor
    used_std: Tensor
    scale: Tensor
    shift: Tensor
    first: tuple[float, float]
    by_image: Tensor

    @property
    def is_nonfinite(self) -> bool:
        """Whether some of it is no finite number."""
        every = (self.mean, self.std, self.out_mean, self.running_mean, self.running_std)
        return not all(bool(torch.isfinite(t).all()) for t in (*every, self.by_image))


def norms_of(seen: Subject) -> dict[str, _BatchNorm]:
    """Return the batch norms on an image's way that keep running statistics, by their names."""
    modules = dict(seen.model.named_modules())
    reached = [(row.name, modules.get(row.name)) for row in seen.layers if row.is_layer]
    return {
        name: module
        for name, module in reached
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def look_at(
    context: Context, seen: Subject, norm: _BatchNorm, size: int, *, training: bool
) -> NormLook:
    """Return what a batch norm makes of a batch of ``size`` images.

    Args:
        context: Gives the images.
        seen: The network that has it.
        norm: The batch norm.
        size: Images of the batch, at least 2.
        training: Whether all batch norms go by the batch, as in training.
    """
    pool = affordable(seen.layers, 1.5, least=max(LEAST, size), most=MOST)
    inputs, _ = drawn(context, pool, 0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    running_mean, running_var = (t.double().cpu() for t in (norm.running_mean, norm.running_var))
    given, result = _through(seen.model, norm, inputs)
    by_image = given.flatten(2).mean(dim=2) if given.dim() > 2 else given
    given, result = given[:size], result[:size]
    if training:
        # In the order of the passes: this one moves the running statistics of the copy.
        for module in norms_of(seen).values():
            module.training = True
        given, result = _through(seen.model, norm, inputs[:size])
    mean, std = _moments(given)
    out_mean, out_std = _moments(result)
    used_mean, used_var = (mean, std**2) if training else (running_mean, running_var)
    scale, shift = _learned(norm)
    return NormLook(
        mean=mean,
        std=std,
        out_mean=out_mean,
        out_std=out_std,
        running_mean=running_mean,
        running_std=running_var.sqrt(),
        used_mean=used_mean,
        used_std=(used_var + norm.eps).sqrt(),
        scale=scale,
        shift=shift,
        first=_middle(given, result),
        by_image=by_image,
    )


def _learned(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return γ and β (C); 1 and 0 where they are not learned."""
    scale = torch.ones(norm.num_features) if norm.weight is None else norm.weight.detach()
    shift = torch.zeros(norm.num_features) if norm.bias is None else norm.bias.detach()
    return scale.double().cpu(), shift.double().cpu()


def _through(network: nn.Module, norm: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a batch norm is given and what it gives (N, C, …), in double precision."""
    met = input_and_output(network, norm, inputs)
    if met is None:
        raise ValueError("a batch norm of the layer table is not reached")
    return met[0].double().cpu(), met[1].double().cpu()


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation by channel, over images and places."""
    flat = values.transpose(0, 1).flatten(1)
    return flat.mean(dim=1), flat.std(dim=1, correction=0)


def _middle(given: Tensor, result: Tensor) -> tuple[float, float]:
    """Return the middle of the first image's first map, before and after."""
    before, after = given[0, 0].flatten(), result[0, 0].flatten()
    return float(before[len(before) // 2]), float(after[len(after) // 2])


def _channels(look: NormLook) -> list[int]:
    """Return the channels that are shown."""
    total = len(look.mean)
    count = min(SHOWN, total)
    return sorted({round(i * (total - 1) / max(1, count - 1)) for i in range(count)})


def _table(look: NormLook, name: str, mode: str, size: int) -> Table:
    columns = (
        *(look.mean, look.std, look.running_mean, look.running_std),
        *(look.out_mean, look.out_std, look.scale, look.shift),
    )
    return Table(
        caption=f"{name} in {mode} mode, {size} images; μ and σ by channel",
        heads=("channel", "μ batch", "σ batch", "μ run.", "σ run.", "μ out", "σ out", "γ", "β"),
        rows=tuple(
            (str(channel), *(_figure(float(column[channel])) for column in columns))
            for channel in _channels(look)
        ),
    )


def _one_number(look: NormLook) -> Words:
    """Return the arithmetic for one output of the first channel."""
    mean, std = float(look.used_mean[0]), float(look.used_std[0])
    scale, shift = float(look.scale[0]), float(look.shift[0])
    value, became = look.first
    found = normalized(value, mean, std, scale, shift)
    text = (
        f"channel 0:  {scale:z.3f} · ({value:z.3f} − {mean:z.3f}) / {std:.3f} + {shift:z.3f} "
        f"= {found:z.3f}\nthe layer gives {became:z.3f}"
    )
    return Words(text=text.replace("− -", "+ ").replace("+ -", "− "), is_preformatted=True)


def _scatter(look: NormLook) -> Bars:
    """Return how much the means of batches of each size scatter, beside σ / √n."""
    single = float(look.by_image.std(dim=0).mean())
    chance = torch.Generator().manual_seed(SEED)
    found = []
    for size in SIZES:
        places = torch.randint(len(look.by_image), (DRAWS, size), generator=chance)
        means = look.by_image[places].mean(dim=1)
        found.append(float(means.std(dim=0).mean()))
    largest = max(found) or 1.0
    return Bars(
        caption="how far the mean of a batch scatters, mean over the channels",
        bars=tuple(
            Bar(
                label=f"{size:4} images",
                share=measured / largest,
                number=f"{measured:.4f}   σ/√n {scatter(single, size):.4f}",
            )
            for size, measured in zip(SIZES, found, strict=True)
        ),
    )


def _result(look: NormLook, mode: str) -> str:
    """Return how near to β and |γ| the channels come out."""
    off_mean = float((look.out_mean - look.shift).abs().max())
    off_std = float((look.out_std - look.scale.abs()).abs().max())
    if mode == "training":
        return (
            f"By the batch's own statistics every channel comes out with mean β and deviation |γ|: "
            f"off by {_small(off_mean)} and {_small(off_std)} at most."
        )
    return (
        f"By the running statistics the channels' means are off β by {_small(off_mean)} at most, "
        f"their deviations off |γ| by {_small(off_std)}."
    )


def _small(value: float) -> str:
    return f"{value:.1e}" if 0 < value < 1e-3 else f"{value:.3f}"


def _figure(value: float) -> str:
    digits = 3 if not math.isfinite(value) or abs(value) < 10 else 1
    return f"{value:z.{digits}f}"
