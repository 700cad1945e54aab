"""Class by class: precision, recall and F1, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to, word_control
from tui_trainer.lab.views.confusion import confusion_of
from tui_trainer.lab.views.split_predictions import certainty, predictions_of
from tui_trainer.protocol.exhibit import Block, Exhibit, Opening, Table, Words
from tui_trainer.stats.confusion_matrix import Average, ClassMetrics, Confusion, Interval
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, plural

BY_CLASS, WORST_FIRST = "by class", "worst first"
ORDER = word_control("order", (BY_CLASS, WORST_FIRST))


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show each class's figures, the worst one marked, and the averages."""
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
    rows = tuple(map(_row, per_class))
    blocks: list[Block] = [
        Table(
            caption="in %, with 95 % intervals",
            heads=("class", "images", "precision", "recall", "F1"),
            rows=rows,
            marked=per_class.index(worst),
        ),
        _averages(confusion),
    ]
    if missing := _missing(confusion):
        blocks.append(missing)
    yield Exhibit(
        blocks=tuple(blocks),
        result=f"Class {worst.label} is the worst: F1 {_told(worst.f1, worst.f1_interval)} %.",
        certainty=certainty(predictions),
        opens=_link(confusion, worst, images),
        figures=figures(confusion),
    )


def figures(confusion: Confusion) -> Mapping[str, object]:
    """Return the classes' figures and the averages as plain numbers; what is undefined is None."""
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
                "images": score.images,
                "said": score.predicted,
                "right": score.correct,
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


def _row(score: ClassMetrics) -> tuple[str, ...]:
    return (
        str(score.label),
        count(score.images),
        _told(score.precision, score.precision_interval),
        _told(score.recall, score.recall_interval),
        _told(score.f1, score.f1_interval),
    )


def _averages(confusion: Confusion) -> Table:
    accuracy = confusion.correct / confusion.total
    interval = wilson(confusion.correct, confusion.total)
    return Table(
        caption=f"together: accuracy {_told(accuracy, interval)}",
        heads=("", "precision", "recall", "F1"),
        rows=(("class mean", *(_told(m.value, m.interval) for m in _macros(confusion).values())),),
    )


def _missing(confusion: Confusion) -> Words | None:
    """Return which classes have no figures; None if all have."""
    told = []
    for what, without in (
        ("no image", [score.label for score in confusion.per_class if not score.images]),
        ("never said", [score.label for score in confusion.per_class if not score.predicted]),
    ):
        if without:
            told.append(f"{what}: class {', '.join(map(str, without))}")
    if not told:
        return None
    text = f"{'; '.join(told)}. What is not defined is a – and counts as 0 in the mean; "
    return Words(text=f"{text}a class that does not occur at all is left out.", tone="muted")


def _link(confusion: Confusion, worst: ClassMetrics, images: str) -> Opening | None:
    """Return the way to the most frequent error on the worst class's images, or for it."""
    pairs = confusion.worst_pairs()
    own = [pair for pair in pairs if worst.label in pair[:2]]
    if not own:
        return None
    label, predicted, wrong = own[0]
    hint = f"the {plural(wrong, 'digit')} of true {label}, said {predicted}"
    return link_to("misclassified", hint, images=images, true=label, predicted=predicted)


def _told(value: float | None, interval: Interval | None) -> str:
    """Return a figure and its interval in percent: ``98.4 [96.9, 99.2]``; – if there is none."""
    if value is None or interval is None:
        return "–"
    return f"{_percent(value)} [{_percent(interval[0])}, {_percent(interval[1])}]"


def _percent(share: float) -> str:
    """Return a share in percent; only 1 itself is 100, and only 0 itself is 0."""
    if share in (0.0, 1.0):
        return "100" if share else "0"
    return f"{min(99.9, max(0.1, 100 * share)):.1f}"
