"""The comparison of the marked rows of the Runs screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import SettingChanged
from tui_trainer.recording.compared_runs import ComparedGroup, ComparedRun
from tui_trainer.recording.comparison import RunComparison, compare
from tui_trainer.recording.folder import ListedRun
from tui_trainer.stats.intervals import PairedAccuracy
from tui_trainer.ui.runs.run_listing import Key, Row, key_of, members

Pairs = Mapping[tuple[Key, Key], PairedAccuracy | str]
"""By a run and the baseline: their correct images, or why they cannot be compared."""

Interventions = Mapping[Key, Sequence[SettingChanged]]
"""The changed settings of the runs whose events were read."""


@dataclass(frozen=True, slots=True)
class ComparedRows:
    """The comparison of some rows with the first one.

    Attributes:
        found: The comparison; None if fewer than two rows can be compared.
        note: Why a run is missing; empty if none is.
    """

    found: RunComparison | None
    note: str = ""


def compared_rows(
    rows: Sequence[tuple[Row, str]], interventions: Interventions, pairs: Pairs
) -> ComparedRows:
    """Compare rows, each with its glyph, with the first. Reads settings and summaries."""
    groups, keys, glyphs, problems = [], [], [], []
    for row, glyph in rows:
        runs = []
        for run in members(row):
            try:
                runs.append(_compared(run, interventions))
            except InputError as error:
                problems.append(f"{run.name} is left out: {error}.")
        if runs:
            groups.append(ComparedGroup(row.name, tuple(runs)))
            keys.append(key_of(row))
            glyphs.append(glyph)
    note = " ".join(problems)
    if len(groups) < 2:
        return ComparedRows(None, note)
    known = {
        place: pairs[key, keys[0]] for place, key in enumerate(keys) if (key, keys[0]) in pairs
    }
    return ComparedRows(compare(groups, same_images=known, labels=glyphs), note)


def _compared(run: ListedRun, interventions: Interventions) -> ComparedRun:
    changes = interventions.get(str(run.folder.path), ())
    return ComparedRun.read(run.folder, run.name, changes)
