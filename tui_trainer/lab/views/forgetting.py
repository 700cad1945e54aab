"""Example forgetting: validation images that were learned, forgotten, or never learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to, word_control
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import NO_CLASS, VALIDATION
from tui_trainer.lab.views import gallery
from tui_trainer.protocol.exhibit import Block, Exhibit, Link, Pictures, Table, Words
from tui_trainer.text.fmt import count, percent, plural

FORGOTTEN, NEVER, UNSTABLE, RELEARNED, LATE, ALWAYS_CORRECT = (
    "forgotten",
    "never learned",
    "unstable",
    "relearned",
    "learned late",
    "always correct",
)

KIND = word_control("kind", (FORGOTTEN, NEVER, UNSTABLE, RELEARNED))

ABOUT = {
    ALWAYS_CORRECT: "correct at the end of every epoch",
    LATE: "misclassified at first, correct since",
    RELEARNED: "forgotten, now correct again",
    FORGOTTEN: "correct once, misclassified now",
    NEVER: "misclassified in every epoch",
    UNSTABLE: "forgotten twice or more",
}
"""The kinds: a partition of the images, except for the last one, which overlaps two others."""

SHORT = {
    LATE: "late",
    RELEARNED: "relearned",
    FORGOTTEN: "forgotten",
    NEVER: "never",
    UNSTABLE: "unstable",
}
"""Short names for column heads."""

UNSTABLE_EVENTS = 2
"""Forgetting events from which on an image is unstable."""


def kinds_of(record: ExampleForgetting) -> dict[str, Tensor]:
    """Return a boolean mask (N) for each kind."""
    correct, once = record.row("wrong_since") == 0, record.row("first_correct") > 0
    forgotten, times_wrong = record.row("forgetting_events"), record.row("times_wrong")
    return {
        ALWAYS_CORRECT: times_wrong == 0,
        LATE: correct & (forgotten == 0) & (times_wrong > 0),
        RELEARNED: correct & (forgotten > 0),
        FORGOTTEN: ~correct & once,
        NEVER: ~correct & ~once,
        UNSTABLE: forgotten >= UNSTABLE_EVENTS,
    }


def _ranked(record: ExampleForgetting, which: Tensor) -> list[int]:
    """Return image indices, ranked by forgetting events, then by misclassified epochs."""
    numbers = which.nonzero().flatten().tolist()
    forgotten, wrong = record.row("forgetting_events").tolist(), record.row("times_wrong").tolist()
    return sorted(numbers, key=lambda number: (-forgotten[number], -wrong[number], number))


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show which images were learned and forgotten, one kind of them as pictures.

    The definition is that of M. Toneva and others, "An empirical study of example forgetting during
    deep neural network learning", ICLR 2019. They count each time a training image is in a batch;
    here it is the validation images at the end of each epoch.
    """
    if unavailable := _unavailable(context):
        yield unavailable
        return
    record = deepcopy(context.forgetting)  # the run keeps updating it
    labels = context.split(VALIDATION).labels.cpu()
    kinds = kinds_of(record)
    ranked = {
        kind: _ranked(record, which) for kind, which in kinds.items() if kind != ALWAYS_CORRECT
    }
    yield None
    kind = controls.word(KIND)
    blocks, opens = _pictures(context, record, labels, kind, ranked[kind], controls)
    yield Exhibit(
        blocks=(*blocks, _counts(kinds), _by_class(context, kinds, labels)),
        result=f"{plural(len(ranked[FORGOTTEN]), 'image')} forgotten, "
        f"{count(len(ranked[NEVER]))} never learned, "
        f"{count(len(ranked[UNSTABLE]))} unstable, of {count(len(labels))}.",
        evidence=_evidence(record, len(labels)),
        opens=opens,
        figures=figures(context, record, labels),
    )


def figures(context: Context, record: ExampleForgetting, labels: Tensor) -> Mapping[str, object]:
    """Return the counts by kind and class, and the images of the small kinds."""
    classes = context.data.classes
    kinds = kinds_of(record)
    return {
        "images": len(labels),
        "epochs": record.epochs,
        "first_epoch": record.since,
        "counts": {_name(kind): int(which.sum()) for kind, which in kinds.items()},
        "by_class": {
            _name(kind): torch.bincount(labels[which], minlength=classes).tolist()
            for kind, which in kinds.items()
        },
        **{
            _name(kind): [
                _record_of(context, record, labels, number) for number in _ranked(record, which)
            ]
            for kind, which in kinds.items()
            if kind in KIND.steps
        },
    }


def _name(kind: str) -> str:
    return kind.replace(" ", "_").replace("-", "_")


def _record_of(
    context: Context, record: ExampleForgetting, labels: Tensor, number: int
) -> Mapping[str, object]:
    counts = record.counts(number)
    last = counts.pop("predicted")
    predicted = None if last == NO_CLASS else last
    label = int(labels[number])
    return {
        **{"image": number, "true": label, "predicted": predicted},
        **context.names_of(true=label, predicted=last),
        **counts,
    }


def _unavailable(context: Context) -> Exhibit | None:
    """Return what is shown if there is no history; None if there is one."""
    if context.split_name != VALIDATION:
        text = (
            "Example forgetting is recorded on validation images, and this run has none. Train "
            "with --val-size 1000 and open this view again after the first epoch."
        )
    elif not context.forgetting.epochs:
        text = (
            "No history yet: the prediction of each image is recorded at the end of each epoch. "
            "This run has no recorded epoch. Runs of older versions have no history. "
            "Train for two more epochs."
        )
    else:
        return None
    return Exhibit(
        blocks=(Words(text=text),),
        result="This run has no history of its predictions.",
        figures={"epochs": 0},
    )


def _evidence(record: ExampleForgetting, images: int) -> str:
    epochs = (
        f"epochs {record.since} to {record.last}"
        if record.epochs > 1
        else (f"epoch {record.since} only: forgetting needs a second epoch")
    )
    missing = "; earlier epochs are not recorded" if record.since > 1 else ""
    return f"{count(images)} validation images at the end of {epochs}{missing}."


def _pictures(
    context: Context,
    record: ExampleForgetting,
    labels: Tensor,
    kind: str,
    numbers: Sequence[int],
    controls: Controls,
) -> tuple[tuple[Block, ...], Link | None]:
    """Return the pictures of one kind, and the link of enter."""
    if not numbers:
        return (Words(text=f"No image is {kind} ({ABOUT[kind]})."),), None
    page = gallery.page_of(numbers, controls)
    captions = {number: _caption(context, record, labels, number) for number in page.numbers}
    pictures = Pictures(
        caption=f"{kind}: {ABOUT[kind]}; {count(len(numbers))}, most forgetting events first",
        items=gallery.thumbnails(context, VALIDATION, captions, page.chosen),
    )
    hint = f"the attribution of #{page.chosen}"
    return (pictures,), link_to("attribution", hint, images=VALIDATION, digit=page.chosen)


def _caption(context: Context, record: ExampleForgetting, labels: Tensor, number: int) -> str:
    counts = record.counts(number)
    predicted, events = counts["predicted"], counts["forgetting_events"]
    class_ = "none" if predicted == NO_CLASS else context.class_name(predicted)
    true = context.class_name(int(labels[number]))
    parts = [f"#{number} true {true}, predicted {class_}"]
    if events:
        parts.append(f"forgotten {'once' if events == 1 else f'{events}×'}")
    since = counts["wrong_since"]
    parts.append(f"wrong since {since}" if since else "correct now")
    return ", ".join(parts)


def _counts(kinds: Mapping[str, Tensor]) -> Table:
    total = len(next(iter(kinds.values())))
    return Table(
        caption="",
        heads=("kind", "images", "share", "definition"),
        rows=tuple(
            (kind, count(int(which.sum())), percent(int(which.sum()) / total), ABOUT[kind])
            for kind, which in kinds.items()
        ),
    )


def _by_class(context: Context, kinds: Mapping[str, Tensor], labels: Tensor) -> Table:
    classes = context.data.classes
    shown = [kind for kind in kinds if kind != ALWAYS_CORRECT]
    columns = [torch.bincount(labels[kinds[kind]], minlength=classes).tolist() for kind in shown]
    return Table(
        caption="images of each class",
        heads=("class", *(SHORT[kind] for kind in shown)),
        rows=tuple(
            (context.class_name(each), *(count(column[each]) for column in columns))
            for each in range(classes)
        ),
    )
