"""Several seeds in the window, one run after the other, on a fake engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.ui.fakes import recording, until, wait_for_events
from tests.ui.test_snapshots import MEDIUM, SIZES, SnapCompare
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunFinished, RunStarted, StateChanged
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.recorder import Recorder
from tui_trainer.recording.seed_group import SeedGroup, create_group
from tui_trainer.text.lines import plain
from tui_trainer.ui.exit_message import exit_message
from tui_trainer.ui.keys.keymap import KEYMAP
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.seeds_screen import SeedsPanel, SeedsScreen
from tui_trainer.ui.seeds_app import UNEQUAL, SeedsApp
from tui_trainer.ui.widgets.status_lines import TopLine, what_cells

FINISHED = recording("finished")
DIVERGED: list[Event] = [e for e in recording("diverged") if not isinstance(e, RunFinished)]


class Engine:
    """Yields the events of the seed of a configuration, recorded; then waits for a ``Stop``."""

    def __init__(self, group: SeedGroup, events: Callable[[int], list[Event]]) -> None:
        self.group, self.events = group, events
        self.stops: list[Stop] = []
        self.refuses: int | None = None

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        if config.seed == self.refuses:
            raise InputError("the disk is full")
        recorder = Recorder.create(self.group.folder(config.seed).path, config)
        return recorder.record(self._events(config.seed, inbox))

    def _events(self, seed: int, inbox: Inbox) -> Iterator[Event]:
        over = False
        for event in self.events(seed):
            over = over or isinstance(event, RunFinished)
            yield replace(event, seed=seed) if isinstance(event, RunStarted) else event
        while True:
            for command in inbox.take(0, wait=True):
                if isinstance(command, Stop):
                    self.stops.append(command)
                    if not over:
                        last = next(e for e in FINISHED if isinstance(e, RunFinished))
                        yield replace(last, reason=command.reason, test_accuracy=None)
                    return


def group_of(path: Path, **settings: float) -> SeedGroup:
    config = RunConfig(model="small", epochs=2, **settings)  # type: ignore[arg-type]
    return create_group(config, 3, path / "group")


def app_of(
    group: SeedGroup, events: Callable[[int], list[Event]] = lambda seed: FINISHED
) -> tuple[SeedsApp, Engine]:
    engine = Engine(group, events)
    still = Governor(cpu_time=lambda: 0.0)
    return SeedsApp(engine, group, theme="midnight", governor=still, runs=Path("none")), engine


async def ended(pilot: Pilot[None], app: SeedsApp) -> None:
    await until(pilot, lambda app: isinstance(app.screen, SeedsScreen), app)


def text_of(app: SeedsApp) -> list[str]:
    return plain(app.screen.query_one(SeedsPanel).lines(78))


async def test_the_seeds_are_trained_one_after_the_other_and_their_results_are_shown(
    tmp_path: Path,
) -> None:
    group = group_of(tmp_path)
    app, _ = app_of(group)
    async with app.run_test(size=(120, 40)) as pilot:
        await ended(pilot, app)
        assert app.live_run.config.seed == 2
        assert [line.split()[:1] for line in text_of(app)[1:4]] == [["0"], ["1"], ["2"]]
        assert any(line.startswith("mean test accuracy ") for line in text_of(app))
        await pilot.press("escape")
        assert not isinstance(app.screen, SeedsScreen)
        await pilot.press("S")
        assert isinstance(app.screen, SeedsScreen)
    assert group.left == ()
    code, words = exit_message(app)
    assert code == ExitCode.FINISHED
    assert words.splitlines()[-1] == f"recorded in {group.path}"


async def test_the_status_line_has_the_seed_and_its_place(tmp_path: Path) -> None:
    app, _ = app_of(group_of(tmp_path), lambda seed: recording("paused"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: app.live_run.history.started is not None, app)
        line = "".join(cell.text for cell in what_cells(app.live_run))
        assert "seed 0 · 1 of 3" in line
        assert app.query_one(TopLine)
        await pilot.press("S")
        assert "training" in text_of(app)[1] or "paused" in text_of(app)[1]


async def test_a_diverged_run_is_a_result_before_that_of_the_next_seed(tmp_path: Path) -> None:
    group = group_of(tmp_path)
    app, engine = app_of(group, lambda seed: DIVERGED if seed == 0 else FINISHED)
    async with app.run_test(size=(120, 40)) as pilot:
        await ended(pilot, app)
        assert engine.stops[0] == replace(Stop(reason="diverged", test=False), by="")
        assert "diverged" in text_of(app)[1]
    assert exit_message(app)[0] == ExitCode.DIVERGED


async def test_a_group_continues_with_the_seeds_that_are_left(tmp_path: Path) -> None:
    group = group_of(tmp_path)
    for _ in Recorder.create(group.folder(0).path, group.config_of(0)).record(iter(FINISHED)):
        pass
    assert group.left == (1, 2)
    app, _ = app_of(group)
    async with app.run_test(size=(120, 40)) as pilot:
        await ended(pilot, app)
        await until(pilot, lambda _: app.results.completed == 3, app)
        assert app.results.completed == 3


async def test_the_verdict_is_part_of_the_results(tmp_path: Path) -> None:
    group = group_of(tmp_path, target_accuracy=1.0, last=2)
    app, _ = app_of(group)
    async with app.run_test(size=(120, 40)) as pilot:
        await ended(pilot, app)
        assert any("✗ target missed by 3 of 3 seeds" in line for line in text_of(app))
    assert exit_message(app)[0] == ExitCode.TARGET_MISSED


async def test_quitting_prints_how_to_resume_the_group(tmp_path: Path) -> None:
    group = group_of(tmp_path)
    app, _ = app_of(group, lambda seed: recording("paused"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: app.live_run.history.started is not None, app)
        await pilot.press("q")
        assert isinstance(app.screen, ConfirmScreen)
        words = " ".join(str(static.content) for static in app.screen.query(Static))
        assert "mnist-tui seeds --resume" in words
        await pilot.press("y")
        await pilot.pause(0.2)
    assert exit_message(app)[1] == (
        f"3 of 3 seeds left; continue with: mnist-tui seeds --resume {group.path}"
    )


async def test_a_seed_that_cannot_be_recorded_ends_the_window(tmp_path: Path) -> None:
    app, engine = app_of(group_of(tmp_path))
    engine.refuses = 1
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: app.start_error is not None, app)
    assert exit_message(app) == (ExitCode.BAD_INPUT, "mnist-tui: error: the disk is full")


async def test_no_key_makes_the_seeds_unequal(tmp_path: Path) -> None:
    app, _ = app_of(group_of(tmp_path), lambda seed: recording("paused"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: app.live_run.history.started is not None, app)
        for key in ("+", "<", "T", "r", "x", "f"):
            await pilot.press(key)
            await pilot.pause(0.05)
            assert not app.live_run.requested, key
            assert not isinstance(app.screen, ConfirmScreen), key
    assert {action.split("(")[0] for action in (b.action for b in KEYMAP)} >= UNEQUAL


@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_of_the_results(
    snap_compare: SnapCompare,
    size: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    app, _ = app_of(group_of(Path(), target_accuracy=0.9, last=2))

    async def before(pilot: Pilot[None]) -> None:
        await ended(pilot, app)

    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.slow
def test_picture_of_a_run_in_front_of_finished_seeds(
    snap_compare: SnapCompare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # The window shows the steps before the next event of another kind, and here none follows.
    whole = recording("mid-run")
    last = max(place for place, event in enumerate(whole) if isinstance(event, StateChanged))
    events = whole[: last + 1]
    app, _ = app_of(group_of(Path()), lambda seed: events if seed == 2 else FINISHED)

    async def before(pilot: Pilot[None]) -> None:
        await until(pilot, lambda app: app.live_run.config.seed == 2, app)
        await wait_for_events(pilot, app, events)
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=before)
