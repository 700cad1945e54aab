"""Which classes the labels of a dataset stand for, and which labels are damage."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from tui_trainer.protocol.config import MAX_CLASSES
from tui_trainer.protocol.errors import fault
from tui_trainer.text.fmt import plural

if TYPE_CHECKING:
    from pathlib import Path

    from tui_trainer.data.idx import Part

COMMON, FEW = 10, 0.1
"""Labels above one that is missing are no damage if each occurs so often, and so often as a share
of the median label."""


def judge_labels(train: Part, test: Part, classes: int | None) -> tuple[int, int]:
    """Return how many classes there are, and the label that the first of them has."""
    seen, seen_in_test = Counter(train.labels), Counter(test.labels)
    highest = max(seen)
    from_one = min(seen) == 1 and min(seen_in_test) >= 1
    # Given the number of classes, labels from 1 fit as they are unless the last is one too many.
    first = 1 if from_one and classes in (None, highest) else 0
    if classes is None:
        _refuse_gaps(seen, first, train.labels_file)
    total = highest + 1 - first if classes is None else classes
    if not 2 <= total <= MAX_CLASSES:
        have = plural(total, "class", "es")
        raise fault(train.labels_file, f"{have}; a dataset needs 2 to {MAX_CLASSES:,}")
    last = first + total - 1
    for counts, part in ((seen, train), (seen_in_test, test)):
        outside = [label for label in counts if not first <= label <= last]
        if outside:
            wild = f"label {min(outside)} occurs {plural(counts[min(outside)], 'time')}"
            advice = "get the file again" if classes is None else "check --classes"
            raise fault(
                part.labels_file,
                f"{wild}, outside {first} to {last}, the {total:,} classes; {advice}",
            )
    return total, first


def _refuse_gaps(seen: Counter[int], first: int, path: Path) -> None:
    """Take training labels that leave some out for damage: one wild byte looks like that.

    Where all labels are common and more than half of the classes occur, the data lacks a class.
    """
    missing = first
    while missing in seen:
        missing += 1
    wild = min((label for label in seen if label < 0 or label > missing), default=None)
    if wild is None:
        return
    if wild > 0 and _is_hole(seen):
        return
    why = "labels start at 0" if wild < 0 else f"label {missing} never does"
    hint = ""
    if min(seen) >= 0 and max(seen) < MAX_CLASSES:
        hint = f", or give --classes {max(seen) + 1} if the data really lacks a class"
    times = plural(seen[wild], "time")
    raise fault(path, f"label {wild} occurs {times}, but {why}; get the file again{hint}")


def _is_hole(seen: Counter[int]) -> bool:
    """Whether labels that leave some out do so on purpose, as Sign Language MNIST's do."""
    least = max(COMMON, FEW * median(seen.values()))
    return min(seen.values()) >= least and min(seen) >= 0 and max(seen) < 2 * len(seen)
