"""The targets of an assignment, as they are typed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import printable

LAST = "last"
"""The checkpoint that an assignment reports: the best one is picked by the validation images."""

PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")


def check_targets(targets: Sequence[str], runs: int) -> None:
    """Check the targets before anything is evaluated.

    Raises:
        InputError: If their number does not fit, or one of them is an impossible accuracy.
    """
    if len(targets) > 1 and len(targets) != runs:
        raise InputError(
            f"--target: given {len(targets)} times for {runs} runs; give it once for all, or "
            "once for each"
        )
    for text in targets:
        target_accuracy(text)


def target_accuracy(text: str) -> float | None:
    """Return the accuracy that a target is, as ``99.4``, ``99.4 %`` and ``0.994``; None for words.

    Raises:
        InputError: If it is no possible accuracy.
    """
    found = PERCENT.fullmatch(text)
    if found is None:
        return None
    number = float(found[1])
    accuracy = number / 100 if found[2] or number > 1 else number
    if not 0 < accuracy <= 1:
        raise InputError(
            f"--target {printable(text.strip())}: an accuracy is above 0 and at most 100 %"
        )
    return accuracy
