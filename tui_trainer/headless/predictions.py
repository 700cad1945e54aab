"""The predictions for a picture, and their records as JSON and CSV."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui_trainer.protocol.class_names import class_names, full_name
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt
from tui_trainer.text.tables import csv_table


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predictions for one picture.

    Attributes:
        path: The picture's file.
        probabilities: The class probabilities by checkpoint name, in the requested order.
        side: The side of the model's input image, in pixels.
        values: Its values, 0 to 255, as those of :class:`tui_trainer.protocol.exhibit.Picture`.
        channels: Its channels.
        class_names: The names of the classes; empty if they have only numbers.
        label: The number of its class, if that is known.
        warnings: Reasons not to trust the prediction.
    """

    path: str
    probabilities: Mapping[str, tuple[float, ...]]
    side: int
    values: tuple[int, ...]
    channels: int = 1
    class_names: tuple[str, ...] = ()
    label: int | None = None
    warnings: tuple[str, ...] = ()

    def predicted(self, checkpoint: str) -> int | None:
        """Return the class with the largest probability; None if one is not finite."""
        return next(iter(ranked(self.probabilities[checkpoint])), None)


def ranked(probabilities: tuple[float, ...]) -> tuple[int, ...]:
    """Return the classes, most probable first; none if a probability is not finite."""
    if not all(map(math.isfinite, probabilities)):
        return ()
    return tuple(sorted(range(len(probabilities)), key=lambda each: -probabilities[each]))


# --- records


def as_record(prediction: Prediction) -> dict[str, Any]:
    """Return the JSON record of a prediction: of the first checkpoint, then of each one."""
    names = prediction.class_names
    records = {name: _record(values, names) for name, values in prediction.probabilities.items()}
    name, first = next(iter(records.items()))
    record = {
        "path": prediction.path,
        "checkpoint": name,
        **first,
        "warnings": list(prediction.warnings),
    }
    if (label := prediction.label) is not None:
        record["true_class"] = label
        record |= {"true_class_name": full_name(names, label)} if names else {}
        record["correct"] = prediction.predicted(name) == label
    return {**record, "checkpoints": records}


def _record(probabilities: tuple[float, ...], names: Sequence[str]) -> dict[str, Any]:
    order = ranked(probabilities)
    places = {"class": 0, "runner_up": 1}
    found = {key: order[place] if place < len(order) else None for key, place in places.items()}
    record: dict[str, Any] = {
        "class": found["class"],
        "probability": probabilities[order[0]] if order else None,
        "runner_up": found["runner_up"],
        "probabilities": [p if math.isfinite(p) else None for p in probabilities],
    }
    if names:
        for key, label in found.items():
            record[f"{key}_name"] = None if label is None else full_name(names, label)
    return record


def csv_text(predictions: Sequence[Prediction]) -> str:
    """Return a row for each picture and checkpoint, with the probability of each class."""
    if not predictions:
        return csv_table(_CSV_HEAD, [])
    first = predictions[0]
    names = first.class_names
    classes = len(next(iter(first.probabilities.values())))
    columns = [f"p {name}" for name in class_names(names, classes)]
    rows = [
        [
            *(each.path, checkpoint),
            *(_named(names, each.predicted(checkpoint)), _best(probabilities)),
            *(_named(names, each.label), _is_correct(each, checkpoint)),
            *(p if math.isfinite(p) else None for p in probabilities),
        ]
        for each in predictions
        for checkpoint, probabilities in each.probabilities.items()
    ]
    return csv_table((*_CSV_HEAD, *columns), rows)


_CSV_HEAD = ("path", "checkpoint", "class", "probability", "true class", "correct")


def _named(names: Sequence[str], label: int | None) -> str | int | None:
    return label if label is None or not names else full_name(names, label)


def _best(probabilities: tuple[float, ...]) -> float | None:
    order = ranked(probabilities)
    return probabilities[order[0]] if order else None


def _is_correct(prediction: Prediction, checkpoint: str) -> bool | None:
    label = prediction.label
    return None if label is None else prediction.predicted(checkpoint) == label


# --- accuracy


@dataclass
class Score:
    """The correct predictions for pictures whose class is known.

    Attributes:
        total: The pictures whose class is known.
        unknown: The others.
        correct: The correct predictions of each checkpoint.
    """

    total: int = 0
    unknown: int = 0
    correct: Counter[str] = field(default_factory=Counter)
    checkpoints: tuple[str, ...] = ()

    def add(self, prediction: Prediction) -> None:
        """Count a prediction."""
        self.checkpoints = tuple(prediction.probabilities)
        if prediction.label is None:
            self.unknown += 1
            return
        self.total += 1
        for name in self.checkpoints:
            self.correct[name] += prediction.predicted(name) == prediction.label

    def lines(self) -> Iterator[str]:
        """Yield the accuracy of each checkpoint, with its interval."""
        others = f"; {fmt.plural(self.unknown, 'picture')} of no known class" * bool(self.unknown)
        for name in self.checkpoints:
            correct = self.correct[name]
            bounds = wilson(correct, self.total)
            accuracy = fmt.accuracy_with_interval(correct / self.total, bounds)
            lead = f"{name}: " if len(self.checkpoints) > 1 else ""
            of = f"{fmt.count(correct)} of {fmt.plural(self.total, 'picture')} correct"
            yield f"{lead}accuracy {accuracy} — {of}{others}"

    def record(self) -> dict[str, Any]:
        """Return the accuracies as JSON."""
        found = {}
        for name in self.checkpoints:
            correct = self.correct[name]
            found[name] = {
                "correct": correct,
                "total": self.total,
                "accuracy": correct / self.total,
                "interval": list(wilson(correct, self.total)),
            }
        return {"accuracy": found, "unknown": self.unknown}
