"""The validation error of each class, the worst one highlighted."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from tui_trainer.history.history import History
from tui_trainer.protocol.class_names import short_names
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, padded
from tui_trainer.ui.widgets.painting import content_of, content_of_lines

LEAST_NAME = 6
"""Columns of a class name, at least."""


class ClassPanel(Widget):
    """One bar per class; without room for all, the worst ones."""

    DEFAULT_CSS = """
    ClassPanel {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
        padding: 0 1;
    }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = "validation error by class"
        self._accuracy: tuple[float | None, ...] = ()
        self._epoch = 0
        self._names: tuple[str, ...] = ()

    def show(self, history: History) -> None:
        """Show the figures of the last epoch."""
        last = history.last_epoch
        accuracy = (last.val_class_accuracy if last else None) or ()
        epoch = last.epoch if last and accuracy else 0
        names = history.started.class_names if history.started else ()
        if (epoch, accuracy, names) != (self._epoch, self._accuracy, self._names):
            self._epoch, self._accuracy, self._names = epoch, accuracy, names
            self.border_subtitle = f"after epoch {epoch}" if epoch else ""
            self.refresh()

    def render(self) -> Content:
        """Return the bars."""
        if not self._accuracy:
            return content_of([Cell("available after the first epoch", style="muted")])
        width, height = self.size
        return content_of_lines(class_bars(self._accuracy, width, height, self._names))


def class_bars(
    accuracy: tuple[float | None, ...], width: int, height: int, names: tuple[str, ...] = ()
) -> Lines:
    """Return one line per class with its error rate, in class order, at most ``height`` lines.

    ``names`` are those of the classes, if they have any; half of the line is for the bar.
    """
    errors = [(1 - share, label) for label, share in enumerate(accuracy) if share is not None]
    shown = sorted(sorted(errors, reverse=True)[: max(1, height)], key=lambda item: item[1])
    worst = max(error for error, _ in errors)
    shown_names = short_names(names, len(accuracy), max(LEAST_NAME, width // 2 - 12))
    across = max(map(fmt.columns, shown_names))
    digits = max(5, *(len(f"{100 * error:.2f}") for error, _ in errors))
    room = max(0, width - across - digits - 7)
    lines = []
    for error, label in shown:
        role = "warning" if error == worst and worst > 0 else "validation"
        bar = fmt.share_bar(error / worst if worst else 0.0, room)
        cells = [
            Cell(f"{padded(shown_names[label], across, is_right=not names)}  ", style="title"),
            Cell(f"{100 * error:{digits}.2f} %  "),
            Cell(bar, style=role),
        ]
        lines.append(cells)
    return lines
