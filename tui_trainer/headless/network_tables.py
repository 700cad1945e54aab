"""What a network is, printed: its layer table, its review, two of them side by side."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tui_trainer.course.topics import TOPICS
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.headless.text_table import GAP, table
from tui_trainer.protocol.layers import BUDGET, LayerRow, Stage, blocks, totals
from tui_trainer.protocol.verdicts import SIGNS, Verdict, by_severity, counts
from tui_trainer.render.layer_cells import (
    COLUMNS,
    PARAMETERS,
    SHARE,
    Scale,
    cells,
    titles,
    total_cells,
)
from tui_trainer.render.layer_comparison import Comparison
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell

BAR_COLUMNS = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Network:
    """A network to tell of.

    Attributes:
        name: What it is called.
        about: What it is, in a sentence; empty where nobody has said.
        rows: Its layer table.
        scale: What its figures are measured against.
        measured: The receptive field of each row as it was measured, where that was asked for.
    """

    name: str
    about: str
    rows: tuple[LayerRow, ...]
    scale: Scale
    measured: tuple[str, ...] = ()


def scale_of(rows: Sequence[LayerRow], *, budget: int = BUDGET, batch_size: int = 1) -> Scale:
    """Return what a table's figures are measured against."""
    return Scale(budget, totals(rows).multiply_adds, batch_size)


def print_network(network: Network) -> None:
    """Write the layer table to stdout, block by block; on a narrow terminal in fewer columns."""
    out = standard_output()
    for line in headline(network):
        out.line(line)
    out.line("")
    for line in network_lines(network, out.width):
        out.row(line)


def headline(network: Network) -> list[str]:
    """Return what a network is and costs, in two lines."""
    whole = totals(network.rows)
    budget = network.scale.budget
    size = network.rows[0].shape_text if network.rows else ""
    return [
        f"{network.name}: {network.about}" if network.about else network.name,
        f"{fmt.plural(whole.parameters, 'parameter')}, "
        f"{fmt.percent(whole.parameters / budget, 1)} of {fmt.count(budget)}"
        f" · {fmt.count(whole.multiply_adds)} multiply-adds an image"
        f" · a score sees {fmt.field(whole.receptive_field)} pixels of {size}",
    ]


def network_lines(network: Network, width: int | None) -> list[str]:
    """Return the layer table as lines, in at most ``width`` columns if that can be done."""
    scale = network.scale
    body = [_with_bar(cells(row, scale), row.parameters / scale.budget) for row in network.rows]
    whole = totals(network.rows)
    foot = _with_bar(total_cells(network.rows, scale), whole.parameters / scale.budget)
    lines = [titles(scale), *body, foot]
    right = [column.is_right for column in COLUMNS]
    if network.measured:
        lines = [
            (*line, more)
            for line, more in zip(lines, ("measured", *network.measured, ""), strict=True)
        ]
        right.append(True)
    kept = _that_fit(lines, width)
    flush = {place for place, index in enumerate(kept) if right[index]}
    printed = table([[line[index] for index in kept] for line in lines], flush)
    gaps = [f"── {block.name}" for block in blocks(network.rows)]
    starts = [block.places.start for block in blocks(network.rows)]
    told = [printed[0]]
    for place, line in enumerate(printed[1:-1]):
        if place in starts:
            told.append(gaps[starts.index(place)])
        told.append(line)
    return [*told, "──", printed[-1], *_notes(network.rows), *_measured_notes(network)]


def _with_bar(row: Sequence[str], share: float) -> tuple[str, ...]:
    bar = fmt.share_bar(share, BAR_COLUMNS) + row[SHARE].rjust(8)
    return (*row[:SHARE], bar if row[PARAMETERS] != "·" else "", *row[SHARE + 1 :])


def _that_fit(lines: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the places of the columns that fit together, the least important left out first."""
    kept = list(range(len(lines[0])))
    ranks = [column.rank for column in COLUMNS] + [0]
    widths = [max(fmt.columns(line[place]) for line in lines) for place in kept]
    while width is not None and sum(widths[place] + GAP for place in kept) - GAP > width:
        worst = max(kept, key=lambda place: ranks[place])
        if not ranks[worst]:
            break
        kept.remove(worst)
    return kept


def _notes(rows: Sequence[LayerRow]) -> list[str]:
    """Return, once each, why a receptive field is not defined."""
    reasons = dict.fromkeys(row.undefined for row in rows if row.undefined)
    return [f"— no receptive field: {reason}" for reason in reasons]


def _measured_notes(network: Network) -> list[str]:
    """Return why a measured field is missing."""
    rows = zip(network.rows, network.measured, strict=False)
    missing = [row.name for row, field in rows if field == "—" and row.is_layer]
    if not missing:
        return []
    what = fmt.plural(len(missing), "layer")
    return [f"— not measured: no gradient passes {what} (the first is {missing[0]})"]


def markdown(network: Network) -> list[str]:
    """Return the layer table as Markdown."""
    whole = totals(network.rows)
    body = [cells(row, network.scale) for row in network.rows]
    foot = total_cells(network.rows, network.scale)
    lines = [
        f"### {network.name}",
        "",
        *([f"{network.about}", ""] if network.about else []),
        _markdown_row(titles(network.scale)),
        _markdown_row(["---:" if column.is_right else "---" for column in COLUMNS]),
        *(_markdown_row(line) for line in body),
        _markdown_row([f"**{cell}**" if cell else "" for cell in foot]),
    ]
    return lines if whole.receptive_field else [*lines, "", *_notes(network.rows)]


def _markdown_row(row: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def print_lines(lines: Sequence[str]) -> None:
    """Write lines to stdout as they are."""
    out = standard_output()
    for line in lines:
        out.line(line)


def print_review(network: Network, verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts to stdout, the gravest first."""
    out = standard_output()
    for line in headline(network):
        out.line(line)
    number = counts(verdicts)
    out.line(f"{number['wrong']} wrong, {number['look']} to look at, {number['good']} good")
    for verdict in by_severity(verdicts):
        out.line("")
        topic = f"topic {verdict.lesson}: {TOPICS[verdict.lesson]}"
        out.line(f"{SIGNS[verdict.verdict]} {verdict.title}  [{topic}]")
        out.line(f"  {verdict.evidence}")
        if verdict.advice:
            out.line(f"  try: {verdict.advice}")


def print_comparison(left: Network, right: Network, comparison: Comparison) -> None:
    """Write two networks side by side to stdout: their stages, then what they cost."""
    out = standard_output()
    for network in (left, right):
        out.line(f"{network.name}: {network.about}" if network.about else network.name)
    out.line("")
    head = [("", left.name, "", right.name, "")]
    figures = [
        (f.name, f.left + _less(f.better == "left"), "", f.right + _less(f.better == "right"), "")
        for f in comparison.figures
    ]
    for line in table([*head, *figures], {1, 3}):
        out.row(line)
    out.line("")
    stages = ("layer", "type", "output", "parameters", "sees")
    lines = [
        (*stages, " ", *stages),
        *(
            (*_stage_cells(line.left), "≠" if line.differs else " ", *_stage_cells(line.right))
            for line in comparison.lines
        ),
    ]
    for printed in table(lines, {2, 3, 4, 8, 9, 10}):
        out.row(printed)


def _stage_cells(stage: Stage | None) -> tuple[str, ...]:
    if stage is None:
        return ("", "", "", "", "")
    parameters = fmt.count(stage.parameters) if stage.parameters else "·"
    field = fmt.field(stage.receptive_field)
    return (stage.name, stage.what, stage.shape_text, parameters, field)


def _less(is_less: bool) -> str:
    return " ◂" if is_less else "  "


def print_zoo(networks: Sequence[Network]) -> None:
    """Write one line a network to stdout."""
    out = standard_output()
    head = ("network", "parameters", "multiply-adds", "sees", "what it is")
    lines = [head]
    for network in networks:
        whole = totals(network.rows)
        lines.append(
            (
                network.name,
                fmt.count(whole.parameters),
                fmt.count(whole.multiply_adds),
                fmt.field(whole.receptive_field),
                network.about,
            )
        )
    for line in table(lines, {1, 2, 3}):
        out.row(line)


def with_progress(what: str, parts: Iterable[T], total: int) -> Iterator[T]:
    """Yield each part; where stderr is a terminal, a live line there tells how many there were."""
    console = Console(sys.stderr, time.monotonic)
    try:
        for done, part in enumerate(parts, start=1):
            yield part
            if console.due():
                console.draw([Cell(f"{what}: {done} of {total} layers")])
    finally:
        console.clear()
