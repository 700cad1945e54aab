"""The text of the batch-size lens."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.text.lines import Lines
from tui_trainer.ui.batch_lens import BatchLens, LensRun, batch_lens, lens_lines
from tui_trainer.ui.widgets.panel import TextPanel


class LensPanel(TextPanel):
    """What each batch size needs to the same loss, and why."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("batch-size lens", id=id)
        self._lens: BatchLens = batch_lens([])
        self._different: Sequence[str] = ()

    def show(self, runs: Sequence[LensRun], different: Sequence[str]) -> None:
        """Show these runs; ``different`` are the other settings in which they differ."""
        self._lens, self._different = batch_lens(runs), different
        self.fill()

    def lines(self, width: int) -> Lines:
        """Return the table and its explanation."""
        return lens_lines(self._lens, self._different, width)
