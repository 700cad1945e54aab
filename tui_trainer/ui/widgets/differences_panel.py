"""How the marked runs differ: settings, results, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.protocol.exhibit import Block, Words
from tui_trainer.recording.comparison import BASELINE, RunComparison
from tui_trainer.recording.comparison_text import comparison_blocks
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.widgets.exhibit_painting import medium_of
from tui_trainer.ui.widgets.panel import TextPanel

HINT = "Mark two or more runs, or groups, with {runs.mark} to compare them with the first one."

PLOT = 10
"""Lines of a plot; a comparison has none."""


class DifferencesPanel(TextPanel):
    """A comparison of runs and groups, or what to do to get one."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("differences", id=id)
        self._found: RunComparison | None = None
        self._note = self._waits_for = ""

    def show(self, found: RunComparison | None, note: str = "") -> None:
        """Show a comparison; ``note`` is what it lacks, or why there is none."""
        self._found, self._note, self._waits_for = found, note, ""
        # Without this test, two single runs have none.
        has_pair = found is not None and any(
            group.is_single and found.groups[BASELINE].is_single
            for group in found.groups[BASELINE + 1 :]
        )
        self.border_subtitle = with_keys("{runs.test} McNemar's test") if has_pair else ""
        self.fill()

    def wait(self, words: str) -> None:
        """Say what the comparison waits for; nothing if ``words`` is empty."""
        self._waits_for = words
        self.fill()

    def lines(self, width: int) -> Lines:
        """Return the tables and sentences."""
        words = self._waits_for or self._note
        note = paragraph(words, "warning", width) if words else []
        if self._found is None:
            return note or paragraph(with_keys(HINT), "muted", width)
        medium = medium_of(self.app.theme_variables)
        found = exhibit_lines(_result_first(comparison_blocks(self._found)), width, PLOT, medium)
        return [*note, *([[]] if note else []), *found]


def _result_first(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks with the differences and tests, under their title, before the tables."""
    titles = (
        n for n, each in enumerate(blocks) if isinstance(each, Words) and each.tone == "title"
    )
    place = next(titles, len(blocks))
    return [*blocks[:1], *blocks[place:], *blocks[1:place]]
