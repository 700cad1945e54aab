"""What networks say of pictures, a line each."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Picture
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.render.characters import picture_lines
from tui_trainer.text import fmt
from tui_trainer.text.lines import padded

MAX_PATH_WIDTH = 40
"""Columns that a picture's name is given, if there are not so many to tell of it."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the networks say of one picture.

    Attributes:
        path: The picture's file.
        probabilities: Of each class, by the checkpoint's name, in the order they were asked for.
        side: The side of the digit as the network gets it, in pixels.
        greys: Its greys, row by row, 0 to 255.
        doubts: Why the answer may be worth little.
    """

    path: str
    probabilities: Mapping[str, tuple[float, ...]]
    side: int
    greys: tuple[int, ...]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """What holds for all answers of a network, in one line."""

    text: str


def print_predictions(
    predictions: Iterable[Prediction | ModelWarning | InputError],
    checkpoints: Sequence[str],
    *,
    as_json: bool,
    shows: bool,
) -> ExitCode:
    """Write a line a picture to stdout as soon as it is told; one that cannot be used to stderr.

    What one's own network prints goes to stderr, too.

    Args:
        predictions: The prediction for each picture, or why there is none; warnings about models.
        checkpoints: Their names.
        as_json: A JSON object a line.
        shows: Whether to show each digit below its line.

    Returns:
        ``BAD_INPUT`` if one of them cannot be used.

    Raises:
        OutputLost: If stdout takes nothing more.
    """
    console = Console(sys.stderr, time.monotonic)
    out = standard_output(console)
    code, is_headed = ExitCode.FINISHED, as_json or len(checkpoints) == 1
    with redirect_stdout(sys.stderr):
        for each in predictions:
            if isinstance(each, InputError):
                console.print(f"mnist-tui: error: {fmt.one_line(str(each))}")
                code = ExitCode.BAD_INPUT
                continue
            if isinstance(each, ModelWarning):
                console.print(f"mnist-tui: warning: {fmt.one_line(each.text)}")
                continue
            if not is_headed:
                out.row(_row("", checkpoints))
                is_headed = True
            if as_json:
                out.line(json.dumps(as_record(each)))
                continue
            out.row(prediction_line(each))
            for row in picture_lines(_picture(each)) if shows else ():
                out.row(f"  {row}".rstrip())
    return code


def prediction_line(prediction: Prediction) -> str:
    """Return what is said of a picture: by one network with its second guess, by several beside.

    What makes it doubtful stands at the end.
    """
    doubts = f"  doubtful: {'; '.join(prediction.doubts)}" if prediction.doubts else ""
    if len(prediction.probabilities) > 1:
        cells = [_guess(probabilities) for probabilities in prediction.probabilities.values()]
        first = {_ranked(probabilities)[:1] for probabilities in prediction.probabilities.values()}
        return _row(prediction.path, cells) + ("  they differ" if len(first) > 1 else "") + doubts
    (probabilities,) = prediction.probabilities.values()
    ranked = _ranked(probabilities)
    second = f"then {_class_text(probabilities, ranked[1])}" if len(ranked) > 1 else ""
    return _row(prediction.path, [_guess(probabilities), second]) + doubts


def as_record(prediction: Prediction) -> dict[str, Any]:
    """Return what is said of a picture as JSON tells it: the first checkpoint, then each one."""
    records = {name: _record(values) for name, values in prediction.probabilities.items()}
    name, first = next(iter(records.items()))
    record = {
        "path": prediction.path,
        "checkpoint": name,
        **first,
        "doubts": list(prediction.doubts),
    }
    return {**record, "checkpoints": records}


def _record(probabilities: tuple[float, ...]) -> dict[str, Any]:
    ranked = _ranked(probabilities)
    return {
        "class": ranked[0] if ranked else None,
        "probability": probabilities[ranked[0]] if ranked else None,
        "runner_up": ranked[1] if len(ranked) > 1 else None,
        "probabilities": [p if math.isfinite(p) else None for p in probabilities],
    }


def _ranked(probabilities: tuple[float, ...]) -> tuple[int, ...]:
    """Return the classes, the most probable first; none if they are no numbers."""
    if not all(map(math.isfinite, probabilities)):
        return ()
    return tuple(sorted(range(len(probabilities)), key=lambda each: -probabilities[each]))


def _guess(probabilities: tuple[float, ...]) -> str:
    ranked = _ranked(probabilities)
    return _class_text(probabilities, ranked[0]) if ranked else "no numbers"


def _class_text(probabilities: tuple[float, ...], guess: int) -> str:
    return f"{guess} {fmt.percent(probabilities[guess]):>8}"


def _row(path: str, cells: Sequence[str]) -> str:
    """Return a line with a picture's name, its beginning cut where it is too long, and cells."""
    name = fmt.printable(path)
    if fmt.columns(name) > MAX_PATH_WIDTH:
        name = f"…{fmt.clip(name[::-1], MAX_PATH_WIDTH)[:-1][::-1]}"
    return "  ".join([padded(name, MAX_PATH_WIDTH), *(f"{cell:<12}" for cell in cells)]).rstrip()


def _picture(prediction: Prediction) -> Picture:
    return Picture(
        caption="",
        height=prediction.side,
        width=prediction.side,
        values=prediction.greys,
        low=0.0,
        high=255.0,
    )
