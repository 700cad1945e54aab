"""Tables, curves and pictures of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tui_trainer.headless.assignment.facts import Step
from tui_trainer.protocol.class_names import class_name
from tui_trainer.protocol.document import Part
from tui_trainer.protocol.exhibit import Curve, Curves, Pictures, Table, Words
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.render.layer_table import HEADS, course_table
from tui_trainer.text import fmt

NOTHING = "–"

SHOWN = 0.01
"""The least probability of a class that is listed besides the true and the predicted one."""

MOST_OTHERS = 3
"""The most of them that are listed."""

NO_FIELD = "—"
"""What is measured of a layer whose output has no gradient."""

COLUMNS = (
    "Rin and Rout: receptive field before and after the layer; K: kernel; S: stride; P: padding; "
    "D: dilation; Jin and Jout: jump before and after it. Fields and jumps are in pixels of the "
    "image. A pair of equal numbers is written once. Measured: the pixels that change the middle "
    "feature of the layer, found by gradients; a field ends at the edge of the image."
)


# --- the network


def layer_table(step: Step) -> Iterator[Part]:
    """Yield the layer table of the course, with the measured receptive fields."""
    table = course_table(step.layers)
    if step.measured:
        place = HEADS.index("Rout") + 1
        rows = zip(table.rows, (*step.measured, ""), strict=True)
        table = replace(
            table,
            heads=_inserted(table.heads, place, "measured"),
            rows=tuple(_inserted(row, place, cell) for row, cell in rows),
        )
    yield replace(table, caption="")
    yield Words(text=COLUMNS, tone="muted")
    reasons = dict.fromkeys(row.undefined for row in step.layers if row.undefined)
    for reason in reasons:
        yield Words(text=f"No receptive field: {reason}.", tone="note")
    if differing := [*_differing(step)]:
        names = fmt.listed(differing)
        yield Words(text=f"Measured fields that are smaller: {names}.", tone="note")


def _inserted(cells: tuple[str, ...], place: int, cell: str) -> tuple[str, ...]:
    return (*cells[:place], cell, *cells[place:])


def _differing(step: Step) -> Iterator[str]:
    """Yield the layers whose measured field is not the computed one within the image."""
    for row, measured in zip(step.layers, step.measured, strict=False):
        computed = seen_field(row, step.layers[0])
        if computed is not None and measured != NO_FIELD and fmt.field(computed) != measured:
            yield row.name


def seen_field(row: LayerRow, image: LayerRow) -> tuple[int, int] | None:
    """Return the part of a middle feature's receptive field that lies in the image."""
    height, width, _ = row.output_shape
    box = row.box(height // 2, width // 2)
    if box is None:
        return None
    inside = box.within(*image.output_shape[:2])
    return round(inside.bottom - inside.top), round(inside.right - inside.left)


# --- the training


def epoch_log(step: Step) -> Iterator[Part]:
    """Yield a row for each epoch."""
    if not step.history.epochs:
        yield Words(text="No epoch is complete.", tone="muted")
        return
    heads = ("epoch", "lr", "loss", "accuracy", "val loss", "val accuracy", "95 % interval", "time")
    rows = tuple(
        (
            str(epoch.epoch),
            fmt.learning_rate(epoch.lr),
            fmt.loss(epoch.train_loss).strip(),
            fmt.percent(epoch.train_accuracy),
            fmt.loss(epoch.val_loss).strip() if epoch.val_loss is not None else NOTHING,
            fmt.percent(epoch.val_accuracy) if epoch.val_accuracy is not None else NOTHING,
            fmt.interval(epoch.val_interval) if epoch.val_interval is not None else NOTHING,
            f"{epoch.seconds:.1f} s",
        )
        for epoch in step.history.epochs
    )
    yield Table(caption="", heads=heads, rows=rows)
    augmented = "augmented images, " if step.started.augmentation else ""
    text = (
        f"Loss and accuracy of training are means over the batches of the epoch ({augmented}each "
        "before its update); lr is that of the last update."
    )
    yield Words(text=text, tone="muted")


def curves(step: Step) -> Iterator[Part]:
    """Yield the loss and the accuracy by epoch."""
    history = step.history
    x = tuple(history.train_loss.x.tolist())
    if not x:
        yield Words(text="No batch was trained.", tone="muted")
        return
    most = history.largest_drawn_loss
    losses = [(e.epoch, e.val_loss) for e in history.epochs if e.val_loss is not None]
    yield _chart(
        "loss",
        Curve(
            name="training, smoothed", x=x, y=tuple(min(y, most) for y in history.train_loss.trend)
        ),
        Curve(
            name="validation",
            x=tuple(float(epoch) for epoch, _ in losses),
            y=tuple(min(loss, most) for _, loss in losses),
        ),
    )
    done = [point for point in history.accuracy_curve.validation if point.interval is not None]
    yield _chart(
        "accuracy, %",
        Curve(name="training, smoothed", x=x, y=tuple(history.train_accuracy.trend)),
        Curve(
            name="validation, 95 % interval",
            x=tuple(point.x for point in done),
            y=tuple(point.y for point in done),
            low=tuple(point.interval[0] for point in done if point.interval),
            high=tuple(point.interval[1] for point in done if point.interval),
        ),
        is_accuracy=True,
    )


def _chart(caption: str, *found: Curve, is_accuracy: bool = False) -> Curves:
    return Curves(
        caption=caption,
        x_label="epochs",
        curves=tuple(curve for curve in found if curve.x),
        is_log=not is_accuracy,
        is_accuracy=is_accuracy,
    )


# --- the images


def confusion(step: Step) -> Iterator[Part]:
    """Yield the confusion matrix and the most confused pairs."""
    exhibit = step.evaluation.views[0].exhibit
    # The images of the selected cell are left out: the misclassified ones have their own section.
    yield from (block for block in exhibit.blocks if not isinstance(block, Pictures))
    for text in (exhibit.result, exhibit.evidence):
        if text:
            yield Words(text=text)


def misclassified(step: Step) -> Iterator[Part]:
    """Yield the misclassified images with the highest loss, and their probabilities."""
    exhibit, records = step.mistakes, step.mistakes.figures.get("digits", ())
    assert isinstance(records, list | tuple)
    if not records:
        yield from (block for block in exhibit.blocks if isinstance(block, Words))
        return
    yield Words(text=exhibit.result)
    # Their table lacks the other classes.
    yield from (block for block in exhibit.blocks if isinstance(block, Pictures))
    heads = ("image", "true", "probability", "predicted", "probability", "other classes", "loss")
    yield Table(caption="", heads=heads, rows=tuple(_mistake_row(step, each) for each in records))


def _mistake_row(step: Step, record: Mapping[str, Any]) -> tuple[str, ...]:
    name = partial(class_name, step.started.class_names)
    label, predicted = record["true"], record["predicted"]
    probabilities = record["probabilities"]
    others = sorted(
        (-probability, place)
        for place, probability in enumerate(probabilities)
        if place not in (label, predicted) and probability >= SHOWN
    )[:MOST_OTHERS]
    return (
        str(record["image"]),
        name(label),
        _probability(probabilities[label]),
        name(predicted),
        _probability(probabilities[predicted]),
        ", ".join(f"as {name(place)}: {_probability(-share)}" for share, place in others)
        or NOTHING,
        fmt.loss(record["loss"]).strip(),
    )


def _probability(share: float) -> str:
    """Return a probability in percent; one that would be rounded to 0 is ``below 0.1 %``."""
    return fmt.percent(share, 1) if share >= 0.0005 else "below 0.1 %"
