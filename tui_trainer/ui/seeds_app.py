"""The app that trains the same settings with several seeds, one run after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from tui_trainer.history.history import History
from tui_trainer.history.seed_results import SeedResult, SeedResults, result_of
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Diverged, Event, RunFinished
from tui_trainer.recording.folder import RUNS
from tui_trainer.recording.seed_group import SeedGroup, history_of
from tui_trainer.terminal.notifications import notification
from tui_trainer.text.fmt import plural
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.keys.keymap import KEYMAP, SEEDS_KEYS
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.runs.live_run import Start
from tui_trainer.ui.runs.seed_run import SeedRun
from tui_trainer.ui.screens.seeds_screen import SeedsScreen

MOST_BEHIND = 100
"""The most finished runs whose curves are kept: each takes 0.4 MB."""

UNEQUAL = frozenset(
    ("adjust", "apply_fix", "evaluate_test", "run_again", "stop_run", "toggle_tour", "move_tour")
)
"""Actions that are not offered: all seeds are trained with the same settings, to their end."""


class SeedRead(Message):
    """The record of a run that was trained before the window opened."""

    def __init__(self, seed: int, history: History) -> None:
        super().__init__()
        self.seed = seed
        self.history = history


class SeedsApp(MnistTui):
    """Trains the runs of a group that have no result yet, and shows the others behind them.

    Args:
        start: Starts the run of the seed of a configuration, or resumes it.
        group: The group; the run of at least one seed is left.
        theme: The name or the file of the theme.
        notify: How to notify the user of the end.
        pictures: The folder for pictures of the window.
        governor: Limits how often the window is drawn.
        runs: The folder of runs.
        by: The user, for the record of the runs.

    Attributes:
        group: The group.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*KEYMAP, *SEEDS_KEYS]
    KEYS = [*KEYMAP, *SEEDS_KEYS]  # noqa: RUF012

    def __init__(
        self,
        start: Start,
        group: SeedGroup,
        *,
        theme: str | None = None,
        notify: str = "off",
        pictures: Path | None = None,
        governor: Governor | None = None,
        runs: Path = RUNS,
        by: str = "",
    ) -> None:
        self.group = group
        self._left = list(group.left)
        self._done = [seed for seed in group.seeds if seed not in self._left]
        self._results: dict[int, SeedResult] = {}
        self._histories: dict[int, History] = {}
        super().__init__(
            start,
            group.config_of(self._left[0]),
            theme=theme,
            notify=notify,
            pictures=pictures,
            governor=governor,
            runs=runs,
            by=by,
        )

    def new_run(self, config: RunConfig) -> SeedRun:
        """Return the run of a seed, which has not begun."""
        is_past = self.group.is_begun(config.seed)
        run = SeedRun(config, self._start, self.post_message, by=self._by, is_past=is_past)
        seeds = self.group.seeds
        run.seeds_behind = self._behind(config.seed)
        run.part = f"seed {config.seed} · {seeds.index(config.seed) + 1} of {len(seeds)}"
        return run

    def on_mount(self) -> None:
        """Read the runs that were trained before."""
        self.run_worker(self._read_done, thread=True, exit_on_error=False)

    def _read_done(self) -> None:
        for seed in self._done:
            self.post_message(SeedRead(seed, history_of(self.group.folder(seed))))

    def on_seed_read(self, message: SeedRead) -> None:
        """Show a run that was trained before behind the live one."""
        self._keep(message.seed, message.history)
        self._show()

    @property
    def results(self) -> SeedResults:
        """The results so far."""
        live, target = self.live_run, self.group.target
        now = result_of(live.config.seed, live.history, target)
        if live.history.finished is None:
            now = replace(now, state=live.history.state)
        found = {**self._results, now.seed: now}
        return SeedResults(
            [found.get(seed, SeedResult(seed=seed)) for seed in self.group.seeds], target
        )

    @property
    def final_results(self) -> SeedResults:
        """The results at the end, with those of runs that the window has not read yet."""
        is_read = len(self._results) == len(self.group.seeds)
        return self.results if is_read else self.group.results

    @property
    def is_complete(self) -> bool:
        """Whether each seed has its result."""
        return not self._left

    def _notify_of(self, event: Event) -> None:
        super()._notify_of(event)
        match event:
            case Diverged():
                # A diverged run is a result: the next seed must not wait for a rewind.
                self.live_run.send(Stop(reason="diverged", test=False))
            case RunFinished(reason="completed" | "diverged"):
                self.call_later(self._finish, self.live_run.config.seed)

    def _finish(self, seed: int) -> None:
        """Keep the curves of a run, then train the next seed, or show the results."""
        if seed not in self._left or self.live_run.config.seed != seed:
            return
        self._left.remove(seed)
        self._keep(seed, self.live_run.history)
        if self._left:
            try:
                self.begin_run(self.group.config_of(self._left[0]))
            except InputError as error:
                self.start_error = str(error)
                self.exit()
            return
        text = f"{self.group.name}: {plural(len(self.group.seeds), 'seed')} trained"
        self.write_to_terminal(notification(text, self._notify))
        self.action_show_results()

    def _keep(self, seed: int, history: History) -> None:
        """Keep the result of a finished run, and its curves to be drawn behind the live ones."""
        self._results[seed] = result_of(seed, history, self.group.target)
        self._histories[seed] = history
        if len(self._histories) > MOST_BEHIND:
            del self._histories[next(iter(self._histories))]
        self.live_run.seeds_behind = self._behind(self.live_run.config.seed)

    def _behind(self, live: int) -> tuple[History, ...]:
        others = (history for seed, history in self._histories.items() if seed != live)
        return tuple(history for history in others if history.divergence is None)

    def _show_verdict(self) -> None:
        """Leave the verdict on each run to the results."""

    def offer_rewind(self) -> None:
        """Do not ask: a diverged run is a result."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the actions that would make the runs of the seeds unequal."""
        return action not in UNEQUAL and super().check_action(action, parameters)

    @property
    def can_leave_training(self) -> bool:
        """Whether another process could continue: only ``seeds --resume`` trains further seeds."""
        return False

    @property
    def quit_consequence(self) -> str:
        """What quitting does to the group."""
        return (
            "This run ends after the batch and is saved; continue with: "
            f"mnist-tui seeds --resume {self.group.name}"
        )

    def action_show_results(self) -> None:
        """Show the results so far."""
        if not isinstance(self.screen, SeedsScreen):
            self.push_screen(SeedsScreen(self.group.name, self.results))
