"""How the parts of a drawing are painted: by the style sheet of a page, or by themselves.

Presentation attributes are what LibreOffice, Word, Inkscape and LaTeX converters all understand; of
style sheets, variables and media queries each of them understands another part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui_trainer.protocol.exhibit import Tone

INK, PAPER, QUIET, LINE, PANEL = "#26282e", "#ffffff", "#5f5a52", "#d8d3c8", "#f5f2eb"
TITLE, OK, WARNING, ERROR = "#0f4c8c", "#006b5c", "#7a5a00", "#98071c"
CURVES = (
    *("#0f60b0", "#b53c00", "#3d6d06", "#8c1480"),
    *("#2c3645", "#866300", "#006b5c", "#98071c"),
)
"""The colors of the light theme of ``report.css``; the first is that of training, and so on."""

HEAT = "#f05a24"
"""The color of the hottest cell of a matrix."""

TONES: Mapping[Tone, str] = {
    **{"plain": INK, "muted": QUIET, "title": INK, "note": INK},
    **{"error": ERROR, "warning": WARNING, "ok": OK},
}

Paint = Callable[[str], str]
"""Returns the attributes of an element with these class names, with a blank before them."""

_ATTRIBUTES: Mapping[str, str] = {
    "grid": f"stroke='{LINE}' stroke-width='.7'",
    "axis": f"fill='none' stroke='{QUIET}' stroke-width='1'",
    "tick": f"fill='none' stroke='{QUIET}' stroke-width='1'",
    "x": f"fill='{QUIET}' text-anchor='middle'",
    "y": f"fill='{QUIET}' text-anchor='end'",
    "label": f"fill='{QUIET}' text-anchor='end'",
    "line": "fill='none' stroke='currentColor' stroke-width='1.8' stroke-linejoin='round'",
    "band": "fill='currentColor' fill-opacity='.16' stroke='none'",
    "full": "fill='currentColor'",
    "hollow": f"fill='{PAPER}' stroke='currentColor' stroke-width='1.4'",
    **{f"c{index}": f"color='{color}'" for index, color in enumerate(CURVES)},
}


def by_class(names: str) -> str:
    """Return class names, for a page that has a style sheet."""
    return f" class='{names}'"


def by_attributes(names: str) -> str:
    """Return presentation attributes, for a document that stands alone."""
    return "".join(f" {_ATTRIBUTES[name]}" for name in names.split())
