"""Predictions for pictures, one line each."""

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
"""Maximum columns of a picture's name, if figures follow it."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predictions for one picture.

    Attributes:
        path: The picture's file.
        probabilities: The class probabilities by checkpoint name, in the requested order.
        side: The side of the model's input image, in pixels.
        grays: Its gray values, row by row, 0 to 255.
        warnings: Reasons not to trust the prediction.
    """

    path: str
    probabilities: Mapping[str, tuple[float, ...]]
    side: int
    grays: tuple[int, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """A warning about all predictions of a model, in one line."""

    text: str


def print_predictions(
    predictions: Iterable[Prediction | ModelWarning | InputError],
    checkpoints: Sequence[str],
    *,
    as_json: bool,
    shows: bool,
) -> ExitCode:
    """Write a line per picture to stdout as soon as it is predicted; errors go to stderr.

    The output of a custom model goes to stderr too.

    Args:
        predictions: The prediction for each picture, or why there is none; warnings about models.
        checkpoints: The checkpoints' names.
        as_json: Write a JSON object per line.
        shows: Whether to show each digit below its line.

    Returns:
        ``BAD_INPUT`` if a picture cannot be used.

    Raises:
        OutputError: If stdout cannot be written to.
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
    """Return a prediction: of one model with its second class, of several side by side.

    Warnings are at the end of the line.
    """
    suffix = f"  warning: {'; '.join(prediction.warnings)}" if prediction.warnings else ""
    if len(prediction.probabilities) > 1:
        cells = [_guess(probabilities) for probabilities in prediction.probabilities.values()]
        first = {_ranked(probabilities)[:1] for probabilities in prediction.probabilities.values()}
        return _row(prediction.path, cells) + ("  they differ" if len(first) > 1 else "") + suffix
    (probabilities,) = prediction.probabilities.values()
    ranked = _ranked(probabilities)
    second = f"then {_class_text(probabilities, ranked[1])}" if len(ranked) > 1 else ""
    return _row(prediction.path, [_guess(probabilities), second]) + suffix


def as_record(prediction: Prediction) -> dict[str, Any]:
    """Return the JSON record of a prediction: of the first checkpoint, then of each one."""
    records = {name: _record(values) for name, values in prediction.probabilities.items()}
    name, first = next(iter(records.items()))
    record = {
        "path": prediction.path,
        "checkpoint": name,
        **first,
        "warnings": list(prediction.warnings),
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
    """Return the classes, most probable first; none if a probability is not finite."""
    if not all(map(math.isfinite, probabilities)):
        return ()
    return tuple(sorted(range(len(probabilities)), key=lambda each: -probabilities[each]))


def _guess(probabilities: tuple[float, ...]) -> str:
    ranked = _ranked(probabilities)
    return _class_text(probabilities, ranked[0]) if ranked else "not finite"


def _class_text(probabilities: tuple[float, ...], guess: int) -> str:
    return f"{guess} {fmt.percent(probabilities[guess]):>8}"


def _row(path: str, cells: Sequence[str]) -> str:
    """Return a line with a picture's name and cells; a long name loses its start."""
    name = fmt.printable(path)
    if fmt.columns(name) > MAX_PATH_WIDTH:
        name = f"…{fmt.clip(name[::-1], MAX_PATH_WIDTH)[:-1][::-1]}"
    return "  ".join([padded(name, MAX_PATH_WIDTH), *(f"{cell:<12}" for cell in cells)]).rstrip()


def _picture(prediction: Prediction) -> Picture:
    return Picture(
        caption="",
        height=prediction.side,
        width=prediction.side,
        values=prediction.grays,
        low=0.0,
        high=255.0,
    )
