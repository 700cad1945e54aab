"""The classification report: precision, recall, F1 and support by class, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to, word_control
from tui_trainer.lab.views.confusion import confusion_of
from tui_trainer.lab.views.split_predictions import evidence, predictions_of
from tui_trainer.protocol.exhibit import Block, Exhibit, Link, Table, Words
from tui_trainer.stats.confusion_matrix import Average, ClassMetrics, Confusion, Interval
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, plural

BY_CLASS, WORST_FIRST = "by class", "worst first"
ORDER = word_control("order", (BY_CLASS, WORST_FIRST))


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the metrics of each class, the lowest F1 marked, and their macro averages."""
    images, order = controls.word(context.images_control), controls.word(ORDER)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    confusion = confusion_of(predictions, context.data.classes)
    yield None
    per_class = list(confusion.per_class)
    there = [score for score in per_class if score.f1 is not None]
    worst = min(there, key=lambda score: score.f1 or 0.0)
    if order == WORST_FIRST:
        per_class.sort(key=lambda score: (score.f1 is None, score.f1))
    rows = tuple(_row(context.class_name(score.label), score) for score in per_class)
    blocks: list[Block] = [
        Table(
            caption="in %, with 95 % intervals",
            heads=("class", "support", "precision", "recall", "F1"),
            rows=rows,
            marked=per_class.index(worst),
        ),
        _averages(confusion),
    ]
    if missing := _missing(context, confusion):
        blocks.append(missing)
    yield Exhibit(
        blocks=tuple(blocks),
        result=f"Class {context.class_name(worst.label)} has the lowest F1: "
        f"{_text(worst.f1, worst.f1_interval)} %.",
        evidence=evidence(predictions),
        opens=_link(context, confusion, worst, images),
        figures=figures(context, confusion),
    )


def figures(context: Context, confusion: Confusion) -> Mapping[str, object]:
    """Return the metrics and their macro averages as plain numbers; None where undefined."""
    return {
        "images": confusion.total,
        "accuracy": confusion.correct / confusion.total,
        "accuracy_interval": list(wilson(confusion.correct, confusion.total)),
        **{
            f"macro_{name}": {"value": average.value, "interval": list(average.interval)}
            for name, average in _macros(confusion).items()
        },
        "classes": [
            {
                "class": score.label,
                **context.names_of(**{"class": score.label}),
                "images": score.images,
                "predicted": score.predicted,
                "correct": score.correct,
                "precision": score.precision,
                "precision_interval": _list(score.precision_interval),
                "recall": score.recall,
                "recall_interval": _list(score.recall_interval),
                "f1": score.f1,
                "f1_interval": _list(score.f1_interval),
            }
            for score in confusion.per_class
        ],
    }


def _macros(confusion: Confusion) -> dict[str, Average]:
    return {
        "precision": confusion.macro_precision,
        "recall": confusion.macro_recall,
        "f1": confusion.macro_f1,
    }


def _list(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _row(name: str, score: ClassMetrics) -> tuple[str, ...]:
    return (
        name,
        count(score.images),
        _text(score.precision, score.precision_interval),
        _text(score.recall, score.recall_interval),
        _text(score.f1, score.f1_interval),
    )


def _averages(confusion: Confusion) -> Table:
    accuracy = confusion.correct / confusion.total
    interval = wilson(confusion.correct, confusion.total)
    return Table(
        caption=f"all classes: accuracy {_text(accuracy, interval)}",
        heads=("", "precision", "recall", "F1"),
        rows=(("macro avg", *(_text(m.value, m.interval) for m in _macros(confusion).values())),),
    )


def _missing(context: Context, confusion: Confusion) -> Words | None:
    """Return which classes have undefined metrics; None if there are none."""
    reasons = []
    for what, without in (
        ("no images", [score.label for score in confusion.per_class if not score.images]),
        ("never predicted", [score.label for score in confusion.per_class if not score.predicted]),
    ):
        if without:
            reasons.append(f"{what}: class {', '.join(map(context.class_name, without))}")
    if not reasons:
        return None
    text = f"{'; '.join(reasons)}. An undefined metric is shown as – and counts as 0 in the "
    text += "average; a class that is neither a label nor a prediction is left out."
    return Words(text=text, tone="muted")


def _link(context: Context, confusion: Confusion, worst: ClassMetrics, images: str) -> Link | None:
    """Return a link to the most frequent confusion that the worst class is part of."""
    pairs = confusion.worst_pairs()
    involved = [pair for pair in pairs if worst.label in pair[:2]]
    if not involved:
        return None
    label, predicted, wrong = involved[0]
    true, as_ = context.class_name(label), context.class_name(predicted)
    hint = f"the {plural(wrong, 'image')} of true {true}, predicted {as_}"
    return link_to("misclassified", hint, images=images, true=label, predicted=predicted)


def _text(value: float | None, interval: Interval | None) -> str:
    """Return a metric and its interval in percent: ``98.4 [96.9, 99.2]``; – if undefined."""
    if value is None or interval is None:
        return "–"
    return f"{_percent(value)} [{_percent(interval[0])}, {_percent(interval[1])}]"


def _percent(share: float) -> str:
    """Return a share in percent; it rounds to 100 or 0 only if it is exactly 1 or 0."""
    if share in (0.0, 1.0):
        return "100" if share else "0"
    return f"{min(99.9, max(0.1, 100 * share)):.1f}"
