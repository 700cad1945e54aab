"""The validation images that several recorded runs classify correctly, to compare them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui_trainer.cli.moved_paths import MovedPaths
from tui_trainer.cli.saved import check_script_files, saved_run
from tui_trainer.headless.streams import Console
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.compared_runs import ComparedGroup, ComparedRun
from tui_trainer.recording.comparison import BASELINE, SameImages
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.seed_group import history_of
from tui_trainer.text.fmt import Cell

if TYPE_CHECKING:
    from tui_trainer.lab.correct_images import CorrectImages
    from tui_trainer.stats.intervals import PairedAccuracy

CHANGE = b'"event": "SettingChanged"'
"""What the record of a run with changed settings contains."""


@dataclass(frozen=True, slots=True)
class Column:
    """A compared run or group: its name, and the folders of its runs."""

    name: str
    folders: tuple[RunFolder, ...]


def read_column(column: Column) -> ComparedGroup:
    """Read settings, results and changed settings of the runs.

    Raises:
        InputError: If a run cannot be read.
    """
    runs = []
    for folder in column.folders:
        changes = history_of(folder).interventions if _has_changes(folder) else ()
        runs.append(ComparedRun.read(folder, interventions=changes))
    return ComparedGroup(column.name, tuple(runs))


def _has_changes(folder: RunFolder) -> bool:
    """Return whether settings were changed in training, without parsing the events."""
    try:
        return CHANGE in folder.events.read_bytes()
    except OSError:
        return False


def same_images(
    groups: Sequence[ComparedGroup],
    columns: Sequence[Column],
    correct: Callable[[Column], CorrectImages | str],
) -> SameImages:
    """Return the correct images of each single run and the baseline, if that is one as well.

    Where they cannot be compared, the reason. Loads torch.

    Args:
        groups: The runs and groups, the baseline first.
        columns: The folders of each.
        correct: Evaluates a run, see :class:`CorrectByCheckpoint`.
    """
    others = [index for index, group in enumerate(groups) if index != BASELINE and group.is_single]
    baseline = groups[BASELINE]
    if not baseline.is_single or not others:
        return {}
    found: dict[int, PairedAccuracy | str] = {}
    first: CorrectImages | str | None = None
    for index in others:
        if why := _not_comparable(groups[index], baseline):
            found[index] = why
            continue
        first = first or correct(columns[BASELINE])
        if isinstance(first, str):
            found[index] = first
            continue
        second = correct(columns[index])
        if isinstance(second, str):
            found[index] = second
        else:
            images = "their validation images are not the same"
            found[index] = second.paired_with(first) or images
    return found


def _not_comparable(one: ComparedGroup, other: ComparedGroup) -> str:
    """Return why two runs have no validation images in common; empty if they may have."""
    summaries = [group.runs[0].summary for group in (one, other)]
    if one.dataset != other.dataset:
        return "they are on different data"
    if any(summary.val_accuracy is None for summary in summaries):
        return "no validation accuracy"
    # A script does not report the size of its split, but its run has some of the images.
    sizes = {summary.val_size for summary in summaries} - {0}
    return "their validation splits have different sizes" if len(sizes) > 1 else ""


@dataclass
class CorrectByCheckpoint:
    """Evaluates runs on their validation images, each once.

    Attributes:
        checkpoint: The checkpoint that is evaluated.
    """

    checkpoint: str
    _found: dict[Column, CorrectImages | str] = field(default_factory=dict)

    def __call__(self, column: Column) -> CorrectImages | str:
        """Return the correctly classified validation images of a run, or why there are none."""
        if column not in self._found:
            self._found[column] = _correct_images(column, self.checkpoint)
        return self._found[column]


def _correct_images(column: Column, checkpoint: str) -> CorrectImages | str:
    """Return the correctly classified validation images of a run, or why there are none."""
    from tui_trainer.lab.correct_images import correct_images
    from tui_trainer.models.custom.error_lines import CustomModelError

    console, (folder,) = Console(sys.stderr, time.monotonic), column.folders
    try:
        found = saved_run(str(folder.path), checkpoint, moved=MovedPaths(), checked=False)
        check_script_files(found.metadata, folder)
        console.draw([Cell(f"{column.name}: evaluating the validation images")])
        events = correct_images(found.settings(), found.resumption())
        while True:
            next(events)
    except StopIteration as done:
        result: CorrectImages = done.value
        return result
    except (InputError, CustomModelError) as error:
        return str(error)
    finally:
        console.clear()
