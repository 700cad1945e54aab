"""What the keys do to the run: every action sends a wish, none changes anything by itself."""

from __future__ import annotations

import asyncio

from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.text import fmt
from tui_trainer.ui.base_app import BaseApp
from tui_trainer.ui.keys.contexts import RUN_ACTIONS, acts_on
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.dialogs import CheckScreen, ConfirmScreen
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import RunScreen, TrainScreen

EXIT_TIMEOUT = 20.0
"""Seconds that leaving waits for the batch, or the loading, under way."""


class RunActions(BaseApp):
    """The actions on a run, for the app to inherit."""

    live_run: LiveRun
    _rewind_question: ConfirmScreen | None = None

    def begin_run(self, config: RunConfig, *, paused: bool = False) -> None:
        """Start a run; the app says how."""
        raise NotImplementedError

    def show_requested(self) -> None:
        """Show what has been asked for and not been answered yet; the app says how."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim what has no effect yet (None), hide what has none any more or at all (False)."""
        front, is_on_run = self.front, action in RUN_ACTIONS
        is_live = not isinstance(front, ReplayScreen)
        if is_on_run and not (is_live and acts_on(self.current_mode, action, parameters)):
            return False
        if is_on_run and isinstance(front, LearnScreen) and not front.shows(action):
            return False
        run = self.live_run
        over = run.history.is_over
        match action:
            case "adjust" if parameters[0] == "dropout" and "dropout" not in run.history.settings:
                return False
            case "stop_run" if run.has_diverged:
                return True
            case (
                "adjust" | "toggle_pause" | "run_step" | "run_epoch" | "evaluate_test" | "stop_run"
            ):
                if over or run.has_diverged:
                    return False
                return None if run.history.started is None else True
            case "run_again":
                return over
            case "check":
                return None if run.history.started is None else True
            case "apply_fix":
                return True if run.fixable() else None
            case "open_lesson":
                return self.topic is not None
            case "show_mode":
                return parameters[0] != self.current_mode
            case _:
                return super().check_action(action, parameters)

    @property
    def topic(self) -> int | None:
        """The topic of what is chosen on the screen in front; None where nothing is."""
        front = self.front
        if isinstance(front, ModelScreen):
            return front.topic
        run = front.shown if isinstance(front, RunScreen) else None
        chosen = run.selection.chosen if run is not None else None
        return chosen.lesson if chosen is not None else None

    def action_toggle_pause(self) -> None:
        """Pause, or go on."""
        self.live_run.send(commands.Resume() if self.live_run.is_paused else commands.Pause())

    def action_run_step(self) -> None:
        """Train one batch, then pause."""
        self.live_run.send(commands.RunStep())

    def action_run_epoch(self) -> None:
        """Train to the end of the epoch, then pause."""
        self.live_run.send(commands.RunEpoch())

    def action_evaluate_test(self) -> None:
        """Read the sealed test set."""
        self.live_run.send(commands.LookAtTest())

    def action_check(self) -> None:
        """Try the first steps on a fresh network, and show what comes of it."""
        self.push_screen(CheckScreen(self.live_run))

    def action_adjust(self, setting: str, direction: int) -> None:
        """Turn a knob to its next rung."""
        self.live_run.adjust(setting, direction)
        self.show_requested()

    def action_apply_fix(self) -> None:
        """Turn the knob that the chosen finding names; after a run, begin another with it."""
        finding = self.live_run.fixable()
        if finding is None or finding.fix_setting is None or finding.fix_value is None:
            return
        if self.live_run.has_diverged:
            self.live_run.send(commands.Rewind(finding.fix_value))
            return
        if not self.live_run.history.is_over:
            self.live_run.set_knob(finding.fix_setting, finding.fix_value)
            self.show_requested()
            return
        config = self.live_run.config.with_knob(finding.fix_setting, finding.fix_value)
        self.begin_run(config)
        self.notify(f"a new run: {finding.advice}")

    def action_run_again(self) -> None:
        """Start the same run anew."""
        self.begin_run(self.live_run.config)

    def action_stop_run(self) -> None:
        """End the run, once a person has said so twice."""

        def answer(yes: bool | None) -> None:
            if yes:
                self.live_run.send(commands.Stop())

        question = ConfirmScreen(
            "Stop this run?", "It ends after this batch and the test set is read.", "stop"
        )
        self.push_screen(question, answer)

    async def action_quit(self) -> None:
        """Quit, after a question if a run would be lost."""
        if not self.live_run.is_running:
            self.exit()
        elif not isinstance(self.screen, ConfirmScreen):
            question = ConfirmScreen(
                "Quit while a run is under way?", quit_consequence(self.live_run), "quit"
            )
            self.push_screen(question, self._leave_if)

    async def _leave_if(self, yes: bool | None) -> None:
        if yes:
            self.notify("finishing the batch …", timeout=EXIT_TIMEOUT)
            await asyncio.to_thread(self.stop_now, "stopped")
            self.exit()

    def stop_now(self, reason: str) -> None:
        """End the run after its batch, saved as far as it can be, and wait for that."""
        self.live_run.end(EXIT_TIMEOUT, reason)

    def offer_rewind(self) -> None:
        """Ask whether a diverged run is to go back to its last good state."""
        lost, finding = self.live_run.history.lost, self.live_run.fixable()
        if lost is None or finding is None or not self.live_run.has_diverged:
            return
        if not isinstance(self.screen, TrainScreen):
            # A question out of the blue would take a key that was meant for something else.
            words = f"the run in training has diverged at step {fmt.count(lost.step)}"
            keys = with_keys("on its screen ({screens.train}), {findings.apply_fix} mends it")
            self.notify(f"{words}; {keys}", severity="error", timeout=15)
            return

        def answer(yes: bool | None) -> None:
            if yes and self.live_run.has_diverged:
                self.action_apply_fix()

        self._rewind_question = ConfirmScreen(
            f"The run has diverged at step {fmt.count(lost.step)}.",
            f"Shall it {finding.advice}?",
            "rewind",
            no="not now",
        )
        self.push_screen(self._rewind_question, answer)

    def dismiss_rewind(self) -> None:
        """Take the question back once there is nothing to rewind any more."""
        question, self._rewind_question = self._rewind_question, None
        if question is not None and self.screen is question:
            question.dismiss(False)


def quit_consequence(run: LiveRun) -> str:
    """Return what leaving a run costs."""
    history = run.history
    if history.folder is None:
        return "It ends here, and nothing of it is saved."
    if history.unsaved:
        return "It ends here, and it cannot be saved: the disk refuses."
    return "It ends after this batch and is saved; `mnist-tui resume` goes on with it."
