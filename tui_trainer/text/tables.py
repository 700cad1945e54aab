"""A table as Markdown, LaTeX and CSV. Cells are escaped here, and only here."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from tui_trainer.text.escaping import csv_safe, latex_escape, markdown_escape

DASH = "—"
"""The cell for an undefined value."""

NONE = ("", DASH, "–", "·")
"""Cells without a value; they do not decide how a column is aligned."""

MAX_LATEX_ROWS = 40
"""A LaTeX table with more rows may be longer than a page, and breaks across pages."""

_NUMBER_STARTS = "0123456789+-−."


def right_aligned(rows: Sequence[Sequence[str]]) -> set[int]:
    """Return the columns of numbers: those whose values all begin with a digit or a sign."""
    return {
        place
        for place, column in enumerate(zip(*rows, strict=True))
        if all(cell[0] in _NUMBER_STARTS for cell in column if cell not in NONE)
        and any(cell not in NONE for cell in column)
    }


def markdown_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, has_total: bool = False
) -> list[str]:
    """Return a table as lines of Markdown (GitHub's).

    Args:
        heads: The heads of the columns.
        rows: The cells, one per column.
        has_total: Whether the last row has totals; they are bold.
    """
    right = right_aligned(rows)
    body = [[markdown_escape(cell) for cell in row] for row in rows]
    if has_total and body:
        body[-1] = [f"**{cell}**" if cell else "" for cell in body[-1]]
    lines = [
        [markdown_escape(head) for head in heads],
        ["---:" if place in right else "---" for place in range(len(heads))],
        *body,
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def latex_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, has_total: bool = False
) -> list[str]:
    r"""Return a table as lines of LaTeX with the rules of ``booktabs``.

    The first line is a comment with the packages that the preamble must load. A table that is too
    wide is scaled down to the line; a long one is a ``longtable``, which breaks across pages.

    Args:
        heads: The heads of the columns.
        rows: The cells, one per column.
        has_total: Whether the last row has totals; a rule separates it.
    """
    right = right_aligned(rows)
    places = "".join("r" if place in right else "l" for place in range(len(heads)))
    body = [_latex_row(row) for row in rows]
    if has_total and body:
        body.insert(-1, r"\midrule")
    if len(rows) > MAX_LATEX_ROWS:
        return _long_latex_table(places, _latex_row(heads), body)
    return [
        r"% \usepackage{booktabs,graphicx}",
        r"\noindent\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{places}}}",
        *(r"\toprule", _latex_row(heads), r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}}",
    ]


def _long_latex_table(places: str, head: str, body: Sequence[str]) -> list[str]:
    return [
        r"% \usepackage{booktabs,longtable}",
        r"{\scriptsize\setlength{\tabcolsep}{2pt}%",
        # Centered; a wide one takes up to an inch of both margins.
        r"\setlength{\LTleft}{-1in plus 1fill}\setlength{\LTright}{-1in plus 1fill}%",
        rf"\begin{{longtable}}{{{places}}}",
        *(r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot", *body),
        r"\end{longtable}}",
    ]


def _latex_row(cells: Sequence[str]) -> str:
    # "[" behind the "\\" of the row before would be its option.
    return rf"{{}}{' & '.join(map(latex_escape, cells))} \\"


def csv_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV: unrounded numbers, ``true`` and ``false``, nothing for None.

    Texts are made safe for spreadsheets (:func:`tui_trainer.text.escaping.csv_safe`); those of a
    list, such as tags, are separated by blanks.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(csv_safe, heads))
    for row in rows:
        writer.writerow([_csv_value(value) for value in row])
    return out.getvalue()


def _csv_value(value: Any) -> Any:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return csv_safe(value)
        case tuple() | list():
            return csv_safe(" ".join(value))
        case float() if not math.isfinite(value):
            return ""
    return value
