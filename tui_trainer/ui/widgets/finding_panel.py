"""One finding in full: all its causes, each with its evidence and advice."""

from __future__ import annotations

from tui_trainer.course.topics import lesson_label
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.text import fmt
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.widgets.finding_lines import SEVERITY_ROLES, apply_key, body_lines
from tui_trainer.ui.widgets.panel import TextPanel


class FindingPanel(TextPanel):
    """A finding of a run; it stays when the finding is cleared."""

    DEFAULT_CSS = """
    FindingPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, run: ShownRun, found: FindingRaised) -> None:
        super().__init__("finding", id="finding")
        self._run, self._found = run, found
        key = "{findings.apply_fix} apply · " if self.is_fixable else ""
        self.border_subtitle = with_keys(f"{key}esc closes")

    @property
    def is_fixable(self) -> bool:
        """Whether a knob applies its advice now."""
        return self._run.fixable() is self._found

    def show(self) -> None:
        """Show its current numbers."""
        self._found = self._run.history.findings.get(self._found.code, self._found)
        self.fill()

    def lines(self, width: int) -> Lines:
        """Return the finding, its causes and its lesson."""
        found = self._found
        is_active = found.code in self._run.history.findings
        since = f"since step {fmt.count(found.step)}" if is_active else "✓ cleared"
        return [
            *paragraph(found.heading, SEVERITY_ROLES[found.severity], width),
            *paragraph(since, "muted" if is_active else "ok", width, indent=2),
            *body_lines(found, width, key=apply_key(self._run.fixable(), found)),
            *paragraph(lesson_label(found.lesson), "muted", width, indent=2),
        ]
