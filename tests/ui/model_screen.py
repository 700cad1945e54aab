"""The Model screen on a fake engine, and helpers to read it."""

from __future__ import annotations

from textual.pilot import Pilot

from tests.ui.fakes import (
    FakeEngine,
    ModelFirst,
    described,
    recorded_fields,
    recording,
    until,
    wait_for_events,
    window,
)
from tui_trainer.protocol.answers import Answered, MeasuredField
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.events import Event
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.widgets.field_panel import FieldPanel
from tui_trainer.ui.widgets.model_table import LayersTable

MODEL = recording("network")
FIELDS = recorded_fields("network")
ROWS = described("network").layers
EPOCH = next(event for event in recording("finished") if type(event).__name__ == "EpochDone")
ARROWS = ("up", "down", "left", "right")


def model(
    events: list[Event] = MODEL, kind: type[MnistTui] = ModelFirst
) -> tuple[MnistTui, FakeEngine]:
    return window(events, kind=kind, fields=FIELDS, models=[described("other-network")])


async def show(pilot: Pilot[None], app: MnistTui, events: list[Event] = MODEL) -> ModelScreen:
    """Wait for the run, and for the screen to show it."""
    await wait_for_events(pilot, app, events)
    if not isinstance(app.screen, ModelScreen):
        await pilot.press("2")
    await still(pilot, app)
    assert isinstance(app.screen, ModelScreen)
    return app.screen


async def still(pilot: Pilot[None], app: MnistTui) -> None:
    """Wait until no question is pending, or for a second: not all fake engines answer."""
    await pilot.pause(0.05)
    await until(pilot, lambda app: not app.live_run.field.is_waiting, app, tries=50)


def names(screen: ModelScreen) -> list[str]:
    table = screen.query_one(LayersTable)
    return [str(table.get_row_at(place)[0]).rstrip() for place in range(table.row_count)]


def column(screen: ModelScreen, title: str) -> list[str]:
    """Return a column of the table from top to bottom."""
    table = screen.query_one(LayersTable)
    heads = [str(head.label).strip() for head in table.ordered_columns]
    place = heads.index(title)
    return [str(table.get_row_at(row)[place]).strip() for row in range(table.row_count)]


def middle_of(place: int) -> MeasuredField:
    """Return the recorded field of the center feature of a layer."""
    height, width, _ = ROWS[place].output_shape
    here = (place, height // 2, width // 2)
    return next(field for field in FIELDS if (field.place, field.row, field.column) == here)


def line(screen: ModelScreen, name: str) -> str:
    widget = screen.query_one(f"#{name}")
    return widget.render_line(0).text.strip()


def field_text(screen: ModelScreen) -> str:
    panel = screen.query_one(FieldPanel)
    lines = [panel.render_line(y).text for y in range(panel.size.height)]
    return "\n".join([str(panel.border_title), *lines, str(panel.border_subtitle)])


def asked(engine: FakeEngine) -> list[Ask]:
    return [c for c in engine.received if isinstance(c, Ask) and c.kind == "field"]


def answer(question: Ask) -> Answered:
    """Answer with the recorded field of the layer's center feature."""
    content = middle_of(int(dict(question.choices)["place"]))
    return Answered(question=question, content=content, step=30)
