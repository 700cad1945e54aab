"""The confusion matrix: rows are true classes, columns are predicted classes."""

from __future__ import annotations

from collections.abc import Mapping

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to, word_control
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.split_predictions import evidence, in_cell, predictions_of
from tui_trainer.protocol.exhibit import MOST_HEADS, Block, Exhibit, Matrix, Pictures, Table, Words
from tui_trainer.stats.confusion_matrix import Confusion
from tui_trainer.text.fmt import plural

NUMBERS = word_control("numbers", ("counts", "shares"))
PAIRS, MORE_PAIRS = 8, 20
"""Confused pairs in the table; more of them where a terminal has no room for the matrix."""

PREVIEW = 6
"""Images of the chosen cell that are shown below."""

MOST_CLASSES = 128
"""Classes up to which there is a matrix; with more, only the worst pairs are listed."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the matrix; at first the most frequent confusion is selected."""
    images, numbers = controls.word(context.images_control), controls.word(NUMBERS)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    confusion = confusion_of(predictions, context.data.classes)
    worst = confusion.worst_pairs()
    cell = chosen_cell(context, confusion, controls)
    blocks: list[Block] = []
    if confusion.classes <= MOST_CLASSES:
        blocks.append(_matrix(context, confusion, cell, is_shares=numbers == "shares"))
    blocks.append(
        _pairs(context, confusion, worst)
        if worst
        else Words(text="No image is misclassified.", tone="ok")
    )
    blocks += _preview(context, predictions, *cell)
    inside = confusion.counts[cell[0]][cell[1]]
    true, predicted = map(context.class_name, cell)
    hint = f"the {inside:,} images of true {true}, predicted {predicted}"
    yield Exhibit(
        blocks=tuple(blocks),
        result=f"{plural(confusion.total - confusion.correct, 'misclassified image')}, "
        f"{plural(len(worst), 'confused pair')}.",
        evidence=evidence(predictions),
        opens=link_to("misclassified", hint, images=images, true=cell[0], predicted=cell[1]),
        figures=figures(context, confusion),
    )


def confusion_of(predictions: Predictions, classes: int) -> Confusion:
    """Return the confusion matrix of predictions."""
    return Confusion.of(predictions.labels.tolist(), predictions.predicted.tolist(), classes)


def chosen_cell(context: Context, confusion: Confusion, controls: Controls) -> tuple[int, int]:
    """Return the selected cell (true, predicted); at first the most frequent confusion."""
    label, predicted, _ = next(iter(confusion.worst_pairs()), (0, 0, 0))
    return (
        controls.whole(context.class_control("true", "true", float(label))),
        controls.whole(context.class_control("predicted", "predicted", float(predicted))),
    )


def figures(context: Context, confusion: Confusion) -> Mapping[str, object]:
    """Return the matrix and its worst pairs as plain numbers."""
    return {
        "images": confusion.total,
        "correct": confusion.correct,
        "confusion": [list(row) for row in confusion.counts],
        "worst_pairs": [
            {
                "true": label,
                "predicted": predicted,
                **context.names_of(true=label, predicted=predicted),
                "count": count,
                "share": confusion.share(label, predicted),
            }
            for label, predicted, count in confusion.worst_pairs()
        ],
    }


def _matrix(
    context: Context, confusion: Confusion, cell: tuple[int, int], *, is_shares: bool
) -> Matrix:
    """Return the matrix; color is relative to the most frequent confusion, not to the diagonal."""
    classes = range(confusion.classes)
    most = max((pair[2] for pair in confusion.worst_pairs()), default=1)
    return Matrix(
        caption="% of the true class" if is_shares else "number of images",
        row_label="true",
        column_label="predicted",
        heads=tuple(map(context.class_name, classes)),
        texts=tuple(
            tuple(_cell_text(confusion, row, column, is_shares=is_shares) for column in classes)
            for row in classes
        ),
        intensities=tuple(
            tuple(
                0.0 if row == column else (confusion.counts[row][column] / most) ** 0.5
                for column in classes
            )
            for row in classes
        ),
        cell=cell,
        controls=("true", "predicted"),
    )


def _preview(context: Context, predictions: Predictions, label: int, predicted: int) -> list[Block]:
    """Return the images of the selected cell with the highest loss; nothing if it is empty."""
    numbers = in_cell(predictions, label, predicted)[:PREVIEW]
    if not numbers:
        return []
    shown = gallery.captions(context, predictions, numbers)
    true, as_ = context.class_name(label), context.class_name(predicted)
    caption = f"true {true}, predicted {as_}, highest loss first"
    return [Pictures(caption=caption, items=gallery.thumbnails(context, predictions.images, shown))]


def _cell_text(confusion: Confusion, row: int, column: int, *, is_shares: bool) -> str:
    count = confusion.counts[row][column]
    if not count:
        return "·"
    return f"{100 * confusion.share(row, column):.1f}" if is_shares else f"{count}"


def _pairs(context: Context, confusion: Confusion, worst: list[tuple[int, int, int]]) -> Table:
    return Table(
        caption="most confused pairs",
        heads=("true", "predicted", "images", "of class", "of errors"),
        rows=tuple(
            (
                context.class_name(label),
                context.class_name(predicted),
                f"{count}",
                f"{100 * confusion.share(label, predicted):.1f} %",
                f"{100 * count / (confusion.total - confusion.correct):.0f} %",
            )
            for label, predicted, count in worst[
                : PAIRS if confusion.classes <= MOST_HEADS else MORE_PAIRS
            ]
        ),
    )
