"""What was learned, and what was forgotten again: the validation images, epoch by epoch."""

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
from tui_trainer.protocol.exhibit import Block, Exhibit, Opening, Pictures, Table, Words
from tui_trainer.text.fmt import count, percent, plural

FORGOTTEN, NEVER, FLIPPING, RELEARNED, LATE, UNFORGETTABLE = (
    "forgotten",
    "never learned",
    "flip-flopping",
    "learned again",
    "learned late",
    "always right",
)

KIND = word_control("kind", (FORGOTTEN, NEVER, FLIPPING, RELEARNED))

ABOUT = {
    UNFORGETTABLE: "right at the end of every epoch",
    LATE: "wrong first, right ever since",
    RELEARNED: "forgotten, and right again",
    FORGOTTEN: "right once, wrong now",
    NEVER: "wrong at the end of every epoch",
    FLIPPING: "forgotten twice or more",
}
"""The kinds, which part all images among them; but for the last one, which is of two others."""

SHORT = {
    LATE: "late",
    RELEARNED: "again",
    FORGOTTEN: "forgotten",
    NEVER: "never",
    FLIPPING: "flip-flopping",
}
"""The same as heads of columns."""

FLIPS = 2
"""How often an image was forgotten that is called flip-flopping."""


def kinds_of(record: ExampleForgetting) -> dict[str, Tensor]:
    """Return which images are of each kind (N), true or false."""
    right, once = record.row("wrong_since") == 0, record.row("first_correct") > 0
    forgotten, times_wrong = record.row("forgetting_events"), record.row("times_wrong")
    return {
        UNFORGETTABLE: times_wrong == 0,
        LATE: right & (forgotten == 0) & (times_wrong > 0),
        RELEARNED: right & (forgotten > 0),
        FORGOTTEN: ~right & once,
        NEVER: ~right & ~once,
        FLIPPING: forgotten >= FLIPS,
    }


def _ranked(record: ExampleForgetting, which: Tensor) -> list[int]:
    """Return the numbers of images: most often forgotten first, then most often wrong."""
    numbers = which.nonzero().flatten().tolist()
    forgotten, wrong = record.row("forgetting_events").tolist(), record.row("times_wrong").tolist()
    return sorted(numbers, key=lambda number: (-forgotten[number], -wrong[number], number))


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show which images were learned and forgotten, those of one kind as pictures.

    Forgetting is counted as by M. Toneva and others, "An empirical study of example forgetting
    during deep neural network learning", ICLR 2019; there on training images, here at the end of
    each epoch on those of validation.
    """
    if lack := _lack(context):
        yield lack
        return
    record = deepcopy(context.forgetting)  # the run goes on writing into it
    labels = context.split(VALIDATION).labels.cpu()
    kinds = kinds_of(record)
    ranked = {
        kind: _ranked(record, which) for kind, which in kinds.items() if kind != UNFORGETTABLE
    }
    yield None
    kind = controls.word(KIND)
    blocks, opens = _pictures(context, record, labels, kind, ranked[kind], controls)
    yield Exhibit(
        blocks=(*blocks, _counts(kinds), _by_class(kinds, labels, context.data.classes)),
        result=f"{plural(len(ranked[FORGOTTEN]), 'image')} forgotten, "
        f"{count(len(ranked[NEVER]))} never learned, "
        f"{count(len(ranked[FLIPPING]))} flip-flopping, of {count(len(labels))}.",
        certainty=_certainty(record, len(labels)),
        opens=opens,
        figures=figures(record, labels, context.data.classes),
    )


def figures(record: ExampleForgetting, labels: Tensor, classes: int) -> Mapping[str, object]:
    """Return the kinds, class by class, and the images of those that are few."""
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
            _name(kind): [_facts(record, labels, number) for number in _ranked(record, which)]
            for kind, which in kinds.items()
            if kind in KIND.steps
        },
    }


def _name(kind: str) -> str:
    return kind.replace(" ", "_").replace("-", "_")


def _facts(record: ExampleForgetting, labels: Tensor, number: int) -> Mapping[str, int | None]:
    facts = record.facts(number)
    last = facts.pop("predicted")
    predicted = None if last == NO_CLASS else last
    return {"image": number, "true": int(labels[number]), "predicted": predicted, **facts}


def _lack(context: Context) -> Exhibit | None:
    """Return what is shown where nothing is known; None if something is."""
    if context.split_name != VALIDATION:
        text = (
            "What becomes of each image is recorded on the validation images, and this run has "
            "none. Train with some (--val-size), and look again after an epoch."
        )
    elif not context.forgetting.epochs:
        text = (
            "Nothing is known yet of what was learned and forgotten: it is written down at the end "
            "of each epoch, and of this run there is none. An older recording has no such record: "
            "train on, or anew, for two epochs or more."
        )
    else:
        return None
    return Exhibit(
        blocks=(Words(text=text),),
        result="No epoch of this run is recorded image by image.",
        figures={"epochs": 0},
    )


def _certainty(record: ExampleForgetting, images: int) -> str:
    epochs = (
        f"epochs {record.since} to {record.last}"
        if record.epochs > 1
        else (f"epoch {record.since} alone: nothing can be forgotten before a second one")
    )
    missing = ", what was before is not recorded" if record.since > 1 else ""
    return f"{count(images)} validation images at the end of {epochs}{missing}."


def _pictures(
    context: Context,
    record: ExampleForgetting,
    labels: Tensor,
    kind: str,
    numbers: Sequence[int],
    controls: Controls,
) -> tuple[tuple[Block, ...], Opening | None]:
    """Return the pictures of one kind, and where enter leads."""
    if not numbers:
        return (Words(text=f"No image is {kind} ({ABOUT[kind]})."),), None
    page = gallery.page_of(numbers, controls)
    captions = {number: _caption(record, labels, number) for number in page.numbers}
    pictures = Pictures(
        caption=f"{kind}: {ABOUT[kind]}; {count(len(numbers))}, the most often forgotten first",
        items=gallery.thumbnails(context, VALIDATION, captions, page.chosen),
    )
    hint = f"where it looked in #{page.chosen}"
    return (pictures,), link_to("attribution", hint, images=VALIDATION, digit=page.chosen)


def _caption(record: ExampleForgetting, labels: Tensor, number: int) -> str:
    facts = record.facts(number)
    predicted, times, since = facts["predicted"], facts["forgetting_events"], facts["wrong_since"]
    said_text = "nothing" if predicted == NO_CLASS else f"{predicted}"
    told = [f"#{number} true {int(labels[number])}, said {said_text}"]
    if times:
        told.append("once" if times == 1 else f"{times}×")
    told.append(f"wrong since {since}" if since else "right now")
    return ", ".join(told)


def _counts(kinds: Mapping[str, Tensor]) -> Table:
    total = len(next(iter(kinds.values())))
    return Table(
        caption="",
        heads=("kind", "images", "share", "what that is"),
        rows=tuple(
            (kind, count(int(which.sum())), percent(int(which.sum()) / total), ABOUT[kind])
            for kind, which in kinds.items()
        ),
    )


def _by_class(kinds: Mapping[str, Tensor], labels: Tensor, classes: int) -> Table:
    shown = [kind for kind in kinds if kind != UNFORGETTABLE]
    columns = [torch.bincount(labels[kinds[kind]], minlength=classes).tolist() for kind in shown]
    return Table(
        caption="images of each class",
        heads=("class", *(SHORT[kind] for kind in shown)),
        rows=tuple(
            (str(each), *(count(column[each]) for column in columns)) for each in range(classes)
        ),
    )
