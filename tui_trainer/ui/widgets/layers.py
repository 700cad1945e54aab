"""The layer table: what each layer makes of the image, and its share of the budget."""

from __future__ import annotations

from textual.content import Content

from tui_trainer.run import text
from tui_trainer.run.layers import BUDGET, LayerRow, Stage, stages
from tui_trainer.run.text import Cell
from tui_trainer.ui.widgets.painting import content_of
from tui_trainer.ui.widgets.panel import TextPanel


class LayerPanel(TextPanel):
    """A table of the network's layers."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("layers", id=id)
        self._rows: tuple[LayerRow, ...] = ()

    def show(self, rows: tuple[LayerRow, ...]) -> None:
        """Show a network's layers."""
        if rows and rows != self._rows:
            self._rows = rows
            total = sum(row.parameters for row in rows)
            self.border_subtitle = f"{text.count(total)} of {text.count(BUDGET)} parameters"
            self.fill()

    def text(self, width: int) -> Content:
        """Return the table."""
        return layer_table(stages(self._rows), width) if self._rows else Content("")


def layer_table(rows: list[Stage], width: int) -> Content:
    """Return the table in ``width`` columns; what matters least goes first where it is narrow."""
    names = max(len("layer"), *(len(row.name) for row in rows))
    whats = max(len("kernel"), *(len(row.what) for row in rows))
    shapes = max(len("output"), *(len(row.shape_text) for row in rows))
    room = width - names - whats - shapes - 10 - 3 * 2 - 2
    # The bar says most in little room; its figure joins it where there is more.
    has_figure = room >= 15
    bar_width = max(0, min(30, room - 7 if has_figure else room))
    header = [
        Cell(f"{'layer':<{names}}  {'kernel':<{whats}}  {'output':>{shapes}}  ", style="muted"),
        Cell("parameters", style="muted"),
        Cell(f"  {_share_title(bar_width)}", style="muted"),
    ]
    lines = [content_of(header)]
    for row in rows:
        share = row.parameters / BUDGET
        bar = bar_of(share, bar_width) if bar_width >= 4 else ""
        cells = [
            Cell(f"{row.name:<{names}}  "),
            Cell(f"{row.what:<{whats}}  ", style="muted"),
            Cell(f"{row.shape_text:>{shapes}}  "),
            Cell(f"{text.count(row.parameters) if row.parameters else '·':>10}"),
            Cell(f"  {bar}", style="train"),
            Cell(f"{100 * share:5.1f} %" if has_figure and row.parameters else "", style="muted"),
        ]
        lines.append(content_of(cells))
    folded = sorted({kind for row in rows for kind in row.companions})
    if folded:
        lines.append(Content(""))
        lines.append(
            content_of([Cell(f"{', '.join(folded)} counted with their layer", style="muted")])
        )
    return Content("\n").join(lines)


def _share_title(width: int) -> str:
    titles = (f"share of {text.count(BUDGET)}", f"of {text.count(BUDGET)}", "share")
    return next((title for title in titles if len(title) <= width), "")


def bar_of(share: float, width: int) -> str:
    """Return a bar without ends; anything above nothing shows at least a sliver."""
    eighths = min(width * 8, max(1 if share > 0 else 0, round(share * width * 8)))
    full, rest = divmod(eighths, 8)
    return ("█" * full + (text.EIGHTHS[rest] if rest else "")).ljust(width)
