"""Outcomes of submissions as text, JSON and CSV."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tui_trainer.grading.outcome import Outcome, Status, tally
from tui_trainer.grading.requirements import Requirements
from tui_trainer.headless.streams import Console, DataOut, standard_output
from tui_trainer.headless.text_table import table
from tui_trainer.text import fmt
from tui_trainer.text.escaping import markdown_escape
from tui_trainer.text.fmt import Cell
from tui_trainer.text.tables import csv_table, markdown_table

HEAD = ("submission", "model", "result", "met", "parameters", "field", "time", "")
RIGHT = frozenset({3, 4, 5, 6})
"""The right-aligned columns."""

CSV_HEAD = (
    *("submission", "model", "status", "met", "requirements", "parameters", "multiply_adds"),
    *("receptive_field", "seconds", "folder", "problem"),
)


class Progress:
    """A live line with what is being verified.

    Args:
        total: The number of submissions.
    """

    def __init__(self, total: int) -> None:
        self._console = Console(sys.stderr, time.monotonic)
        self._total = total
        self._done = 0

    def __enter__(self) -> Progress:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Erase the line."""
        self._console.clear()

    def show(self, words: str) -> None:
        """Draw the line, a few times a second."""
        if self._console.due():
            gap = " · " if words else ""
            count = f"{self._done} of {self._total} verified{gap}" if self._total > 1 else ""
            room = max(0, self._console.width - len(count))
            self._console.draw([Cell(f"{count}{fmt.clip(words, room)}")])

    def done(self) -> None:
        """Count a submission that is verified."""
        self._done += 1


def print_outcomes(
    outcomes: Sequence[Outcome],
    requirements: Requirements,
    code: int,
    *,
    is_folder: bool,
    as_json: bool,
) -> None:
    """Write the outcomes to stdout: a table for a folder, a line per requirement for one model.

    ``code`` is the exit code, for JSON.
    """
    out = standard_output()
    if as_json:
        out.record(
            {
                "exit_code": code,
                "submissions": [outcome.record() for outcome in outcomes],
            }
        )
        return
    if is_folder or len(outcomes) > 1:
        _print_table(outcomes, out)
        out.line(tally(outcomes))
    else:
        for line in _lines(outcomes[0]):
            out.line(line)
    if requirements.target is not None and requirements.target.last is not None:
        out.line("accuracy: on validation images; the test set is evaluated once, at the end")


def _print_table(outcomes: Sequence[Outcome], out: DataOut) -> None:
    """Write a row per submission; where a terminal is too narrow, the reasons below the table."""
    rows = [HEAD, *map(_cells, outcomes)]
    lines = table(rows, RIGHT)
    is_wide = out.width is None or max(map(fmt.columns, lines)) <= out.width
    for line in lines if is_wide else table([row[:-1] for row in rows], RIGHT):
        out.row(line)
    out.line("")
    if not is_wide:
        for row in rows[1:]:
            if row[-1]:
                out.line(f"{row[0]}: {row[-1]}")
        out.line("")


def _cells(outcome: Outcome) -> tuple[str, ...]:
    figures, status = outcome.figures, outcome.status
    return (
        outcome.name,
        outcome.model or "-",
        f"{status.mark} {status.value}",
        f"{outcome.met} of {len(outcome.checks)}" if outcome.checks else "-",
        "-" if figures is None else fmt.count(figures.parameters),
        "-" if figures is None else fmt.field(figures.receptive_field),
        fmt.duration(outcome.seconds),
        outcome.problem or "; ".join(f"{each.name} {each.figure}" for each in outcome.missed),
    )


def _lines(outcome: Outcome) -> list[str]:
    name, figures = outcome.title, outcome.figures
    lines = [name]
    if figures is not None:
        lines = [
            f"{name}: {fmt.plural(figures.parameters, 'parameter')}, "
            f"{fmt.count(figures.multiply_adds)} multiply-adds per image, receptive field of a "
            f"logit {fmt.field(figures.receptive_field)}"
        ]
    lines += [f"{'✓' if check.is_met else '✗'} {check.line}" for check in outcome.checks]
    if outcome.problem:
        lines.append(f"✗ {outcome.status.value}: {outcome.problem}")
    elif outcome.status is Status.MET and not outcome.checks:
        lines.append("✓ builds and returns logits; no requirement is given")
    else:
        total = fmt.plural(len(outcome.checks), "requirement")
        lines.append(f"{outcome.status.mark} {outcome.met} of {total} met")
    if outcome.folder:
        lines.append(f"recorded in {fmt.printable(outcome.folder)}")
    return lines


def markdown_text(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as Markdown: the table, then the requirements that are not met."""
    lines = [*markdown_table((*HEAD[:-1], "problem"), [*map(_cells, outcomes)]), ""]
    lines += [tally(outcomes), ""]
    for outcome in outcomes:
        lines += [
            f"- {markdown_escape(outcome.name)}: {markdown_escape(check.line)}"
            for check in outcome.missed
        ]
    return "\n".join(lines).rstrip() + "\n"


def csv_text(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as CSV: a row per submission, then a column per requirement."""
    names = [*dict.fromkeys(check.name for each in outcomes for check in each.checks)]
    return csv_table((*CSV_HEAD, *names), [_csv_row(outcome, names) for outcome in outcomes])


def _csv_row(outcome: Outcome, names: Sequence[str]) -> list[object]:
    figures = outcome.figures
    verdicts = {check.name: check.is_met for check in outcome.checks}
    return [
        *(outcome.name, outcome.model, outcome.status.value),
        *(outcome.met, len(outcome.checks)),
        None if figures is None else figures.parameters,
        None if figures is None else figures.multiply_adds,
        None if figures is None else fmt.field(figures.receptive_field),
        *(outcome.seconds, outcome.folder, outcome.problem),
        *(verdicts.get(name) for name in names),
    ]
