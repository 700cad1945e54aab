"""The blocks of an exhibit as HTML; no meaning depends on color alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tui_trainer.protocol.exhibit import (
    Bars,
    Block,
    Curves,
    Matrix,
    Picture,
    Pictures,
    Table,
    Words,
)
from tui_trainer.render.block_lines import is_number, is_right, sign_of
from tui_trainer.render.html.plot import curves_html
from tui_trainer.render.svg.color_key import NAN_KEY, color_keys, has_nan
from tui_trainer.render.svg.pixels import data_uri, scale_of
from tui_trainer.render.svg.text import kept_blanks
from tui_trainer.text.escaping import html_escape
from tui_trainer.text.fmt import columns

WIDE_HEAD = 6
"""A matrix with a name of more columns than this has upright names above its columns."""

STRONGEST = 0.6
"""The color strength of the hottest cell of a matrix: its number must stay readable."""


def _html(text: str) -> str:
    """Return a text as HTML; runs of spaces that align columns become figure spaces."""
    return html_escape(kept_blanks(text))


def blocks_html(blocks: Sequence[Block]) -> str:
    """Return blocks below each other."""
    return "\n".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Words():
            return _words(block)
        case Table():
            return _table(block)
        case Pictures():
            return _pictures(block)
        case Curves():
            return curves_html(block)
        case Bars():
            return _bars(block)
        case Matrix():
            return _matrix(block)


def _words(words: Words) -> str:
    sign = sign_of(words)
    if words.is_preformatted:
        return f"<pre class='{words.tone}'>{escape(sign + words.text)}</pre>"
    parts = words.text.split("\n\n")
    return "".join(
        f"<p class='{words.tone}'>{_html(part if index else sign + part)}</p>"
        for index, part in enumerate(parts)
    )


# --- tables


def _table(table: Table) -> str:
    """Return a table; a column whose cells are mostly numbers is right-aligned."""
    right = [is_right(table, index) for index in range(len(table.heads))]
    marks = table.marked is not None
    lead = "<td class='mark'></td>" if marks else ""
    heads = "".join(
        f"<th scope='col'{_flush(flush)}>{_html(head)}</th>"
        for head, flush in zip(table.heads, right, strict=True)
    )
    head = f"<thead><tr>{lead}{heads}</tr></thead>" if any(table.heads) else ""
    rows = []
    for number, row in enumerate(table.rows):
        cells = "".join(
            f"<td{_flush(is_number(cell, flush))}>{_html(cell)}</td>"
            for cell, flush in zip(row, right, strict=True)
        )
        if number == table.marked:
            rows.append(f"<tr class='marked'><td class='mark'>▸</td>{cells}</tr>")
        else:
            rows.append(f"<tr>{lead}{cells}</tr>")
    return (
        f"<div class='wide'><table>{_caption(table.caption)}{head}"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _flush(is_right: bool) -> str:
    return " class='n'" if is_right else ""


def _caption(words: str) -> str:
    return f"<caption>{_html(words)}</caption>" if words else ""


def _matrix(matrix: Matrix) -> str:
    """Return a matrix; the more a cell stands out, the redder it is."""
    across = len(matrix.heads)
    kind = "matrix upright" if max(map(columns, matrix.heads), default=0) > WIDE_HEAD else "matrix"
    heads = "".join(f"<th scope='col'><span>{_html(head)}</span></th>" for head in matrix.heads)
    rows = []
    for index, head in enumerate(matrix.heads):
        cells = "".join(
            f"<td{_heat(heat)}>{_html(text)}</td>"
            if column != index
            else f"<td class='diagonal'>{_html(text)}</td>"
            for column, (text, heat) in enumerate(
                zip(matrix.texts[index], matrix.intensities[index], strict=True)
            )
        )
        rows.append(f"<tr><th scope='row'>{_html(head)}</th>{cells}</tr>")
    return (
        f"<div class='wide'><table class='{kind}'>{_caption(matrix.caption)}<thead>"
        f"<tr><td></td><th scope='colgroup' colspan='{across}'>{_html(matrix.column_label)}</th>"
        f"</tr><tr><th scope='col'>{_html(matrix.row_label)}</th>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat(heat: float) -> str:
    strength = min(1.0, max(0.0, heat)) if math.isfinite(heat) else 0.0
    return f" style='--heat:{STRONGEST * strength:.2f}'" if strength > 0 else ""


def _bars(bars: Bars) -> str:
    rows = []
    for bar in bars.bars:
        sign = "▸ " if bar.is_marked else ""
        marked = " class='marked'" if bar.is_marked else ""
        rows.append(
            f"<tr{marked}><th scope='row'>{_html(sign + bar.label)}</th>"
            f"<td class='bar'><span style='width:{100 * bar.drawn_share:.1f}%'></span></td>"
            f"<td class='n'>{_html(bar.number)}</td></tr>"
        )
    return f"<table class='bars'>{_caption(bars.caption)}<tbody>{''.join(rows)}</tbody></table>"


# --- pictures


def _pictures(pictures: Pictures) -> str:
    """Return pictures side by side, with a color key."""
    head = f"<figcaption>{_html(pictures.caption)}</figcaption>" if pictures.caption else ""
    items = "".join(map(_picture, pictures.items))
    return f"<figure>{head}<div class='pictures'>{items}</div>{_key(pictures.items)}</figure>"


def _picture(picture: Picture) -> str:
    scale = scale_of(picture)
    width, height = picture.width * scale, picture.height * scale
    kind = _kind(picture)
    if any(map(math.isnan, picture.values)):
        kind += " nan"
    alt = _html(f"{picture.caption}: {picture.height}×{picture.width}, {picture.ends}")
    return (
        f"<div class='picture'><span class='{kind}' style='width:{width}px'>"
        f"<img src='{data_uri(picture)}' width='{width}' height='{height}' alt='{alt}' "
        f"title='{alt}'>{_frame(picture)}</span><small>{_html(picture.caption)}</small></div>"
    )


def _kind(picture: Picture) -> str:
    """Return the class of a picture in the style sheet."""
    return "color" if picture.is_color else "signed" if picture.is_signed else "gray"


def _frame(picture: Picture) -> str:
    if picture.frame is None:
        return ""
    top, left, height, width = picture.frame
    sides = (
        ("top", top / picture.height),
        ("left", left / picture.width),
        ("height", height / picture.height),
        ("width", width / picture.width),
    )
    style = ";".join(f"{side}:{100 * share:.2f}%" for side, share in sides)
    return f"<i style='{style}'></i>"


def _key(pictures: Sequence[Picture]) -> str:
    """Return the color key."""
    keys = [
        f"<span>{escape(key.low)} {_ramp(key.ramp)} {escape(key.high)}</span>"
        for key in color_keys(pictures)
    ]
    if has_nan(pictures):
        keys.append(f"<span>{NAN_KEY}</span>")
    return f"<p class='key'>{' '.join(keys)}</p>" if keys else ""


def _ramp(ramp: Picture) -> str:
    kind = _kind(ramp)
    return f"<span class='{kind} ramp'><img src='{data_uri(ramp)}' alt='to'></span>"
