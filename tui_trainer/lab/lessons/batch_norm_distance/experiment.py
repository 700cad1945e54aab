"""The distance of batch norm from the prediction, and its effect on the logits themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.anatomy.review.design import Design, is_norm, is_weighted
from tui_trainer.lab.compare import Evaluations, arm, compare
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.drawing import alone, nonfinite_notice, shown_classes
from tui_trainer.lab.lessons.batch_norm_distance.arithmetic import best_possible
from tui_trainer.lab.trial import Arm
from tui_trainer.protocol.class_names import class_names
from tui_trainer.protocol.exhibit import Bar, Bars, Block, Exhibit, Table, Words
from tui_trainer.text.fmt import clip, columns, listed, plural
from tui_trainer.text.lines import padded

SAMPLE_SIZE = 400
"""Validation images from which the other images of a batch are drawn."""

DRAWS = 200
"""Batches into which the digit is put."""

EPSILON = 1e-5
"""Added to each variance, as in torch."""

MOST_ROWS = 8
"""Rows of the table; it shows the last layers."""

TRAINED = 8_000
"""Training images for each of the two models."""

BATCH = number_control("batch", "batch size", 16, (4, 8, 16, 32, 64, 128))


@dataclass(frozen=True, slots=True)
class NormedDigit:
    """A digit in batches of other images.

    Attributes:
        place: The index of the digit in the sample.
        label: Its class.
        logits: The logits of the sample (N, classes), in evaluation mode.
        labels: The classes of the sample (N).
        companions: The number of other images in a batch.
        normed: The digit's logits after batch norm (draws, classes).
    """

    place: int
    label: int
    logits: Tensor
    labels: Tensor
    companions: int
    normed: Tensor

    @property
    def probabilities(self) -> Tensor:
        """The digit's probabilities without batch norm (classes)."""
        return self.logits[self.place].softmax(dim=0)

    @property
    def normed_probabilities(self) -> Tensor:
        """Its probabilities after batch norm (draws, classes)."""
        return self.normed.softmax(dim=1)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show how a digit depends on the rest of its batch, or train with and without such a norm."""
    place, size = controls.whole(DIGIT), controls.whole(BATCH)
    if confirmed:
        yield from _trained(context)
        return
    digit = context.digit(place)
    picture = alone(digit)
    trains = "train a network with and without it: about 15 s"
    sample = normed_digit(context, digit.number, size)
    if not bool(torch.isfinite(sample.logits).all()):
        yield Exhibit(
            blocks=(picture, *_where(context)),
            result=nonfinite_notice("the logits").text,
            trains=trains,
        )
        return
    yield Exhibit(
        blocks=(_bars(context, sample), picture, *_where(context)),
        result=_result(sample, digit),
        evidence=_uncertainty(sample, context),
        trains=trains,
    )


@torch.no_grad()
def normed_digit(context: Context, number: int, size: int) -> NormedDigit:
    """Return a digit's logits, alone and in batches of ``size`` images."""
    images = context.digits.images[: max(SAMPLE_SIZE, number + 1)]
    labels = context.digits.labels[: len(images)]
    logits = context.copy()(context.data.prepare(images)).float().cpu()
    others = torch.cat([torch.arange(number), torch.arange(number + 1, len(logits))])
    companions = min(size - 1, len(others))
    drawn = torch.stack([others[torch.randperm(len(others))[:companions]] for _ in range(DRAWS)])
    digit = torch.full((DRAWS, 1), number)
    batches = logits[torch.cat([digit, drawn], dim=1)]
    return NormedDigit(
        place=number,
        label=int(labels[number]),
        logits=logits,
        labels=labels.cpu(),
        companions=companions,
        normed=_batch_normed(batches)[:, 0],
    )


def _batch_normed(batches: Tensor) -> Tensor:
    """Return the logits of batches (batches, N, classes) after batch norm with γ = 1."""
    variance, mean = torch.var_mean(batches, dim=1, correction=0, keepdim=True)
    return (batches - mean) / (variance + EPSILON).sqrt()


def _bars(context: Context, sample: NormedDigit) -> Bars:
    names = class_names(context.data.class_names, context.data.classes)
    shown = shown_classes(sample.probabilities.tolist(), sample.label)
    across = max(columns(names[each]) for each in shown)
    normed = sample.normed_probabilities
    return Bars(
        caption=f"p as it is → after the norm: mean [min, max] of {DRAWS} batches; ▸ is true",
        bars=tuple(
            Bar(
                label=f"{padded(names[label], across)}  z {logit:+z6.2f} → {z:+z5.2f}",
                share=float(p.mean()),
                number=f"p {plain:.3f} → {p.mean():.3f} [{p.min():.3f}, {p.max():.3f}]",
                is_marked=label == sample.label,
            )
            for label, (logit, z, plain, p) in enumerate(
                zip(
                    sample.logits[sample.place].tolist(),
                    sample.normed.mean(dim=0).tolist(),
                    sample.probabilities.tolist(),
                    normed.T,
                    strict=True,
                )
            )
            if label in shown
        ),
    )


def _result(sample: NormedDigit, digit: Digit) -> str:
    plain = float(sample.probabilities[sample.label])
    normed = sample.normed_probabilities[:, sample.label]
    return (
        f"Without batch norm this {digit.name} has the probability {plain:.3f} in any batch. "
        f"After batch norm with γ = 1 it has {normed.mean():.3f}, from {normed.min():.3f} to "
        f"{normed.max():.3f} depending on the rest of the batch (standard deviation "
        f"{normed.std(correction=0):.3f})."
    )


def _uncertainty(sample: NormedDigit, context: Context) -> str:
    size = sample.companions + 1
    whole = len(sample.logits) // size * size
    logits, labels = sample.logits[:whole], sample.labels[:whole]
    normed_logits = _batch_normed(logits.view(-1, size, logits.shape[1])).flatten(0, 1)
    plain = float(functional.cross_entropy(logits, labels))
    normed = float(functional.cross_entropy(normed_logits, labels))
    best, least = best_possible(context.data.classes)
    return (
        f"{DRAWS} draws of {plural(sample.companions, 'other image')} out of "
        f"{len(sample.logits) - 1}, with fixed weights. Mean loss of {whole} images: {plain:.3f} "
        f"without batch norm, {normed:.3f} with it; perfect logits would reach p {best:.3f} and "
        f"loss {least:.3f} with it."
    )


def _where(context: Context) -> tuple[Block, ...]:
    """Return the positions of batch norm, and the number of layers after each."""
    design = Design(context.layers)
    weighted = [p for p in sorted(design.distances) if is_weighted(design.rows[p])]
    norms = [p for p in design.distances if design.rows[p].kind == "batch norm"]
    others = sorted({row.kind for row in design.rows if is_norm(row)} - {"batch norm"})
    if not norms and others:
        sentence = Words(
            text=f"This network has no batch norm. Its {listed(others)} uses the statistics of one "
            "image: its logits never depend on the rest of the batch."
        )
    elif not norms:
        sentence = Words(text="This network has no batch norm.", tone="warning")
    else:
        last = min(norms, key=lambda p: design.distances[p])
        sentence = Words(
            text=f"The last batch norm, {clip(design.rows[last].name, 30)}, has "
            f"{plural(design.distances[last], 'layer')} with weights between it and the logits."
        )
    rows = []
    for place in weighted[-MOST_ROWS:]:
        row = design.rows[place]
        has_norm = any(is_norm(design.rows[p]) for p in design.companions_after(place))
        distance = str(design.distances[place])
        kind = f"{row.kind} {row.kernel}".strip()
        name = clip(row.name, 16)
        rows.append((name, kind, row.shape_text, "yes" if has_norm else "—", distance))
    left_out = len(weighted) - len(rows)
    caption = "its layers with weights"
    return (
        sentence,
        Table(
            caption=f"{caption}, the last {len(rows)}" if left_out else caption,
            heads=("layer", "kind", "output", "norm after it", "layers after it"),
            rows=tuple(rows),
        ),
    )


def _trained(context: Context) -> Iterator[Exhibit]:
    """Train the model ``small`` as it is, and with batch norm on its logits."""
    normed = nn.Sequential(context.fresh("small"), nn.BatchNorm1d(context.data.classes))
    arms = [
        arm(context, "plain logits", context.fresh("small")),
        arm(context, "normalized logits", normed.to(context.device)),
    ]
    setup = Words(
        text="The network small has batch norm after every convolution, or after its pool if there "
        f"is one; one of the two also has it on its {context.data.classes} logits. Initial "
        "weights, images and their order are the same.",
        tone="muted",
    )
    yield from compare(context, arms, setup=(setup,), found=_losses, images=TRAINED)


def _losses(arms: Sequence[Arm], evaluations: Evaluations) -> tuple[Block, ...]:
    """Return the losses in evaluation mode, and the learned γ of the logits' batch norm."""
    rows = []
    for each in arms:
        norm = [m for m in each.trial.model.children() if isinstance(m, nn.BatchNorm1d)]
        scale = f"{float(norm[0].weight.detach().mean()):.2f}" if norm else "—"
        rows.append((each.name, f"{evaluations[each.name].loss:.4f}", scale))
    return (
        Table(
            caption="in evaluation mode on the validation images",
            heads=("network", "loss", "mean γ of the logits' norm"),
            rows=tuple(rows),
        ),
    )
