"""The signs of a network's health that can be read off it at any moment, without its history."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.anatomy.operations import operation_of
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.findings.gradients import VANISHED
from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.dead_units import MODEL_WARNING
from tui_trainer.lab.preflight.first_steps import healthy_like
from tui_trainer.lab.samples import drawn
from tui_trainer.models.tensors import gradient_of, is_trainable, rms
from tui_trainer.models.units import is_dead
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.exhibit import Bar, Bars, Table
from tui_trainer.stats import envelope
from tui_trainer.stats.intervals import Z95, wilson
from tui_trainer.text.fmt import clip, percent

SAMPLE = 300
"""Images of validation on which loss and accuracy are taken."""

BATCH = 64
"""Training images whose gradient is taken."""

WATCHED = 64
"""Images on all of which, at every place, a dead unit is silent."""

SURE = 0.1
"""How far the mean largest probability may lie above the share that is right."""

DECADES = 8.0
"""What the bars of gradients span, from their largest down."""

MOST_BARS = 10

GOOD, LOOK, OPEN = SIGNS["ok"], SIGNS["warning"], SIGNS["note"]

Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Now:
    """What the network makes of the sample.

    Attributes:
        loss: The mean loss, in nats.
        error: Its standard error.
        correct: How many images are right.
        total: Of how many.
        sure: The mean of the largest probability.
        spread: The standard deviation of the scores.
    """

    loss: float
    error: float
    correct: int
    total: int
    sure: float
    spread: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.total


def sign_table(context: Context) -> tuple[Table, str, str]:
    """Return the signs beside what is healthy, what they say together, and how sure that is."""
    now = _now(context)
    if not math.isfinite(now.loss):
        result = "The loss is no number any more: the run diverged, and no sign is needed."
        rows: tuple[Row, ...] = (
            (f"loss on {context.split_name}", "no number", "a number", SIGNS["error"]),
        )
    else:
        rows = (*_loss_rows(context, now), *_reference_rows(context, now), _dead_row(context))
        doubts = [row[0] for row in rows if row[3] == LOOK]
        result = (
            f"Doubtful after step {context.step:,}: {'; '.join(doubts)}."
            if doubts
            else f"After step {context.step:,} no sign speaks against this network."
        )
    _, why_not = _healthy_like(context)
    compared = f" Healthy runs: {why_not}." if why_not else ""
    certainty = (
        f"{now.total} {context.split_name} images; the dead units over {WATCHED}, the gradients "
        f"over {min(BATCH, len(context.data.train))} training images. One moment of one run: a "
        "finding asks for more, and `mnist-tui check` tries the first steps on a fresh network."
        f"{compared}"
    )
    table = Table(
        caption=f"{GOOD} healthy, {LOOK} doubtful, {OPEN} not yet to be judged",
        heads=("sign", "now", "healthy", ""),
        rows=rows,
    )
    return table, result, certainty


@torch.no_grad()
def _now(context: Context) -> _Now:
    split = context.sample(SAMPLE)
    scores = context.copy()(context.data.prepare(split.images)).float()
    losses = functional.cross_entropy(scores, split.labels, reduction="none").double()
    return _Now(
        loss=float(losses.mean()),
        error=float(losses.std(correction=0)) / len(losses) ** 0.5,
        correct=int((scores.argmax(dim=1) == split.labels).sum()),
        total=len(split),
        sure=float(scores.softmax(dim=1).amax(dim=1).mean()),
        spread=float(scores.std(correction=0)),
    )


def _loss_rows(context: Context, now: _Now) -> tuple[Row, ...]:
    classes, begun = context.data.classes, context.step > 0
    guessing = math.log(classes)
    reach = Z95 * now.error
    low, high = wilson(now.correct, now.total)
    is_near = abs(now.loss - guessing) < 1
    at_first = f"about {guessing:.3f}, ln {classes}"
    share = now.accuracy
    return (
        (
            f"loss on {context.split_name}",
            f"{now.loss:.3f} ± {reach:.3f}",
            f"below {guessing:.3f}, ln {classes}" if begun else at_first,
            _sign(now.loss + reach < guessing if begun else is_near),
        ),
        (
            f"right on {context.split_name}",
            f"{percent(share, 1)} [{100 * low:.1f}, {100 * high:.1f}]",
            f"above {percent(1 / classes, 1)}" if begun else f"about {percent(1 / classes, 1)}",
            _sign(low > 1 / classes) if begun else OPEN,
        ),
        (
            "mean largest p",
            f"{now.sure:.3f}; scores ± {now.spread:.2g}",
            "no surer than right" if begun else "below 0.5",
            _sign(now.sure < share + SURE if begun else now.sure < 0.5),
        ),
    )


def _reference_rows(context: Context, now: _Now) -> tuple[Row, ...]:
    """Return where healthy runs like this one stood, if there are such, and where this one is."""
    runs, _ = _healthy_like(context)
    if not runs:
        return (("healthy runs like it", "—", "none to compare with", OPEN),)
    losses = [run.first_steps.train_loss for run in runs]
    accuracies = [run.first_epoch.val_accuracy for run in runs]
    most = envelope.most_expected(runs)
    images = context.step * context.config.batch_size
    is_far, is_epoch = context.step >= envelope.STEPS, images >= len(context.data.train)
    _, high = wilson(now.correct, now.total)
    return (
        (
            f"loss after {envelope.STEPS} steps",
            f"{now.loss:.3f}",
            f"{min(losses):.2f} to {max(losses):.2f}; at most {most:.2f}",
            _sign(now.loss <= most) if is_far else OPEN,
        ),
        (
            "right after an epoch",
            percent(now.accuracy, 1),
            f"{100 * min(accuracies):.1f} to {percent(max(accuracies), 1)}, {len(runs)} runs",
            _sign(high >= min(accuracies)) if is_epoch else OPEN,
        ),
    )


def _healthy_like(context: Context) -> tuple[list[envelope.HealthyRun], str]:
    return healthy_like(context.config, context.data, context.layers, context.model)


def _dead_row(context: Context) -> Row:
    """Return how many units of ReLUs are 0 for every image and place."""
    silent: list[Tensor] = []

    def reached(place: int, step: Step, result: Tensor) -> None:
        if operation_of(step.call.name).kind == "relu" and result.dim() > 1:
            silent.append(is_dead(result))

    with torch.no_grad():
        images = context.data.prepare(context.digits.images[:WATCHED])
        trace(context.copy(), images, reached=reached)
    units, dead = sum(map(len, silent)), sum(int(layer.sum()) for layer in silent)
    if not units:
        return ("dead units", "no ReLU", "—", OPEN)
    healthy = f"at most {percent(MODEL_WARNING, 0)}"
    return ("dead units", f"{dead} of {units}", healthy, _sign(dead <= MODEL_WARNING * units))


def gradient_bars(context: Context) -> Bars:
    """Return the size of each weight tensor's gradient, layer by layer, on a scale of powers."""
    network = context.copy(training=True)
    inputs, labels = drawn(context, BATCH, 0)
    functional.cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]
    sizes = _sizes(network)
    known = [size for size in sizes.values() if size > 0 and math.isfinite(size)]
    most = math.log10(max(known)) if known else 0.0
    shown = list(sizes.items())[-MOST_BARS:]
    first, last = next(iter(sizes.values())), next(reversed(sizes.values()))
    ratio = first / last if last else math.nan
    return Bars(
        caption=f"gradient of a number, RMS; first layer ÷ last: {ratio:.2g}; vanishing "
        f"below {VANISHED:g}",
        bars=tuple(
            Bar(label=clip(name, 18), share=_share(size, most), number=f"{size:.1e}")
            for name, size in shown
        ),
    )


def _sizes(network: nn.Module) -> dict[str, float]:
    """Return the root mean square of each weight's gradient; 0 where there is none."""
    named = {n: p for n, p in network.named_parameters() if is_trainable(p)}
    weights = {n: p for n, p in named.items() if p.ndim >= 2}
    found = {name: gradient_of(weight) for name, weight in (weights or named).items()}
    return {
        name.removesuffix(".weight"): 0.0 if gradient is None else rms(gradient)
        for name, gradient in found.items()
    }


def _share(size: float, most: float) -> float:
    """Return a bar's length: full for the largest, nothing at ``DECADES`` powers of ten below."""
    if not math.isfinite(size) or size <= 0:
        return 0.0
    return max(0.0, 1 + (math.log10(size) - most) / DECADES)


def _sign(is_good: bool) -> str:
    return GOOD if is_good else LOOK
