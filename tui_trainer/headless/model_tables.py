"""Models as text: layer table, design review, comparison, list of the built-in models."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tui_trainer.headless.event_text import diagnosis_lines
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.headless.text_table import GAP, table
from tui_trainer.protocol.diagnosis import Diagnosis, by_severity, tally
from tui_trainer.protocol.layers import BUDGET, LayerRow, totals
from tui_trainer.render.comparison_lines import comparison_lines
from tui_trainer.render.layer_cells import Scale, titles, total_cells
from tui_trainer.render.layer_comparison import Comparison
from tui_trainer.render.layer_rows import head_texts, layout, row_pieces, table_rows
from tui_trainer.render.layer_table import course_table
from tui_trainer.text import fmt
from tui_trainer.text.escaping import latex_escape, markdown_escape
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import plain
from tui_trainer.text.tables import latex_table, markdown_table

MAX_WIDTH = 1_000
"""Maximum columns of a line in a file or a pipe."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model, for printing.

    Attributes:
        name: Its name.
        about: One sentence about it; empty for a custom model without a docstring.
        rows: Its layer table.
        scale: The reference values of its figures.
        measured: The measured receptive field of each row, if requested.
    """

    name: str
    about: str
    rows: tuple[LayerRow, ...]
    scale: Scale
    measured: tuple[str, ...] = ()


def scale_of(rows: Sequence[LayerRow], *, budget: int = BUDGET, batch_size: int = 1) -> Scale:
    """Return the reference values of a table."""
    return Scale(budget, totals(rows).multiply_adds, batch_size)


def print_model(model: ModelDescription) -> None:
    """Write the layer table to stdout, by stages; with fewer columns on a narrow terminal."""
    out = standard_output()
    for line in headline(model):
        out.line(line)
    out.line("")
    for line in model_lines(model, out.width):
        out.row(line)


def headline(model: ModelDescription) -> list[str]:
    """Return the name and the cost of a model, in two lines."""
    whole = totals(model.rows)
    budget = model.scale.budget
    size = model.rows[0].shape_text if model.rows else ""
    return [
        f"{model.name}: {model.about}" if model.about else model.name,
        f"{fmt.plural(whole.parameters, 'parameter')}, "
        f"{fmt.percent(whole.parameters / budget, 1)} of {fmt.count(budget)} · "
        f"{fmt.count(whole.multiply_adds)} multiply-adds per image · receptive field of a "
        f"logit: {fmt.field(whole.receptive_field)} on inputs of {size}",
    ]


def model_lines(model: ModelDescription, width: int | None) -> list[str]:
    """Return the layer table as lines, in ``width`` columns if possible."""
    scale, whole = model.scale, totals(model.rows)
    rows = table_rows(model.rows, scale, ())
    sums = total_cells(model.rows, scale)
    table = [titles(scale), *(row.cells for row in rows), sums]
    if model.measured:
        measured = ["" if row.is_head else model.measured[row.index] for row in rows]
        more = ("measured", *measured, "")
        table = [(*cells, last) for cells, last in zip(table, more, strict=True)]
    fitted = layout(table, MAX_WIDTH if width is None else width + GAP, GAP)
    shares = (*(row.share for row in rows), whole.parameters / scale.budget)
    lines = [
        (" " * GAP).join("".join(cell.text for cell in column) for column in columns).rstrip()
        for columns in (
            row_pieces(row, share, fitted) for row, share in zip(table[1:], shares, strict=True)
        )
    ]
    heads = (" " * GAP).join(head_texts(table[0], fitted)).rstrip()
    return [heads, *lines[:-1], "──", lines[-1], *_notes(model.rows), *_measured_notes(model)]


def _notes(rows: Sequence[LayerRow]) -> list[str]:
    """Return each reason why a receptive field is undefined, once."""
    reasons = dict.fromkeys(row.undefined for row in rows if row.undefined)
    return [f"— no receptive field: {reason}" for reason in reasons]


def _measured_notes(model: ModelDescription) -> list[str]:
    """Return why a measured field is missing."""
    rows = zip(model.rows, model.measured, strict=False)
    missing = [row.name for row, field in rows if field == "—" and row.is_layer]
    if not missing:
        return []
    what = fmt.plural(len(missing), "layer")
    return [f"— not measured: no gradient flows through {what} (first: {missing[0]})"]


def markdown(model: ModelDescription) -> list[str]:
    """Return the course's layer table as Markdown."""
    table = course_table(model.rows, model.measured)
    notes = [*_notes(model.rows), *_measured_notes(model)]
    return [
        f"### {markdown_escape(model.name)}",
        "",
        *([markdown_escape(model.about), ""] if model.about else []),
        *markdown_table(table.heads, table.rows, has_total=True),
        *(line for note in notes for line in ("", markdown_escape(note))),
    ]


def latex(model: ModelDescription) -> list[str]:
    """Return the course's layer table as LaTeX."""
    table = course_table(model.rows, model.measured)
    notes = [*_notes(model.rows), *_measured_notes(model)]
    return [
        *latex_table(table.heads, table.rows, has_total=True),
        *(rf"\par{{\footnotesize {latex_escape(note)}\par}}" for note in notes),
    ]


def print_lines(lines: Sequence[str]) -> None:
    """Write lines to stdout unchanged."""
    out = standard_output()
    for line in lines:
        out.line(line)


def print_review(model: ModelDescription, verdicts: Sequence[Diagnosis]) -> None:
    """Write the verdicts to stdout, most severe first."""
    out = standard_output()
    for line in headline(model):
        out.line(line)
    out.line(tally(verdicts))
    for verdict in by_severity(verdicts):
        for line in ("", *diagnosis_lines(verdict)):
            out.line(line)


def print_comparison(
    left: ModelDescription, right: ModelDescription, comparison: Comparison
) -> None:
    """Write two models side by side to stdout: cost, then stages."""
    out = standard_output()
    for model in (left, right):
        out.line(f"{model.name}: {model.about}" if model.about else model.name)
    out.line("")
    names = (left.name, right.name)
    for line in plain(comparison_lines(names, comparison, out.width or MAX_WIDTH)):
        out.row(line)


def print_zoo(models: Sequence[ModelDescription]) -> None:
    """Write the built-in models to stdout, one per line."""
    out = standard_output()
    head = ("model", "parameters", "multiply-adds", "field", "description")
    lines = [head]
    for model in models:
        whole = totals(model.rows)
        lines.append(
            (
                model.name,
                fmt.count(whole.parameters),
                fmt.count(whole.multiply_adds),
                fmt.field(whole.receptive_field),
                model.about,
            )
        )
    for line in table(lines, {1, 2, 3}):
        out.row(line)


def with_progress(what: str, parts: Iterable[T], total: int) -> Iterator[T]:
    """Yield each part; if stderr is a terminal, show the progress on a live line."""
    console = Console(sys.stderr, time.monotonic)
    try:
        for done, part in enumerate(parts, start=1):
            yield part
            if console.due():
                console.draw([Cell(f"{what}: {done} of {total} layers")])
    finally:
        console.clear()
