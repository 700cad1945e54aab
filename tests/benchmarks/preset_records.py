"""The recorded results of the presets: one JSON line per seed in ``records/NAME.jsonl``.

A record belongs to the settings of its preset. If a preset changes, its older records no longer
count.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config_file import read_preset
from tui_trainer.protocol.errors import InputError

FOLDER = Path(__file__).with_name("records")


@dataclass(frozen=True, slots=True)
class Record:
    """The result of one run of a preset.

    Attributes:
        preset: The preset's name.
        settings: Its settings at the time of the run.
        seed: The seed.
        parameters: The number of parameters of the model.
        epochs: The number of epochs.
        test_correct: The number of correct test images after the last epoch, read once.
        test_total: The number of test images.
        seconds: The duration of the training, without loading and without the test evaluation.
        threads: The number of torch's threads.
        jobs: The number of runs that were training at the same time: a duration is comparable if it
            is 1.
        device: ``cpu``, or the name of the GPU's device.
        torch: The version of PyTorch.
        processor: The name of the processor.
        commit: The commit of the code; ``-changed`` if the package differed from it.
    """

    preset: str
    settings: Mapping[str, Any]
    seed: int
    parameters: int
    epochs: int
    test_correct: int
    test_total: int
    seconds: float
    threads: int
    jobs: int
    device: str
    torch: str
    processor: str
    commit: str

    @property
    def accuracy(self) -> float:
        """The test accuracy."""
        return self.test_correct / self.test_total


def settings_of(preset: str) -> dict[str, Any]:
    """Return the settings of a preset as JSON holds them.

    Raises:
        InputError: If there is no preset of that name.
    """
    settings: dict[str, Any] = json.loads(json.dumps(read_preset(preset).settings))
    return settings


def path_of(preset: str, folder: Path = FOLDER) -> Path:
    """Return the file with the records of a preset."""
    return folder / f"{preset}.jsonl"


def read(preset: str, folder: Path = FOLDER) -> list[Record]:
    """Return the records of a preset with its current settings, by seed.

    A last line without its end, which a killed process leaves, is ignored.

    Raises:
        InputError: If there is no preset of that name, or the file is no list of records.
    """
    path, settings = path_of(preset, folder), settings_of(preset)
    if not path.exists():
        return []
    found: dict[int, Record] = {}
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        try:
            record = Record(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}, line {number}: not a record: {error}") from None
        if record.settings == settings:
            found.setdefault(record.seed, record)
    return [found[seed] for seed in sorted(found)]


def append(record: Record, folder: Path = FOLDER) -> bool:
    """Add a record to its file and to the disk; return False if its seed is there already.

    Several processes may record at the same time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with path_of(record.preset, folder).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if any(each.seed == record.seed for each in read(record.preset, folder)):
            return False
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(dataclasses.asdict(record)).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return True
