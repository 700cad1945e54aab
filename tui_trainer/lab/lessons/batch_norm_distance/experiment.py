"""The distance of batch norm from the prediction: what it would do to the scores themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.anatomy.review.design import Design, is_norm, is_weighted
from tui_trainer.lab.compare import Evaluations, arm, compare
from tui_trainer.lab.context import DIGIT, Context
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.drawing import alone, nonfinite_notice
from tui_trainer.lab.lessons.batch_norm_distance.arithmetic import most_certain
from tui_trainer.lab.trial import Arm
from tui_trainer.protocol.exhibit import Bar, Bars, Block, Exhibit, Table, Words
from tui_trainer.text.fmt import clip, plural

LOOKED_AT = 400
"""Images of validation that companions are drawn from."""

DRAWS = 200
"""How many batches a digit is put into."""

EPSILON = 1e-5
"""What is added to each variance, as torch does."""

MOST_ROWS = 8
"""Layers of the table: the last ones."""

TRAINED = 8_000
"""Training images for each of the two networks."""

BATCH = number_control("batch", "batch size", 16, (4, 8, 16, 32, 64, 128))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A digit among others.

    Attributes:
        place: The digit's place in the sample.
        label: Its class.
        scores: The scores of the sample (N, classes), in evaluation mode.
        labels: Its classes (N).
        companions: How many images share a batch with the digit.
        normed: The digit's scores behind a batch norm (draws, classes).
    """

    place: int
    label: int
    scores: Tensor
    labels: Tensor
    companions: int
    normed: Tensor

    @property
    def own(self) -> Tensor:
        """The digit's probabilities as they are (classes)."""
        return self.scores[self.place].softmax(dim=0)

    @property
    def drawn(self) -> Tensor:
        """Its probabilities behind the batch norm (draws, classes)."""
        return self.normed.softmax(dim=1)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show what the companions of a digit would do to it; or train with and without such a norm."""
    place, size = controls.whole(DIGIT), controls.whole(BATCH)
    if confirmed:
        yield from _trained(context)
        return
    digit = context.digit(place)
    picture = alone(digit)
    trains = "train a network with and without it: about 15 s"
    seen = _look(context, digit.number, size)
    if not bool(torch.isfinite(seen.scores).all()):
        yield Exhibit(
            blocks=(picture, *_where(context)),
            result=nonfinite_notice("the scores").text,
            trains=trains,
        )
        return
    yield Exhibit(
        blocks=(_bars(seen), picture, *_where(context)),
        result=_result(seen),
        certainty=_certainty(seen, context),
        trains=trains,
    )


@torch.no_grad()
def _look(context: Context, number: int, size: int) -> _Seen:
    """Return a digit's scores, alone and in batches of ``size`` with others."""
    images = context.digits.images[: max(LOOKED_AT, number + 1)]
    labels = context.digits.labels[: len(images)]
    scores = context.copy()(context.data.prepare(images)).float().cpu()
    others = torch.cat([torch.arange(number), torch.arange(number + 1, len(scores))])
    companions = min(size - 1, len(others))
    drawn = torch.stack([others[torch.randperm(len(others))[:companions]] for _ in range(DRAWS)])
    own = torch.full((DRAWS, 1), number)
    batches = scores[torch.cat([own, drawn], dim=1)]
    return _Seen(
        place=number,
        label=int(labels[number]),
        scores=scores,
        labels=labels.cpu(),
        companions=companions,
        normed=_normed(batches)[:, 0],
    )


def _normed(batches: Tensor) -> Tensor:
    """Return the scores of batches (batches, N, classes) behind a batch norm of scale 1."""
    spread, mean = torch.var_mean(batches, dim=1, correction=0, keepdim=True)
    return (batches - mean) / (spread + EPSILON).sqrt()


def _bars(seen: _Seen) -> Bars:
    drawn = seen.drawn
    return Bars(
        caption=f"p as it is → behind a norm: mean [least, most] of {DRAWS} batches; ▸ is right",
        bars=tuple(
            Bar(
                label=f"{label}  z {score:+z6.2f} → {z:+z5.2f}",
                share=float(p.mean()),
                number=f"p {own:.3f} → {p.mean():.3f} [{p.min():.3f}, {p.max():.3f}]",
                is_marked=label == seen.label,
            )
            for label, (score, z, own, p) in enumerate(
                zip(
                    seen.scores[seen.place].tolist(),
                    seen.normed.mean(dim=0).tolist(),
                    seen.own.tolist(),
                    drawn.T,
                    strict=True,
                )
            )
        ),
    )


def _result(seen: _Seen) -> str:
    own, right = float(seen.own[seen.label]), seen.drawn[:, seen.label]
    return (
        f"As it is, this {seen.label} has the probability {own:.3f}, whoever its companions are. "
        f"Behind a batch norm with scale 1 it has {right.mean():.3f}, from {right.min():.3f} to "
        f"{right.max():.3f} by its companions alone (standard deviation "
        f"{right.std(correction=0):.3f})."
    )


def _certainty(seen: _Seen, context: Context) -> str:
    size = seen.companions + 1
    whole = len(seen.scores) // size * size
    scores, labels = seen.scores[:whole], seen.labels[:whole]
    behind = _normed(scores.view(-1, size, scores.shape[1])).flatten(0, 1)
    plain = float(functional.cross_entropy(scores, labels))
    normed = float(functional.cross_entropy(behind, labels))
    best, least = most_certain(context.data.classes)
    return (
        f"{DRAWS} draws of {plural(seen.companions, 'companion')} out of {len(seen.scores) - 1} "
        f"images, the weights the same throughout. Mean loss of {whole} images: {plain:.3f} as "
        f"they are, {normed:.3f} behind the norm; scores without any doubt would reach p "
        f"{best:.3f} and loss {least:.3f} there."
    )


def _where(context: Context) -> tuple[Block, ...]:
    """Return where batch norm stands, and how many layers lie behind each."""
    design = Design(context.layers)
    weighted = [p for p in sorted(design.distances) if is_weighted(design.rows[p])]
    norms = [p for p in design.distances if is_norm(design.rows[p])]
    if not norms:
        told = Words(text="This network has no batch norm.", tone="warning")
    else:
        last = min(norms, key=lambda p: design.distances[p])
        told = Words(
            text=f"The last batch norm, {clip(design.rows[last].name, 30)}, has "
            f"{plural(design.distances[last], 'layer')} with weights between it and the scores."
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
        told,
        Table(
            caption=f"{caption}, the last {len(rows)}" if left_out else caption,
            heads=("layer", "kind", "output", "norm behind", "layers after it"),
            rows=tuple(rows),
        ),
    )


def _trained(context: Context) -> Iterator[Exhibit]:
    """Train the network ``small`` as it is, and with a batch norm of its scores."""
    normed = nn.Sequential(context.fresh("small"), nn.BatchNorm1d(context.data.classes))
    arms = [
        arm(context, "ends before", context.fresh("small")),
        arm(context, "on the scores", normed.to(context.device)),
    ]
    setup = Words(
        text="The network small has batch norm for every convolution, behind the pool where there "
        f"is one; one of the two has it on its {context.data.classes} scores too. First weights, "
        "images and their order are the same.",
        tone="muted",
    )
    yield from compare(context, arms, setup=(setup,), found=_sure, images=TRAINED)


def _sure(arms: Sequence[Arm], scores: Evaluations) -> tuple[Block, ...]:
    """Return the losses in evaluation mode, and what the norm of the scores has learnt."""
    rows = []
    for each in arms:
        norm = [m for m in each.trial.model.children() if isinstance(m, nn.BatchNorm1d)]
        scale = f"{float(norm[0].weight.detach().mean()):.2f}" if norm else "—"
        rows.append((each.name, f"{scores[each.name].loss:.4f}", scale))
    return (
        Table(
            caption="on the images they are judged by, each by itself",
            heads=("network", "loss", "mean γ of the scores' norm"),
            rows=tuple(rows),
        ),
    )
