"""Batch norm: a layer before and after it, batch means, and training with and without it."""

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
from tui_trainer.lab.lessons.batch_normalization.arithmetic import normalized, standard_error
from tui_trainer.lab.lessons.batch_normalization.norm_twins import LR, compare_twins
from tui_trainer.lab.samples import affordable, drawn
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Table, Words

SIZES = (4, 16, 128)
"""Batch sizes whose statistics are compared."""

SHOWN = 6
"""Channels that are shown, evenly spaced."""

DRAWS = 200
"""Batches of each size for the standard error of their means."""

MIN_IMAGES, MAX_IMAGES = 64, 256
"""Images from which these batches are drawn."""

FALLBACK = "squeeze-norm"

MODE = word_control("mode", ("training", "evaluation"))
BATCH = number_control("batch", "batch", 16, SIZES)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a batch norm on one batch, or train with and without batch norm."""
    inspected = subject(context, lambda s: bool(norms_of(s)), fallback=FALLBACK, lacks="batch norm")
    norms = norms_of(inspected)
    names = tuple(norms)
    layer = word_control("layer", names)
    name, mode = controls.word(layer), controls.word(MODE)
    size, lr = controls.whole(BATCH), controls.number(LR)
    if confirmed:
        yield from compare_twins(context, lr)
        return
    statistics = norm_statistics(context, inspected, norms[name], size, training=mode == "training")
    if statistics.is_nonfinite:
        message = nonfinite_notice("its outputs")
        yield Exhibit(blocks=(message,), result="There is nothing to normalize.")
        return
    yield Exhibit(
        blocks=(
            *inspected.note,
            _table(statistics, name, mode, size),
            _one_number(statistics),
            _standard_errors(statistics),
        ),
        result=_result(statistics, mode),
        evidence=(
            f"One batch of {size} images, after step {context.step:,}; standard errors over "
            f"{DRAWS} batches of each size, drawn from {len(statistics.by_image)} images."
        ),
        trains="train squeeze without and with batch norm: about 15 s",
    )


@dataclass(frozen=True, slots=True)
class NormStatistics:
    """The statistics of a batch norm on a batch, per channel (C), in double precision on the CPU.

    Attributes:
        mean: Of the input over the batch.
        std: Of the input, as batch norm computes it: over images and positions, biased.
        out_mean: Of the output.
        out_std: Of the output.
        running_mean: The running mean, which evaluation mode uses.
        running_std: The running standard deviation.
        used_mean: The mean that was used.
        used_std: The standard deviation that was used, with ε under the root.
        scale: γ.
        shift: β.
        first: One input value of the first channel, and its output.
        by_image: The channel means of single images (N, C), of more images than the batch has.
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
        """Whether some statistics are not finite."""
        every = (self.mean, self.std, self.out_mean, self.running_mean, self.running_std)
        return not all(bool(torch.isfinite(t).all()) for t in (*every, self.by_image))


def norms_of(inspected: Subject) -> dict[str, _BatchNorm]:
    """Return the batch norms with running statistics that an image reaches, by name."""
    modules = dict(inspected.model.named_modules())
    reached = [(row.name, modules.get(row.name)) for row in inspected.layers if row.is_layer]
    return {
        name: module
        for name, module in reached
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def norm_statistics(
    context: Context, inspected: Subject, norm: _BatchNorm, size: int, *, training: bool
) -> NormStatistics:
    """Return the statistics of a batch norm on a batch of ``size`` images.

    Args:
        context: The source of the images.
        inspected: The model with the batch norm.
        norm: The batch norm.
        size: Images of the batch, at least 2.
        training: Whether all batch norms use batch statistics, as in training mode.
    """
    pool = affordable(inspected.layers, 1.5, least=max(MIN_IMAGES, size), most=MAX_IMAGES)
    inputs, _ = drawn(context, pool, 0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    running_mean, running_var = (t.double().cpu() for t in (norm.running_mean, norm.running_var))
    given, result = _input_and_output_of(inspected.model, norm, inputs)
    by_image = given.flatten(2).mean(dim=2) if given.dim() > 2 else given
    given, result = given[:size], result[:size]
    if training:
        # Only now: this pass changes the running statistics of the copy.
        for module in norms_of(inspected).values():
            module.training = True
        given, result = _input_and_output_of(inspected.model, norm, inputs[:size])
    mean, std = _moments(given)
    out_mean, out_std = _moments(result)
    used_mean, used_var = (mean, std**2) if training else (running_mean, running_var)
    scale, shift = _learned(norm)
    return NormStatistics(
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
        first=_middle_value(given, result),
        by_image=by_image,
    )


def _learned(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return γ and β (C); 1 and 0 if they are not learned."""
    scale = torch.ones(norm.num_features) if norm.weight is None else norm.weight.detach()
    shift = torch.zeros(norm.num_features) if norm.bias is None else norm.bias.detach()
    return scale.double().cpu(), shift.double().cpu()


def _input_and_output_of(
    model: nn.Module, norm: nn.Module, inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the input and output of a batch norm (N, C, …), in double precision."""
    met = input_and_output(model, norm, inputs)
    if met is None:
        raise ValueError("the forward pass does not reach a batch norm of the layer table")
    return met[0].double().cpu(), met[1].double().cpu()


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, over images and positions."""
    flat = values.transpose(0, 1).flatten(1)
    return flat.mean(dim=1), flat.std(dim=1, correction=0)


def _middle_value(given: Tensor, result: Tensor) -> tuple[float, float]:
    """Return the center of the first channel of the first image, before and after."""
    before, after = given[0, 0].flatten(), result[0, 0].flatten()
    return float(before[len(before) // 2]), float(after[len(after) // 2])


def _channels(statistics: NormStatistics) -> list[int]:
    """Return the indices of the channels that are shown."""
    total = len(statistics.mean)
    count = min(SHOWN, total)
    return sorted({round(i * (total - 1) / max(1, count - 1)) for i in range(count)})


def _table(statistics: NormStatistics, name: str, mode: str, size: int) -> Table:
    columns = (
        *(statistics.mean, statistics.std, statistics.running_mean, statistics.running_std),
        *(statistics.out_mean, statistics.out_std, statistics.scale, statistics.shift),
    )
    return Table(
        caption=f"{name} in {mode} mode, {size} images; μ and σ per channel",
        heads=("channel", "μ batch", "σ batch", "μ run.", "σ run.", "μ out", "σ out", "γ", "β"),
        rows=tuple(
            (str(channel), *(_number(float(column[channel])) for column in columns))
            for channel in _channels(statistics)
        ),
    )


def _one_number(statistics: NormStatistics) -> Words:
    """Return the formula with the numbers of one value of the first channel."""
    mean, std = float(statistics.used_mean[0]), float(statistics.used_std[0])
    scale, shift = float(statistics.scale[0]), float(statistics.shift[0])
    value, became = statistics.first
    found = normalized(value, mean, std, scale, shift)
    text = (
        f"channel 0:  {scale:z.3f} · ({value:z.3f} − {mean:z.3f}) / {std:.3f} + {shift:z.3f} "
        f"= {found:z.3f}\noutput of the layer: {became:z.3f}"
    )
    return Words(text=text.replace("− -", "+ ").replace("+ -", "− "), is_preformatted=True)


def _standard_errors(statistics: NormStatistics) -> Bars:
    """Return the standard error of the mean for each batch size, measured and as σ / √n."""
    single = float(statistics.by_image.std(dim=0).mean())
    rng = torch.Generator().manual_seed(SEED)
    found = []
    for size in SIZES:
        places = torch.randint(len(statistics.by_image), (DRAWS, size), generator=rng)
        means = statistics.by_image[places].mean(dim=1)
        found.append(float(means.std(dim=0).mean()))
    largest = max(found) or 1.0
    return Bars(
        caption="standard error of the batch mean, averaged over the channels",
        bars=tuple(
            Bar(
                label=f"{size:4} images",
                share=measured / largest,
                number=f"{measured:.4f}   σ/√n {standard_error(single, size):.4f}",
            )
            for size, measured in zip(SIZES, found, strict=True)
        ),
    )


def _result(statistics: NormStatistics, mode: str) -> str:
    """Return how close the output comes to mean β and standard deviation |γ|."""
    off_mean = float((statistics.out_mean - statistics.shift).abs().max())
    off_std = float((statistics.out_std - statistics.scale.abs()).abs().max())
    if mode == "training":
        return (
            f"With batch statistics every channel has output mean β and standard deviation |γ|: "
            f"off by {_short_number(off_mean)} and {_short_number(off_std)} at most."
        )
    return (
        f"With running statistics the output means differ from β by {_short_number(off_mean)} at "
        f"most, the standard deviations from |γ| by {_short_number(off_std)}."
    )


def _short_number(value: float) -> str:
    return f"{value:.1e}" if 0 < value < 1e-3 else f"{value:.3f}"


def _number(value: float) -> str:
    digits = 3 if not math.isfinite(value) or abs(value) < 10 else 1
    return f"{value:z.{digits}f}"
