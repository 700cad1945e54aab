"""The causes of a finding as lines: the first with its advice, then what else it could be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.text.lines import Lines, paragraph


def cause_lines(
    found: FindingRaised, width: int, *, indent: int = 2, key: str = "", is_full: bool = True
) -> Lines:
    """Return the causes of a finding in lines of ``width`` columns.

    Args:
        found: The finding.
        width: Available columns.
        indent: Columns before each line.
        key: What follows the first advice.
        is_full: Show all causes with evidence and advice, not the first one and the others' names.
    """
    first, *others = found.ranked_causes or (Cause(code="", title=""),)
    lines: Lines = []
    if is_named(first, found):
        lines += paragraph(f"{first.label}: {first.title}", "", width, indent=indent)
    lines += _evidence(first, found, width, indent)
    if first.advice:
        lines += paragraph(f"try: {first.advice}{key}", "title", width, indent=indent)
    if not is_full:
        words = others_line(others, found)
        return [*lines, *paragraph(words, "muted", width, indent=indent, hanging=2)]
    for cause in others:
        if cause.code == found.code:
            lines += paragraph(f"or try: {cause.advice}", "", width, indent=indent)
            continue
        lines += paragraph(f"also {cause.likelihood}: {cause.title}", "", width, indent=indent)
        lines += _evidence(cause, found, width, indent)
        lines += paragraph(f"try: {cause.advice}" if cause.advice else "", "muted", width, indent=4)
    return lines


def is_named(cause: Cause, found: FindingRaised) -> bool:
    """Return whether a cause says more than the title of its finding."""
    return cause.title not in ("", found.title)


def evidence_of(cause: Cause, found: FindingRaised) -> str:
    """Return the evidence of a cause, unless the finding shows the same."""
    return "" if cause.evidence == found.evidence else cause.evidence


def others_line(others: Sequence[Cause], found: FindingRaised) -> str:
    """Return causes after the first one in one line, by likelihood; empty if there are none.

    What the finding itself is about, its last resort, is left out.
    """
    others = [cause for cause in others if cause.code != found.code]
    return " · ".join(
        f"also {likelihood}: {'; '.join(cause.title for cause in causes)}"
        for likelihood, causes in groupby(others, key=lambda cause: cause.likelihood)
    )


def _evidence(cause: Cause, found: FindingRaised, width: int, indent: int) -> Lines:
    return paragraph(evidence_of(cause, found), "muted", width, indent=indent + 2)
