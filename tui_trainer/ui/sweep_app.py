"""The app that shows a sweep while worker processes train its trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.worker import Worker, WorkerState

from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.sweeps.best_settings import write_best
from tui_trainer.sweeps.state import SweepState
from tui_trainer.terminal.notifications import notification
from tui_trainer.ui.base_app import BaseApp
from tui_trainer.ui.keys.keymap import WINDOW_KEYS
from tui_trainer.ui.screens.dialogs import Answer, ConfirmScreen
from tui_trainer.ui.screens.sweep_screen import SweepScreen
from tui_trainer.ui.widgets.sweep_lines import phase_cells

EVERY = 1.0
"""Seconds between two readings of the state …"""

SHARE = 0.01
"""… which take, with showing it, at most this share of one core: the workers need the rest."""

SLOWEST = 10.0
"""The longest time between two readings: of a sweep with thousands of trials."""

Read = Callable[[], SweepState]
"""Reads the state of a sweep; called on a separate thread.

Raises:
    InputError: If it cannot be read now.
"""


class SweepApp(BaseApp):
    """Shows a sweep that other processes train.

    Args:
        read: Reads the state of the sweep.
        stop: Asks the workers of this window to save their runs and to end; returns at once. None
            for a window that only watches.
        resume: The command that goes on with a stopped sweep.
        theme: The name or the file of the theme.
        notify: How to notify the user of the end.
        pictures: The folder for pictures of the window.
        cpu_time: The CPU time of the calling thread.

    Attributes:
        state: The state that was read last; None before the first reading.
        is_stopping: Whether the user has stopped the sweep.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*WINDOW_KEYS]
    DEFAULT_MODE = "sweep"

    def __init__(
        self,
        read: Read,
        *,
        stop: Callable[[], object] | None = None,
        resume: str = "mnist-tui sweep --resume",
        theme: str | None = None,
        notify: str = "off",
        pictures: Path | None = None,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.state: SweepState | None = None
        self.is_stopping = False
        self._read, self._stop, self._resume = read, stop, resume
        self._notify = notify
        self._cpu_time = cpu_time
        self._problem = ""
        self._best: tuple[int, float] | None = None
        self._has_seen_worker = False
        self._question: ConfirmScreen | None = None
        self.add_mode("sweep", SweepScreen)

    def on_mount(self) -> None:
        """Read the state as soon as the window is visible."""
        self.call_after_refresh(self._ask)

    def _ask(self) -> None:
        """Read the state on a thread; the next reading starts when this one has ended."""
        read = partial(_state_or_reason, self._read, self._cpu_time)
        self.run_worker(read, thread=True, group="state")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show a state that was read."""
        if event.worker.group != "state" or event.state in (
            WorkerState.PENDING,
            WorkerState.RUNNING,
        ):
            return
        cost, begun = 0.0, self._cpu_time()
        if event.state == WorkerState.SUCCESS and event.worker.result is not None:
            found, cost = event.worker.result
            if isinstance(found, SweepState):
                self._take(found)
            else:
                self._problem = found
                self._show()
        cost += self._cpu_time() - begun
        self.set_timer(min(SLOWEST, max(EVERY, cost / SHARE)), self._ask)

    def _take(self, state: SweepState) -> None:
        before, self.state, self._problem = self.state, state, ""
        self._has_seen_worker = self._has_seen_worker or self._has_worker
        best = state.best
        key = (best.number, best.value or 0.0) if best is not None else None
        if key != self._best:
            self._best = key
            self.run_worker(partial(write_best, state), thread=True, group="best")
        if before is not None and state.is_over and not before.is_over:
            text = f"{state.name}: {state.ended or 'finished'}"
            self.write_to_terminal(notification(text, self._notify))
            self.notify(state.ended or "finished", title="the sweep has ended", timeout=15)
        if not self.is_training:
            self._dismiss_question()
        self._show()
        if before is None or before.workers != state.workers or before.is_over != state.is_over:
            self.refresh_bindings()

    def _show(self) -> None:
        phase = phase_cells(
            self.state,
            is_starting=self._stop is not None and not self._has_seen_worker,
            is_stopping=self.is_stopping,
            problem=self._problem,
        )
        for screen in self.screen_stack:
            if isinstance(screen, SweepScreen):
                screen.show_state(self.state, phase)

    @property
    def _has_worker(self) -> bool:
        return self.state is not None and any(worker.is_alive for worker in self.state.workers)

    @property
    def is_training(self) -> bool:
        """Whether workers train that this window can stop; before the first reading they may."""
        if self._stop is None or (self.state is not None and self.state.is_over):
            return False
        return not self._has_seen_worker or self._has_worker

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide stopping where there is nothing to stop."""
        if action == "stop_sweep":
            return self._stop is not None and self.is_training and not self.is_stopping
        return super().check_action(action, parameters)

    def action_stop_sweep(self) -> None:
        """Ask whether to stop the sweep; the window stays open."""
        self._confirm("Stop the sweep?", "stop", self._stop_workers)

    def _confirm(self, question: str, yes: str, then: Callable[[], object]) -> None:
        if isinstance(self.screen, ConfirmScreen):
            return

        def answer(given: Answer | None) -> None:
            if given:
                then()

        consequence = (
            "The workers save the runs that they train after the batch; nothing is lost. "
            f"Go on with: {self._resume}"
        )
        self._question = ConfirmScreen(question, consequence, yes)
        self.push_screen(self._question, answer)

    def _dismiss_question(self) -> None:
        """Close the question once there is nothing to stop."""
        question, self._question = self._question, None
        if question is not None and self.screen is question:
            question.dismiss(False)

    def _stop_workers(self) -> None:
        if self._stop is not None and not self.is_stopping:
            self.is_stopping = True
            self._stop()
            self._show()
            self.refresh_bindings()

    def _stop_and_quit(self) -> None:
        self._stop_workers()
        self.exit()

    def stop_now(self, reason: str) -> None:
        """Stop the workers, after a signal."""
        if self._stop is not None and not self.is_stopping:
            self.is_stopping = True
            self._stop()

    async def action_quit(self) -> None:
        """Quit; ask first while workers train."""
        if self.is_training and not self.is_stopping:
            self._confirm("Quit the sweep?", "stop and quit", self._stop_and_quit)
        else:
            self.exit()


def _state_or_reason(read: Read, cpu_time: Callable[[], float]) -> tuple[SweepState | str, float]:
    """Return the state of a sweep, or why it cannot be read now, and the CPU time of reading."""
    begun = cpu_time()
    found: SweepState | str
    try:
        found = read()
    except InputError as error:
        found = str(error)
    except OSError as error:
        found = reason(error)
    return found, cpu_time() - begun
