"""The table of trials, and what a sweep says, as panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.sweeps.sweep_table import (
    advice_lines,
    heads_of,
    importance_lines,
    padded_rows,
    trial_role,
    trial_texts,
)
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines
from tui_trainer.ui.keys.keymap import TRIALS_TABLE_KEYS
from tui_trainer.ui.widgets.panel import TextPanel
from tui_trainer.ui.widgets.runs_table import KeyedTable

LONGEST_CELL = 28
"""The widest cell of a setting; the line of the chosen trial has it in full."""


class TrialsTable(KeyedTable):
    """The trials, one a row."""

    BINDINGS: ClassVar[list[BindingType]] = [*TRIALS_TABLE_KEYS]

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._texts: dict[int, tuple[TrialState, int, list[str]]] = {}

    def show_trials(self, state: SweepState, trials: Sequence[TrialState]) -> None:
        """Show trials in this order; only the texts of changed ones are made again."""
        head, *rows = padded_rows(state, [self._row(state, trial) for trial in trials])
        heads = dict(zip(heads_of(state), head, strict=True))
        self.show(
            heads,
            [
                (str(trial.number), [Cell(text, style=trial_role(trial)) for text in row])
                for trial, row in zip(trials, rows, strict=True)
            ],
        )

    def _row(self, state: SweepState, trial: TrialState) -> list[str]:
        before = self._texts.get(trial.number)
        if before is None or before[:2] != (trial, state.val_images):
            before = (trial, state.val_images, trial_texts(state, trial, LONGEST_CELL))
            self._texts[trial.number] = before
        return before[2]

    @property
    def number(self) -> int | None:
        """The number of the chosen trial."""
        return int(self.chosen) if self.chosen is not None else None


class AdvicePanel(TextPanel):
    """The importance of the settings, then the advice."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("what the sweep says", id=id)
        self._state: SweepState | None = None

    def show(self, state: SweepState) -> None:
        """Show what a sweep says."""
        self._state = state
        if self.is_on_screen:
            self.fill()

    def on_show(self) -> None:
        """Fill in what was skipped while the panel was hidden."""
        self.fill()

    def lines(self, width: int) -> Lines:
        """Return the importance and the advice."""
        if self._state is None:
            return []
        advice = advice_lines(self._state, width - 1)
        return [*importance_lines(self._state, width - 1), [], *advice]
