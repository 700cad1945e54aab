"""The text blocks of an exhibit as lines of a given width: words, tables, bars and matrices."""

from __future__ import annotations

from itertools import zip_longest

from tui_trainer.protocol.class_names import short_names
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.exhibit import Bar, Bars, Matrix, Table, Tone, Words
from tui_trainer.text.fmt import Cell, columns, cut, share_bar
from tui_trainer.text.lines import PROSE, Lines, kept_lines, padded, paragraph, paragraphs, wrap

MAX_BAR = 40
MIN_BAR = 6

ROLES: dict[Tone, str] = {
    **{"plain": "", "muted": "muted", "title": "title bold"},
    **{"error": "error", "warning": "warning", "note": "title", "ok": "ok"},
}
"""The role of each tone; a note is harmless, so it gets no warning color."""

NUMBER = tuple("0123456789+-−")
"""A cell that begins with one of these is right-aligned."""

NONE = ("", "·", "–", "—")
"""A cell without a number: it is aligned like its column."""

GAP = 2
"""Spaces between two columns of a table."""

MIN_CELL = 4
"""The minimum width of a matrix cell, in columns."""

LEAST_HEAD = 12
"""Columns to which the name of a row is cut, if there is no room for all of it."""

LETTERS = 3
"""Letters of a name that stand for it above a column, at least."""

HEAT = 0.75
"""The color strength of the hottest cell of a matrix."""


def words_lines(words: Words, width: int) -> Lines:
    """Return a paragraph, or unwrapped lines whose overflow continues indented on the next line."""
    sign, role = sign_of(words), ROLES[words.tone]
    if words.is_preformatted:
        return kept_lines(sign + words.text.replace("\n", "\n" + " " * len(sign)), role, width)
    return paragraphs(sign + words.text, role, min(width, PROSE))


def sign_of(words: Words) -> str:
    """Return the sign of a tone, because no meaning may depend on color alone."""
    return next((f"{sign} " for severity, sign in SIGNS.items() if severity == words.tone), "")


def caption_lines(words: str, width: int) -> Lines:
    """Return the caption of a block; no lines if it has none."""
    return paragraph(words, "title", min(width, PROSE)) if words else []


# --- tables


def table_lines(table: Table, width: int, *, has_rule: bool) -> Lines:
    """Return a table with right-aligned numbers; wrap wide cells, or print it row by row.

    ``has_rule`` draws a rule below the heads.
    """
    lines = caption_lines(table.caption, width)
    gutter = 0 if table.marked is None else 2
    widths = _folded(table, width - gutter)
    if widths is None:
        return lines + _row_by_row(table, width)
    right = [is_right(table, index) for index in range(len(table.heads))]
    lines += _row(table.heads, widths, right, " " * gutter, "muted")
    if has_rule:
        lines.append([Cell(" " * gutter + "─" * (sum(widths) + GAP * (len(widths) - 1)))])
    for number, row in enumerate(table.rows):
        is_marked = number == table.marked
        aside = [is_number(cell, flush) for cell, flush in zip(row, right, strict=True)]
        sign = "▸ " if is_marked else " " * gutter
        lines += _row(row, widths, aside, sign, "title bold" if is_marked else "")
    return lines


def table_width(table: Table) -> int:
    """Return the width of a table without wrapped cells."""
    gutter = 0 if table.marked is None else 2
    return gutter + sum(_widths(table)) + GAP * (len(table.heads) - 1)


def is_right(table: Table, index: int) -> bool:
    """Return whether a column is right-aligned: most of its cells are numbers."""
    cells = [row[index] for row in table.rows if row[index] not in NONE]
    return bool(cells) and sum(cell.startswith(NUMBER) for cell in cells) * 2 > len(cells)


def is_number(cell: str, flush: bool) -> bool:
    """Return whether a cell is right-aligned: a number, or empty in a ``flush`` column."""
    return cell.startswith(NUMBER) or (cell in NONE and flush)


def _widths(table: Table) -> list[int]:
    return [max(columns(cell) for cell in cells) for cells in zip(table.heads, *table.rows)]  # noqa: B905


def _folded(table: Table, width: int) -> list[int] | None:
    """Return the column widths after narrowing the widest ones; None if that is not enough."""
    widths = _widths(table)
    least = [
        max(columns(word) for cell in cells for word in [*cell.split(), ""])
        for cells in zip(table.heads, *table.rows)  # noqa: B905
    ]
    spare = sum(widths) + GAP * (len(widths) - 1) - width
    while spare > 0:
        wide = [(size, index) for index, size in enumerate(widths) if size > least[index]]
        if not wide:
            return None
        widths[max(wide)[1]] -= 1
        spare -= 1
    return widths


def _row(
    cells: tuple[str, ...], widths: list[int], right: list[bool], sign: str, role: str
) -> Lines:
    """Return a row as one line, or as several where a cell is wrapped."""
    folded = [
        wrap(cell, width) if columns(cell) > width else [cell]
        for cell, width in zip(cells, widths, strict=True)
    ]
    lines: Lines = []
    for number, pieces in enumerate(zip_longest(*folded, fillvalue="")):
        laid = (
            padded(piece, width, is_right=flush)
            for piece, width, flush in zip(pieces, widths, right, strict=True)
        )
        start = sign if number == 0 else " " * len(sign)
        lines.append([Cell((start + (" " * GAP).join(laid)).rstrip(), style=role)])
    return lines


def _row_by_row(table: Table, width: int) -> Lines:
    """Return a table that is too wide: each row as a paragraph."""
    lines: Lines = []
    for number, row in enumerate(table.rows):
        text = " · ".join(f"{head} {cell}".strip() for head, cell in zip(table.heads, row))  # noqa: B905
        sign, role = ("▸ ", "title bold") if number == table.marked else ("", "")
        lines += paragraph(sign + text, role, width)
    return lines


# --- bars


def bars_lines(bars: Bars, width: int) -> Lines:
    """Return bars below each other, each with its number right-aligned."""
    labels, numbers = _bar_columns(bars)
    room = min(MAX_BAR, width - 2 - labels - 1 - 1 - numbers)
    lines = caption_lines(bars.caption, width)
    for bar in bars.bars:
        lines += _bar_lines(bar, labels, numbers, room, width)
    return lines


def _bar_columns(bars: Bars) -> tuple[int, int]:
    return (
        max((columns(bar.label) for bar in bars.bars), default=0),
        max((columns(bar.number) for bar in bars.bars), default=0),
    )


def _bar_lines(bar: Bar, labels: int, numbers: int, room: int, width: int) -> Lines:
    sign, role = ("▸ ", "title bold") if bar.is_marked else ("  ", "")
    color = "title" if bar.is_marked else "train"
    if room < MIN_BAR:
        drawn = share_bar(bar.drawn_share, max(1, min(MAX_BAR, width - 2)))
        text = paragraph(f"{sign}{bar.label}  {bar.number}", role, width)
        return [*text, [Cell(f"  {drawn}", style=color)]]
    return [
        [
            Cell(f"{sign}{padded(bar.label, labels)} ", style=role),
            Cell(share_bar(bar.drawn_share, room), style=color),
            Cell(f" {padded(bar.number, numbers, is_right=True)}", style=role),
        ]
    ]


def bars_width(bars: Bars) -> int:
    """Return the minimum width at which bars are worth drawing."""
    return sum(_bar_columns(bars)) + 4 + MIN_BAR + 2


# --- matrices


def matrix_width(matrix: Matrix) -> int:
    """Return the smallest width of a matrix, or that of the text in its place."""
    if not matrix.fits_a_screen:
        return PROSE
    return _row_heads_width(matrix) + _cell_width(matrix) * len(matrix.heads) + 1


def matrix_lines(matrix: Matrix, width: int) -> Lines:
    """Return a matrix with row labels at the left and column labels above.

    Names of columns that are wider than the numbers are shortened, if there is no room for them;
    those of rows are complete. In the place of a matrix that fits no screen, the text names what
    draws it.
    """
    if not matrix.fits_a_screen:
        text = (
            f"A matrix of {len(matrix.heads)} rows fits no screen: `evaluate` draws it with --out."
        )
        return paragraph(text, "muted", min(width, PROSE))
    rows, across = _row_heads(matrix, width), _across(matrix, width)
    lead = max(columns(text) for text in (*rows, matrix.row_label)) + 1
    caption = f"{matrix.caption} · rows: {matrix.row_label}, columns: {matrix.column_label}"
    room = max(matrix_width(matrix), lead + across * len(matrix.heads))
    lines = paragraph(caption, "title", min(width, room))
    row, column = matrix.cell
    lines.append([Cell(padded(matrix.row_label, lead), style="muted")])
    for index, name in enumerate(_column_heads(matrix, across)):
        role = "title bold" if index == column else "muted"
        lines[-1].append(Cell(f"{padded(name, across - 1, is_right=True)} ", style=role))
    for index, (name, texts) in enumerate(zip(rows, matrix.texts, strict=True)):
        head = padded(name, lead - 1, is_right=not _is_named(matrix))
        line = [Cell(f"{head} ", style="title bold" if index == row else "muted")]
        for number, text in enumerate(texts):
            is_chosen = (index, number) == matrix.cell
            shown = f"▸{text.rjust(across - 2)}◂" if is_chosen else f"{text.rjust(across - 1)} "
            line.append(Cell(shown, style=_cell_role(matrix, index, number, is_chosen=is_chosen)))
        lines.append(line)
    return lines


def _is_named(matrix: Matrix) -> bool:
    """Return whether the heads are names, not numbers."""
    return not all(head.isdecimal() for head in matrix.heads)


def _row_heads_width(matrix: Matrix) -> int:
    """Return the smallest width of the row heads: names may be cut to :data:`LEAST_HEAD`."""
    widest = max(map(columns, matrix.heads))
    least = min(widest, LEAST_HEAD) if _is_named(matrix) else widest
    return max(least, columns(matrix.row_label)) + 1


def _row_heads(matrix: Matrix, width: int) -> tuple[str, ...]:
    """Return the heads of the rows, cut where the matrix would be too wide otherwise.

    They begin with the number of the class where columns are headed by it.
    """
    heads = matrix.heads
    if _column_heads(matrix, _across(matrix, width)) == _numbers(matrix) and _is_named(matrix):
        heads = tuple(f"{number} {head}" for number, head in enumerate(heads))
    room = width - _cell_width(matrix) * len(heads) - 2
    return short_names(heads, len(heads), max(room, LEAST_HEAD)) if _is_named(matrix) else heads


def _across(matrix: Matrix, width: int) -> int:
    """Return the width of a cell: more than its number takes if there is room for names above."""
    least = _cell_width(matrix)
    if not _is_named(matrix):
        return least
    heads = max(columns(head) for head in (*matrix.heads, matrix.row_label)) + 1
    room = (width - heads - 1) // len(matrix.heads)
    return max(least, min(room, max(map(columns, matrix.heads)) + 2))


def _column_heads(matrix: Matrix, across: int) -> tuple[str, ...]:
    """Return the heads of the columns: names, else their first letters, else numbers."""
    heads = matrix.heads
    if max(map(columns, heads)) < across:
        return heads
    first = tuple(cut(head, across - 1).rstrip() for head in heads)
    return first if across > LETTERS and len(set(first)) == len(first) else _numbers(matrix)


def _numbers(matrix: Matrix) -> tuple[str, ...]:
    return tuple(map(str, range(len(matrix.heads))))


def _cell_width(matrix: Matrix) -> int:
    texts = matrix.texts if _is_named(matrix) else (*matrix.texts, matrix.heads)
    widest = max(columns(text) for row in texts for text in row)
    return max(MIN_CELL, widest + 2)


def _cell_role(matrix: Matrix, row: int, column: int, *, is_chosen: bool) -> str:
    """Return the role of a cell: ``ok`` on the diagonal, colored by heat elsewhere."""
    heat = min(1.0, matrix.intensities[row][column])
    role = "ok" if row == column else f"heat:{HEAT * heat}" if heat > 0 else "muted"
    return f"{role} bold underline" if is_chosen else role
