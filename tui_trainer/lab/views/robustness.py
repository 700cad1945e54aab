"""Robustness: how much a digit can be changed before the network no longer knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tui_trainer.data.dataset import Split
from tui_trainer.lab.context import DIGIT, SEED, Context, Digit, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import grey_picture, no_numbers
from tui_trainer.lab.predictions import TEST
from tui_trainer.lab.samples import affordable
from tui_trainer.lab.views.changes import CHANGES, KINDS, Change
from tui_trainer.lab.views.judging import sealed
from tui_trainer.protocol.exhibit import Block, Curve, Curves, Exhibit, Pictures, Table
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, percent

KIND = word_control("change", KINDS)

LEAST, MOST = 40, 150
"""Images that every change is tried on."""

PATIENCE = 16
"""It may take so many times as long as other looks: it is done in as many parts as amounts."""

POINTS = 13
"""Points of a curve, the unchanged digit among them."""

PICTURES = 4
_NOTHING_YET = "·"


@dataclass
class Findings:
    """How many of the images were given the right class.

    Attributes:
        total: How many images there are.
        plain: Hits among them as they are.
        hits: The same by change and amount, as far as it is known.
    """

    total: int
    plain: int = 0
    hits: dict[tuple[str, float], int] = field(default_factory=dict)

    def is_worse(self, change: Change, amount: float) -> bool:
        """Whether a change costs more than chance can explain: the two intervals lie apart."""
        hits = self.hits.get((change.name, amount))
        if hits is None:
            return False
        return wilson(hits, self.total)[1] < wilson(self.plain, self.total)[0]


@dataclass
class Trace:
    """What becomes of one digit under a kind of change.

    Attributes:
        digit: The digit.
        kind: The kind.
        curves: The probability of its true class, over the amount.
        changed: The digit changed (H, H): what was done, and what it is taken for.
    """

    digit: Digit
    kind: str
    curves: list[Curve] = field(default_factory=list)
    changed: list[tuple[Tensor, str]] = field(default_factory=list)


def show(context: Context, controls: Controls, goes: bool) -> Parts:
    """Show one digit under a change, then the accuracy under all changes, row by row."""
    name, kind = controls.word(context.images_control), controls.word(KIND)
    number = controls.whole(DIGIT)
    if name == TEST:
        judged = yield from context.judged(TEST)
        if judged is None:
            yield sealed(context)
            return
    passes = 1 + sum(len(change.amounts) for change in CHANGES)
    affords = affordable(context.layers, passes / PATIENCE, least=LEAST, most=MOST)
    split = context.split(name).sample(affords)
    plain = context.probabilities(split.images)
    if not bool(torch.isfinite(plain).all()):
        words = no_numbers("the network's scores")
        yield Exhibit(blocks=(words,), figures={"images": name, "lost": True})
        return
    found = Findings(len(split), plain=_hits(plain, split))
    trace = Trace(context.digit(number, name), kind)
    for change in CHANGES:
        if change.kind == kind:
            _follow(context, change, trace)
            yield None
    done = 0
    for change in CHANGES:
        for amount in change.amounts:
            changed = _whole(change.apply(split.images.float(), amount, SEED))
            found.hits[change.name, amount] = _hits(context.probabilities(changed), split)
            done += 1
            is_whole = amount == change.amounts[-1] and done < passes - 1
            told = _exhibit(context, name, found, trace, done / (passes - 1))
            yield told if is_whole else None
    yield _exhibit(context, name, found, trace)


def _hits(probabilities: Tensor, split: Split) -> int:
    return int((probabilities.argmax(dim=1) == split.labels.cpu()).sum())


def _whole(greys: Tensor) -> Tensor:
    """Return greys as an image has them: whole numbers from 0 to 255."""
    return greys.round().clamp(0, 255).to(torch.uint8)


def _follow(context: Context, change: Change, trace: Trace) -> None:
    """Change one digit in each way, little by little, and keep what it is taken for."""
    digit = trace.digit
    most = change.amounts[-1]
    amounts = [most * step / (POINTS - 1) for step in range(POINTS)]
    greys = digit.pixels.float()[None]
    for way_name, way in change.ways:
        changed = _whole(torch.cat([way(greys, a, SEED + digit.number) for a in amounts]))
        told = context.probabilities(changed)
        right = told[:, digit.label].tolist()
        trace.curves.append(Curve(name=way_name, x=tuple(amounts), y=tuple(right)))
        for step in (POINTS // 2, POINTS - 1):
            said = int(told[step].argmax())
            what = f"{way_name} {change.said(round(amounts[step], 2))}: {said}"
            trace.changed.append((changed[step], f"{what}, {percent(float(told[step, said]), 0)}"))


def _exhibit(
    context: Context, images: str, found: Findings, trace: Trace, progress: float | None = None
) -> Exhibit:
    is_done = progress is None
    return Exhibit(
        blocks=(_table(found, trace.kind), *_traced(trace)),
        result=_result(found) if is_done else "",
        certainty=f"{count(found.total)} {images} images after step {count(context.step)}, the "
        "same under every change; intervals of 95 %, lengths in pixels of a 28×28 image.",
        progress=progress,
        figures=_figures(images, found, trace) if is_done else {},
    )


def _table(found: Findings, kind: str) -> Table:
    """Return two rows a change: its amounts, and the accuracy under them."""
    rows: list[tuple[str, ...]] = []
    marked = None
    for change in CHANGES:
        if change.kind == kind and marked is None:
            marked = len(rows)
        rows.append((change.name, *map(change.said, change.amounts)))
        cells = (found.hits.get((change.name, amount)) for amount in change.amounts)
        rows.append(
            ("", *(_NOTHING_YET if c is None else _accuracy(c, found.total) for c in cells))
        )
    return Table(
        caption=f"right, %, of {found.total} digits; unchanged "
        f"{_accuracy(found.plain, found.total)}",
        heads=("change", "a little", "more", "much", "very much"),
        rows=tuple(rows),
        marked=marked,
    )


def _accuracy(hits: int, total: int) -> str:
    """Return an accuracy in per cent with its interval."""
    low, high = wilson(hits, total)
    return f"{100 * hits / total:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _traced(trace: Trace) -> tuple[Block, ...]:
    """Return the curves of the one digit, and pictures of it."""
    label = trace.digit.label
    units = " or ".join(dict.fromkeys(c.unit for c in CHANGES if c.kind == trace.kind))
    pictures = [grey_picture(greys, caption) for greys, caption in _few(trace.changed)]
    return (
        Curves(
            caption=f"digit {trace.digit.number}, a {label}: the probability of {label}",
            x_label=f"{trace.kind}, {units}",
            curves=tuple(trace.curves),
        ),
        Pictures(caption="", items=tuple(pictures)),
    )


def _few(changed: list[tuple[Tensor, str]]) -> list[tuple[Tensor, str]]:
    """Return as many as are shown: of many ways only the greatest changes."""
    return changed if len(changed) <= PICTURES else changed[1::2][:PICTURES]


def _result(found: Findings) -> str:
    """Say from where on each change costs more than chance can explain."""
    worse = []
    for change in CHANGES:
        amount = next((a for a in change.amounts if found.is_worse(change, a)), None)
        if amount is not None:
            worse.append(f"{change.name} by {change.said(amount)}")
    if not worse:
        return "None of these changes makes it clearly worse."
    return f"Clearly worse from here on: {', '.join(worse)}."


def _figures(images: str, found: Findings, trace: Trace) -> Mapping[str, object]:
    return {
        "images": images,
        "total": found.total,
        "unchanged": _judged(found.plain, found.total),
        "changes": [
            {
                "change": change.name,
                "unit": change.unit,
                "amount": amount,
                **_judged(found.hits[change.name, amount], found.total),
                "clearly_worse": found.is_worse(change, amount),
            }
            for change in CHANGES
            for amount in change.amounts
        ],
        "digit": {
            "number": trace.digit.number,
            "true": trace.digit.label,
            "change": trace.kind,
            "curves": [
                {"way": curve.name, "amounts": list(curve.x), "probability": list(curve.y)}
                for curve in trace.curves
            ],
        },
    }


def _judged(hits: int, total: int) -> Mapping[str, object]:
    low, high = wilson(hits, total)
    return {"correct": hits, "accuracy": hits / total, "low": low, "high": high}
