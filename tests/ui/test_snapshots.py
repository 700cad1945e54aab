"""Snapshots of the window in its states. Look at each one before you commit it.

pytest tests/ui/test_snapshots.py --snapshot-update
python -m tests.ui.png          # all of them as PNG, to look at
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from tests.ui import found
from tests.ui.fakes import (
    ModelFirst,
    described,
    recorded_fields,
    recording,
    run_folder,
    until,
    wait_for_events,
    window,
)
from tui_trainer.protocol.answers import MeasuredField
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RecordingFailed, RecordingStarted, RunFinished
from tui_trainer.ui.app import MnistTui, ReplayApp
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.dialogs import CompareScreen
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.runs_screen import RunsScreen
from tui_trainer.ui.theming import themes
from tui_trainer.ui.widgets.differences_panel import DifferencesPanel
from tui_trainer.ui.widgets.model_table import LayersTable, ModelTable

THEMES = sorted(path.stem for path in themes.shipped_dir().glob("*.toml"))
SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 55)
TWO = (SMALL, MEDIUM, pytest.param(LARGE, marks=pytest.mark.slow))
"""Window sizes, for screens that arrange their panels differently in the smallest one …"""

SIZES = (SMALL, *(pytest.param(size, marks=pytest.mark.slow) for size in (MEDIUM, LARGE)))
"""… and for the others: by default the smallest one, where the least fits."""

Act = str | Callable[[MnistTui], bool]
"""A key to press, or a function to call until it returns True."""


class SnapCompare(Protocol):
    def __call__(
        self,
        app: App[None],
        *,
        terminal_size: tuple[int, int],
        run_before: Callable[[Pilot[None]], Awaitable[None]],
    ) -> bool: ...


def snapshot(
    snap_compare: SnapCompare,
    events: list[Event],
    *acts: Act,
    size: tuple[int, int] = MEDIUM,
    theme: str = "midnight",
    config: RunConfig | None = None,
    error: Exception | None = None,
    runs: Path = Path("no-runs-here"),
    kind: type[MnistTui] = MnistTui,
) -> None:
    """Compare the window with its snapshot after the events and acts."""
    app, _ = window(
        events,
        kind=kind,
        theme=theme,
        config=config,
        error=error,
        runs=runs,
        fields=FIELDS,
        models=[described("other-network")],
        checks=found.CHECKS,
    )

    async def before(pilot: Pilot[None]) -> None:
        await wait_for_events(pilot, app, events)
        for act in acts:
            if isinstance(act, str):
                await pilot.press(act)
            else:
                await until(pilot, act, app)
        await pilot.pause(0.2 if acts else 0.1)

    assert snap_compare(app, terminal_size=size, run_before=before)


MID_RUN = recording("mid-run")
MODEL = recording("network")
FIELDS = recorded_fields("network")
ERA = RunConfig(epochs=5)


def test_idle(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, recording("mid-run")[:1])


@pytest.mark.parametrize("size", TWO, ids=lambda size: f"{size[0]}x{size[1]}")
def test_mid_run(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(snap_compare, MID_RUN, size=size, config=ERA)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_chart(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    keys = ("tab", "end", "up", "left", "left")
    snapshot(snap_compare, found.mid_run(*found.ALL), *keys, size=size, config=ERA)


@pytest.mark.parametrize("theme", ["daylight", pytest.param("okabe", marks=pytest.mark.slow)])
def test_enlarged_chart(snap_compare: SnapCompare, theme: str) -> None:
    keys = ("tab", "enter", "h", "y", "m", "m")
    snapshot(snap_compare, MID_RUN, *keys, theme=theme, config=ERA)


@pytest.mark.parametrize("view", ["layers", "findings"])
def test_small_views(snap_compare: SnapCompare, view: str) -> None:
    keys = ["v"] if view == "layers" else ["v", "v"]
    snapshot(snap_compare, MID_RUN, *keys, size=SMALL, config=ERA)


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param(theme, marks=[] if theme == "daylight" else [pytest.mark.slow])
        for theme in THEMES
    ],
)
def test_theme(snap_compare: SnapCompare, theme: str) -> None:
    snapshot(snap_compare, MID_RUN, theme=theme, config=ERA)


def test_paused(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, recording("paused"), config=RunConfig(model="small", epochs=2))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_overfitting(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(
        snap_compare, recording("overfitting"), size=size, config=RunConfig(schedule="constant")
    )


@pytest.mark.parametrize("size", TWO, ids=lambda size: f"{size[0]}x{size[1]}")
def test_findings(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    keys = ["v", "v"] if size == SMALL else []
    snapshot(snap_compare, found.mid_run(*found.ALL), *keys, size=size, config=ERA)


@pytest.mark.slow
def test_a_finding_chosen_and_one_snoozed(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, found.mid_run(*found.ALL), "z", "down", "down", config=ERA)


@pytest.mark.parametrize(
    ("keys", "size"),
    [
        *(([], SMALL), (["v", "v"], SMALL), ([], MEDIUM), (["enter"], SMALL)),
        pytest.param(["enter"], MEDIUM, marks=pytest.mark.slow),
    ],
    ids=["line", "view", "panel", "small-dialog", "dialog"],
)
def test_causes(snap_compare: SnapCompare, keys: list[str], size: tuple[int, int]) -> None:
    events = found.mid_run(found.DEAD, found.STUCK)
    snapshot(snap_compare, events, *keys, size=size, config=ERA)


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_check(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(snap_compare, MID_RUN, "c", _is_checked, size=size, config=ERA)


def _is_checked(app: MnistTui) -> bool:
    return bool(app.live_run.check.items) and not app.live_run.check.is_waiting


def test_diverged(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, recording("diverged"), config=RunConfig(lr=1_000.0))


def test_finished(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, recording("finished"), config=RunConfig(model="small", epochs=2))


def test_failed(snap_compare: SnapCompare) -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied (128x144 and 160x10)")
    snapshot(snap_compare, MID_RUN[:300], config=ERA, error=error)


def test_quit_question(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, MID_RUN, "q", config=ERA)


@pytest.mark.slow
def test_help(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, MID_RUN, "question_mark", size=(120, 192), config=ERA)


def test_too_small(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, MID_RUN, size=(50, 14), config=ERA)


def test_no_color(snap_compare: SnapCompare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    snapshot(snap_compare, MID_RUN, config=ERA)


FOLDER = "runs/2026-11-22-2015-era-s6"


def test_not_being_saved(snap_compare: SnapCompare) -> None:
    failed = RecordingFailed(path=f"{FOLDER}/events.jsonl", message="No space left on device")
    events: list[Event] = [
        *MID_RUN[:3],
        RecordingStarted(folder=FOLDER),
        *MID_RUN[3:-1],
        failed,
        MID_RUN[-1],
    ]
    snapshot(snap_compare, events, config=ERA)


def test_rewind_offer(snap_compare: SnapCompare) -> None:
    waiting: list[Event] = [
        event for event in recording("diverged") if not isinstance(event, RunFinished)
    ]
    snapshot(snap_compare, waiting, config=RunConfig(lr=1_000.0))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_replay(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    run = RecordedRun("2026-11-22-2015-era-s6", ERA, MID_RUN)
    run.is_paused = True
    run.seek(0.7 * run.total)
    assert snap_compare(ReplayApp(run, theme="midnight"), terminal_size=size, run_before=_pause)


async def _pause(pilot: Pilot[None]) -> None:
    await pilot.pause(0.1)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_runs(
    snap_compare: SnapCompare,
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    states = ["completed", "stopped", "diverged", "running", "completed", "disconnected"]
    for hour, state in enumerate(states):
        events = recording("finished" if state == "completed" else "paused")
        run_folder(Path("runs") / f"2026-11-22-{hour:02}15-small", events, state=state)
    damaged = run_folder(Path("runs/2026-11-21-2315-small"), MID_RUN[:9])
    damaged.summary.write_text("{", encoding="utf-8")
    keys: list[Act] = ["5", _has_listed, "down", "space", "down", "space", _has_compared]
    snapshot(snap_compare, MID_RUN, *keys, size=size, config=ERA, runs=Path("runs"))


def _has_listed(app: MnistTui) -> bool:
    return isinstance(app.screen, RunsScreen) and bool(app.screen.listing.rows)


def _has_compared(app: MnistTui) -> bool:
    """Return whether three curves and a comparison are shown."""
    screen = app.screen
    if not isinstance(screen, RunsScreen) or len(screen.curves.runs) < 3:
        return False
    return "results that differ" in str(screen.query_one(DifferencesPanel).text(60))


def _has_no_runs(app: MnistTui) -> bool:
    return "No runs in" in str(app.screen.query_one("#no-runs", Static).content)


def test_no_runs(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, MID_RUN, "5", _has_no_runs, config=ERA, runs=Path("runs"))


def _to_conv4(app: MnistTui) -> bool:
    """Choose the layer, and wait for its receptive field."""
    screen = app.screen
    if not isinstance(screen, ModelScreen) or not screen.query(LayersTable):
        return False
    rows = [row.name for row in app.live_run.history.started.layers]  # type: ignore[union-attr]
    place = rows.index("conv4")
    table = screen.query_one(ModelTable)
    table.move(place - table.place + (table.place < place))  # the second block's head lies between
    if not _answered(app):
        return False
    content = app.live_run.field.answer.content  # type: ignore[union-attr]
    return isinstance(content, MeasuredField) and table.place == place == content.place


def _answered(app: MnistTui) -> bool:
    """Return whether the receptive field is shown."""
    field = app.live_run.field
    return field.answer is not None and not field.is_waiting


def _choose_small(app: MnistTui) -> bool:
    """Choose a model to compare with."""
    for names in app.screen.query(OptionList):
        names.highlighted = names.get_option_index("small")
        return True
    return False


def _compares(app: MnistTui) -> bool:
    return isinstance(app.screen, CompareScreen)


TO_CONV4: list[Act] = [_to_conv4]


@pytest.mark.parametrize("size", TWO, ids=lambda size: f"{size[0]}x{size[1]}")
def test_model(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(snap_compare, MODEL, *TO_CONV4, kind=ModelFirst, size=size)


@pytest.mark.parametrize("view", ["review", "field"])
def test_model_small_views(snap_compare: SnapCompare, view: str) -> None:
    keys: list[Act] = ["v"] if view == "review" else ["v", "v", "left", "up", _answered]
    snapshot(snap_compare, MODEL, *TO_CONV4, *keys, kind=ModelFirst, size=SMALL)


@pytest.mark.slow
def test_model_in_a_light_theme(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, MODEL, *TO_CONV4, kind=ModelFirst, theme="daylight")


@pytest.mark.slow
def test_model_folded(snap_compare: SnapCompare) -> None:
    snapshot(snap_compare, MODEL, "z", "tab", "tab", kind=ModelFirst)


@pytest.mark.parametrize(
    "size",
    [pytest.param(SMALL, marks=pytest.mark.slow), MEDIUM],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_model_compared(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(
        snap_compare, MODEL, "c", _choose_small, "enter", _compares, kind=ModelFirst, size=size
    )
