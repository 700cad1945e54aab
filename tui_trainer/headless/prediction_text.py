"""Predictions for pictures, one line each."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from tui_trainer.headless.predictions import Prediction, Score, as_record, ranked
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.class_names import class_name, class_names
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Picture
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.render.characters import picture_lines
from tui_trainer.text import fmt
from tui_trainer.text.lines import padded

MAX_PATH_WIDTH = 40
"""Maximum columns of a picture's name, if figures follow it."""

MIN_CELL_WIDTH = 12
"""Minimum columns of a prediction."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning about several predictions, in one line."""

    text: str


Predictions = Iterator[Prediction | Warned | InputError]
"""The predictions for each picture, or why there are none; warnings about several."""


def print_predictions(
    predictions: Predictions,
    checkpoints: Sequence[str],
    *,
    as_json: bool,
    shows: bool,
    keep: list[Prediction] | None = None,
) -> ExitCode:
    """Write a line per picture to stdout as soon as it is predicted; errors go to stderr.

    The output of a custom model goes to stderr too. At the end comes the accuracy, if classes of
    pictures are known.

    Args:
        predictions: The predictions.
        checkpoints: The checkpoints' names.
        as_json: Write a JSON object per line.
        shows: Whether to show each picture below its line.
        keep: Gets the predictions.

    Returns:
        ``BAD_INPUT`` if a picture cannot be used.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    console = Console(sys.stderr, time.monotonic)
    out = standard_output(console)
    code, is_headed = ExitCode.FINISHED, as_json or len(checkpoints) == 1
    score = Score()
    with redirect_stdout(sys.stderr):
        for each in predictions:
            if isinstance(each, InputError):
                console.print(f"mnist-tui: error: {fmt.one_line(str(each))}")
                code = ExitCode.BAD_INPUT
                continue
            if isinstance(each, Warned):
                console.print(f"mnist-tui: warning: {fmt.one_line(each.text)}")
                continue
            score.add(each)
            if keep is not None:
                keep.append(each)
            if not is_headed:
                out.row(_row("", checkpoints, _widest(each)))
                is_headed = True
            if as_json:
                out.line(json.dumps(as_record(each)))
                continue
            out.row(prediction_line(each))
            for row in picture_lines(_picture(each)) if shows else ():
                out.row(f"  {row}".rstrip())
    if score.total and as_json:
        out.line(json.dumps(score.record()))
    elif score.total:
        for line in score.lines():
            out.row(line)
    return code


def prediction_line(prediction: Prediction) -> str:
    """Return a prediction: of one model with its second class, of several side by side.

    The true class of a wrong one and warnings are at the end of the line.
    """
    found, names, width = prediction.probabilities, prediction.class_names, _widest(prediction)
    suffix = _suffix(prediction)
    if len(found) > 1:
        cells = [_guess(probabilities, names, width) for probabilities in found.values()]
        first = {ranked(probabilities)[:1] for probabilities in found.values()}
        differ = "  they differ" if len(first) > 1 else ""
        return _row(prediction.path, cells, width) + differ + suffix
    (probabilities,) = found.values()
    order = ranked(probabilities)
    second = f"then {_class_text(probabilities, order[1], names, width)}" if order[1:] else ""
    cells = [_guess(probabilities, names, width), second]
    return _row(prediction.path, cells, width) + suffix


def _suffix(prediction: Prediction) -> str:
    found = ""
    label = prediction.label
    if label is not None and any(
        prediction.predicted(name) != label for name in prediction.probabilities
    ):
        found = f"  true class: {class_name(prediction.class_names, label)}"
    if prediction.warnings:
        found += f"  warning: {'; '.join(prediction.warnings)}"
    return found


def _guess(probabilities: tuple[float, ...], names: Sequence[str], width: int) -> str:
    order = ranked(probabilities)
    return _class_text(probabilities, order[0], names, width) if order else "not finite"


def _class_text(
    probabilities: tuple[float, ...], guess: int, names: Sequence[str], width: int
) -> str:
    name = padded(class_name(names, guess), width)
    return f"{name} {fmt.percent(probabilities[guess]):>8}"


def _widest(prediction: Prediction) -> int:
    """Return the columns of the widest name of a class; 1 for numbers."""
    names = prediction.class_names
    return max((fmt.columns(name) for name in class_names(names, len(names))), default=1)


def _row(path: str, cells: Sequence[str], width: int) -> str:
    """Return a line with a picture's name and cells; a long name loses its start."""
    name = fmt.printable(path)
    if fmt.columns(name) > MAX_PATH_WIDTH:
        name = f"…{fmt.clip(name[::-1], MAX_PATH_WIDTH)[:-1][::-1]}"
    size = max(MIN_CELL_WIDTH, width + len("  99.99 %"))
    shown = [padded(name, MAX_PATH_WIDTH), *(_widened(cell, size) for cell in cells)]
    return "  ".join(shown).rstrip()


def _widened(cell: str, size: int) -> str:
    return cell + " " * (size - fmt.columns(cell))


def _picture(prediction: Prediction) -> Picture:
    return Picture(
        caption="",
        height=prediction.side,
        width=prediction.side,
        values=prediction.values,
        low=0.0,
        high=255.0,
        channels=prediction.channels,
    )
