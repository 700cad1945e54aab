"""The layer table of the Train screen: output shapes, parameters, share of the budget."""

from __future__ import annotations

from tui_trainer.protocol.layers import BUDGET, LayerRow, Stage, stages
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, padded
from tui_trainer.ui.widgets.panel import TextPanel


class LayerPanel(TextPanel):
    """A table of the model's layers."""

    DEFAULT_CSS = """
    LayerPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("layers", id=id)
        self._rows: tuple[LayerRow, ...] = ()
        self._budget = BUDGET

    def show(self, rows: tuple[LayerRow, ...], budget: int) -> None:
        """Show a model's layers and their share of the parameter budget."""
        if rows and (rows, budget) != (self._rows, self._budget):
            self._rows, self._budget = rows, budget
            total = sum(row.parameters for row in rows)
            # The budget of a script is its model: shares add up to 100 %.
            whole = "" if total == budget else f" of {fmt.count(budget)}"
            self.border_subtitle = f"{fmt.count(total)}{whole} parameters"
            self.fill()

    def lines(self, width: int) -> Lines:
        """Return the table."""
        return layer_table(stages(self._rows), self._budget, width) if self._rows else []


def layer_table(rows: list[Stage], budget: int, width: int) -> Lines:
    """Return the table in ``width`` columns; a narrow one omits the least important parts."""
    heads = ("layer", "kernel", "output")
    texts = [(row.name, row.what, row.shape_text) for row in rows]
    names, whats, shapes = (
        max(map(fmt.columns, column)) for column in zip(heads, *texts, strict=True)
    )
    # Sizes and parameters are whole in any panel: the kernels yield first, then the names.
    left = width - shapes - 10 - 2 * 2
    names = min(names, max(left, 5))
    whats = min(whats, left - names - 2)
    has_kernels = whats >= len("conv 3×3")
    room = left - names - (whats + 2 if has_kernels else 0) - 2
    # A narrow table has only the bar, a wider one also its figure.
    has_figure = room >= 15
    bar_width = min(30, room - 7 if has_figure else room)
    has_bar = bar_width >= 4
    kernel = f"{'kernel':<{whats}}  " if has_kernels else ""
    header = (
        f"{'layer':<{names}}  {kernel}{'output':>{shapes}}  ",
        "parameters",
        f"  {_share_title(budget, bar_width)}" if has_bar else "",
    )
    lines = [[Cell(title, style="muted") for title in header]]
    for row in rows:
        share = row.parameters / budget
        bar = f"  {fmt.share_bar(share, bar_width)}" if has_bar else ""
        lines.append(
            [
                Cell(f"{padded(row.name, names)}  "),
                Cell(f"{padded(row.what, whats)}  " if has_kernels else "", style="muted"),
                Cell(f"{row.shape_text:>{shapes}}  "),
                Cell(f"{fmt.count(row.parameters) if row.parameters else '·':>10}"),
                Cell(bar, style="train"),
                Cell(
                    f"{100 * share:5.1f} %" if has_figure and row.parameters else "", style="muted"
                ),
            ]
        )
    folded = sorted({kind for row in rows for kind in row.companions})
    if folded:
        lines += [[], [Cell(f"{', '.join(folded)} counted with their layer", style="muted")]]
    return lines


def _share_title(budget: int, width: int) -> str:
    titles = (f"share of {fmt.count(budget)}", f"of {fmt.count(budget)}", "share")
    return next((title for title in titles if len(title) <= width), "")
