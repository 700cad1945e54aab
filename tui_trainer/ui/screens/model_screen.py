"""The Model screen: layer table, design review and receptive field of the live run's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Static

from tui_trainer.protocol.answers import Answered, ModelDescription
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.events import EpochDone, Event, RunStarted, StepDone
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.render.layer_comparison import compare
from tui_trainer.ui.keys.keymap import MODEL_KEYS
from tui_trainer.ui.runs.limits import field_limit
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.base_screen import LiveScreen
from tui_trainer.ui.screens.dialogs import ChooseScreen, CompareScreen
from tui_trainer.ui.widgets.field_panel import FieldPanel, FieldView
from tui_trainer.ui.widgets.model_table import LayersTable, ModelTable
from tui_trainer.ui.widgets.review_panel import ReviewPanel
from tui_trainer.ui.widgets.status_lines import TopLine


class ModelScreen(LiveScreen):
    """Shows the model of the live run; training steps repaint nothing."""

    CSS_PATH = ["views.tcss", "model.tcss"]  # noqa: RUF012
    AUTO_FOCUS = "#layers-table"
    BINDINGS: ClassVar[list[BindingType]] = [*MODEL_KEYS]
    VIEWS: ClassVar[tuple[str, ...]] = ("table", "review", "field")
    PANELS: ClassVar[Mapping[str, type[Widget]]] = {
        "table": LayersTable,
        "review": ReviewPanel,
        "field": FieldPanel,
    }

    def __init__(self) -> None:
        super().__init__()
        self._feature = (0, 0)
        self._digit = 0
        self._compared_with = ""

    def compose(self) -> ComposeResult:
        """The top line, the table, the review and the receptive field."""
        yield TopLine(id="top")
        with Container(id="parts"):
            yield ModelTable(id="model-table")
            yield ReviewPanel(id="review")
            yield FieldPanel(id="field")
        yield Static(id="not-yet", markup=False)
        yield from self.compose_end()

    def show_run(self, run: LiveRun, events: Sequence[Event] = ()) -> None:
        """Show the run's state; of a step only the top line."""
        is_new = self.set_run(run)
        if events and not is_new and all(isinstance(event, StepDone) for event in events):
            return
        self._show_model(run)
        if is_new or any(isinstance(event, RunStarted) for event in events):
            self._choose_middle()
            self._ask()
        elif self.is_due and any(isinstance(event, EpochDone) for event in events):
            self._ask()
        self._show_field()
        for event in events:
            if isinstance(event, Answered) and isinstance(event.content, ModelDescription):
                self._show_comparison(event.content)
        state = run.history
        self.refresh_keys(
            state.started is None, state.is_over, state.failure is None, state.divergence is None
        )

    def _show_model(self, run: LiveRun) -> None:
        started = run.history.started
        self.set_class(started is None, "-not-yet")
        if started is None:
            failure = run.history.failure
            words = f"The run has failed: {failure.message}" if failure else _preparing(run)
            self.query_one("#not-yet", Static).update(words)
            return
        table = self.query_one(ModelTable)
        table.border_title = f"{started.model} · {started.about}" if started.about else "layers"
        batch_size = int(run.history.settings["batch_size"])
        table.show(started.layers, batch_size, started.budget)
        self.query_one(ReviewPanel).show(started.review)
        if self.focused is None:
            self.call_after_refresh(self.focus_view)

    def on_screen_resume(self) -> None:
        """Ask again: the weights may have changed."""
        if self._run is not None:
            self._ask()
            self._show_field()

    def on_screen_suspend(self) -> None:
        """Drop the question that was not sent yet."""
        if self._run is not None:
            self._run.field.drop_next()

    @property
    def _row(self) -> LayerRow | None:
        """The chosen row."""
        started = self._run.history.started if self._run else None
        if started is None or not started.layers:
            return None
        place = self.query_one(ModelTable).place
        return started.layers[place] if place < len(started.layers) else None

    def on_model_table_chosen(self) -> None:
        """Show the center feature of another layer."""
        self._choose_middle()
        self._ask()
        self._show_field()

    def _choose_middle(self) -> None:
        row = self._row
        height, width, _ = row.output_shape if row else (1, 1, 1)
        self._feature = (height // 2, width // 2)

    @property
    def topic(self) -> int | None:
        """The topic of the chosen verdict, if any."""
        return self.query_one(ReviewPanel).topic

    @property
    def _unavailable_reason(self) -> str:
        """Why there is no receptive field to ask for; empty if there is."""
        run, row = self._run, self._row
        if run is None or row is None:
            return "building the model …"
        if not row.is_layer:
            return "choose a layer above to see its receptive field"
        if run.history.failure is not None:
            return "the run has failed: the gradient cannot be measured"
        if limit := field_limit(run.history.started):
            return limit
        return run.field.rejection

    def _ask(self) -> None:
        """Ask for the receptive field of the chosen feature, if the screen is active."""
        run = self._run
        if run is None or not self.is_active:
            return
        run.field.rejection = ""
        if self._unavailable_reason:
            return
        self._asked_at = self._clock()
        choices = {
            "place": self.query_one(ModelTable).place,
            "row": self._feature[0],
            "column": self._feature[1],
            "digit": self._digit,
        }
        run.field.submit(Ask("field", tuple(choices.items())))

    def _show_field(self) -> None:
        run, started = self._run, self._run.history.started if self._run else None
        if run is None or started is None:
            return
        self.query_one(FieldPanel).show(
            FieldView(
                self._row,
                self.query_one(ModelTable).place,
                self._feature,
                started.image_size,
                started.class_names,
                run.field.answer,
                self._unavailable_reason,
            )
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim actions that have no effect yet (None), hide those of other views (False)."""
        history = self._run.history if self._run else None
        is_ready = history is not None and history.started is not None
        match action:
            case "fold_all":
                return self._is_seen("table") and (is_ready or None)
            case "next_digit":
                return self._is_seen("field") and (is_ready or None)
            case "next_panel":
                return not self.is_small and (is_ready or None)
            case "compare" if self.is_small and self.view == "field":
                return False
            case "compare":
                return None if not is_ready or (history and history.failure) else True
        return super().check_action(action, parameters)

    def _is_seen(self, view: str) -> bool:
        return not self.is_small or self.view == view

    def action_fold_all(self) -> None:
        """Fold or unfold all blocks."""
        self.query_one(ModelTable).fold_all()

    def action_move_layer(self, by: int) -> None:
        """Choose another row of the layer table."""
        self.query_one(ModelTable).move(by)

    def action_move_feature(self, down: int, across: int) -> None:
        """Choose a neighboring feature; at an edge of the map nothing happens."""
        row = self._row
        if row is None:
            return
        height, width, _ = row.output_shape
        y, x = self._feature[0] + down, self._feature[1] + across
        if 0 <= y < height and 0 <= x < width:
            self._feature = (y, x)
            self._ask()
            self._show_field()

    def action_next_digit(self) -> None:
        """Show the receptive field on the next digit of the validation split."""
        self._digit += 1
        self._ask()
        self._show_field()

    def action_compare(self) -> None:
        """Choose a model to compare with, and ask for its description."""
        run = self._run
        if run is None or run.history.started is None:
            return

        def chosen(name: str | None) -> None:
            if name is not None:
                self._compared_with = name
                run.send(Ask("model", (("model", name),)))
                self.notify(f"building {name} …", timeout=2)

        mine = run.history.started.model
        names = [name for name in MODELS if name != mine]
        self.app.push_screen(ChooseScreen(f"Compare {mine} with", names), chosen)

    def _show_comparison(self, other: ModelDescription) -> None:
        started = self._run.history.started if self._run else None
        if other.model != self._compared_with:
            return
        self._compared_with = ""
        if self._run is None or started is None or not self.is_active:
            return
        self.app.clear_notifications()  # "building …"
        batch_size = int(self._run.history.settings["batch_size"])
        comparison = compare(
            started.layers, other.layers, budget=started.budget, batch_size=batch_size
        )
        self.app.push_screen(CompareScreen((started.model, other.model), comparison))


def _preparing(run: LiveRun) -> str:
    detail = run.history.detail
    return "Building the model …" + (f"\n{detail}" if detail else "")
