"""Two models on the same validation images: computed by another process, which loads PyTorch.

In the app every torch call runs on the training thread, and that one is training.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui_trainer.protocol.errors import InputError
from tui_trainer.stats.intervals import PairedAccuracy

COUNTS = ("both", "only_first", "only_second", "neither")

Pairing = Callable[[Sequence[Path]], list[PairedAccuracy | str]]
"""Compares each other run with the first one, given their folders."""


class ImagePairing:
    """Runs ``mnist-tui compare-runs`` for the correct images of runs; one call at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, folders: Sequence[Path]) -> list[PairedAccuracy | str]:
        """Return the correct images of each other run and the first one, or why there are none.

        It blocks; call it on a thread.

        Raises:
            InputError: If the command fails.
        """
        names = [os.path.abspath(folder) for folder in folders]
        command = [sys.executable, "-m", "tui_trainer", "compare-runs", "--json", "--", *names]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A training next to it needs the other cores.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        out, errors = self._process.communicate()
        if self._process.returncode:
            lines = errors.strip().splitlines() or ["compare-runs was ended"]
            raise InputError(lines[-1].removeprefix("error: "))
        return paired(json.loads(out))

    def close(self) -> None:
        """End the process, if it is running."""
        if self._process is not None:
            self._process.kill()


def paired(record: dict[str, Any]) -> list[PairedAccuracy | str]:
    """Return the correct images in a record of ``compare-runs --json``."""
    return [
        PairedAccuracy(*(each["images"][name] for name in COUNTS))
        if "images" in each
        else str(each["reason"])
        for each in record["differences"]
    ]
