"""Actions on the run: each one sends a command, none changes the state directly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from textual.actions import ActionParseResult
from textual.dom import DOMNode

from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.text import fmt
from tui_trainer.ui.base_app import BaseApp, parsed_action
from tui_trainer.ui.keys.contexts import RUN_ACTIONS, acts_on
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.limits import limit_of
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.dialogs import Answer, CheckScreen, ConfirmScreen
from tui_trainer.ui.screens.find_lr_screen import FindLrScreen
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.screens.model_screen import ModelScreen
from tui_trainer.ui.screens.race_screen import RaceScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import RunScreen, TrainScreen
from tui_trainer.ui.screens.trial_screen import TrialScreen

LIMIT_TIMEOUT = 6.0
"""Seconds that the reason for a dimmed key is shown."""

EXIT_TIMEOUT = 20.0
"""Seconds that quitting waits for the current batch, or for loading."""


class RunActions(BaseApp):
    """A mixin with the actions on a run."""

    live_run: LiveRun
    leaves_training: bool
    _rewind_question: ConfirmScreen | None = None

    def begin_run(self, config: RunConfig, *, paused: bool = False) -> None:
        """Start a run; implemented by the app."""
        raise NotImplementedError

    def show_requested(self) -> None:
        """Show requested settings that are not confirmed yet; implemented by the app."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim actions that have no effect yet (None), hide those that have none here (False)."""
        front, is_on_run = self.front, action in RUN_ACTIONS
        is_live = not isinstance(front, ReplayScreen | TrialScreen)
        if is_on_run and not (is_live and acts_on(self.current_mode, action, parameters)):
            return False
        if is_on_run and isinstance(front, LearnScreen) and not front.shows(action):
            return False
        run = self.live_run
        over = run.history.is_over
        limit = limit_of(run.history.started, action, parameters)
        match action:
            case "adjust" if parameters[0] == "dropout" and "dropout" not in run.history.settings:
                return False
            case "stop_run" if run.has_diverged:
                return True
            case (
                "adjust"
                | "toggle_pause"
                | "run_step"
                | "run_epoch"
                | "evaluate_test"
                | "stop_run"
                | "race"
                | "find_lr"
            ):
                if over or run.has_diverged:
                    return False
                return None if run.history.started is None or limit else True
            case "run_again":
                return over
            case "resume_run":
                return False
            case "check":
                return None if run.history.started is None or limit else True
            case "apply_fix":
                return True if run.fixable() else None
            case "open_lesson":
                return self.topic is not None
            case "show_mode":
                return parameters[0] != self.current_mode and not isinstance(front, TrialScreen)
            case _:
                return super().check_action(action, parameters)

    def limit(self, action: str) -> str:
        """Return why the run cannot do what the key of an action asks for; empty if it can."""
        name, parameters = parsed_action(action)
        is_dimmed = self.check_action(name, parameters) is None
        return limit_of(self.live_run.history.started, name, parameters) if is_dimmed else ""

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key asks for; if the run cannot, say why."""
        if isinstance(action, str) and (limit := self.limit(action)):
            self.notify(f"not possible: {limit}", timeout=LIMIT_TIMEOUT)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    @property
    def topic(self) -> int | None:
        """The topic of the finding or verdict chosen on the front screen, if any."""
        front = self.front
        if isinstance(front, ModelScreen):
            return front.topic
        run = front.shown if isinstance(front, RunScreen) else None
        chosen = run.selection.chosen if run is not None else None
        return chosen.lesson if chosen is not None else None

    def action_toggle_pause(self) -> None:
        """Pause or resume."""
        self.live_run.send(commands.Resume() if self.live_run.is_paused else commands.Pause())

    def action_run_step(self) -> None:
        """Train one batch, then pause."""
        self.live_run.send(commands.RunStep())

    def action_run_epoch(self) -> None:
        """Train to the end of the epoch, then pause."""
        self.live_run.send(commands.RunEpoch())

    def action_evaluate_test(self) -> None:
        """Evaluate the test set."""
        self.live_run.send(commands.EvaluateTest())

    def action_check(self) -> None:
        """Run the preflight check, and show its items."""
        self.push_screen(CheckScreen(self.live_run))

    def action_find_lr(self) -> None:
        """Open the learning rate finder."""
        self.push_screen(FindLrScreen(self.live_run))

    def action_race(self) -> None:
        """Fork the run and race its arms."""
        self.push_screen(RaceScreen(self.live_run))

    def action_adjust(self, setting: str, direction: int) -> None:
        """Move a knob to its next value up (1) or down (-1)."""
        self.live_run.adjust(setting, direction)
        self.show_requested()

    def action_apply_fix(self) -> None:
        """Set the knob that the chosen finding names; after the end, start a new run with it."""
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
        self.notify(f"new run: {finding.advice}")

    def action_run_again(self) -> None:
        """Start the same run again."""
        self.begin_run(self.live_run.config)

    def action_stop_run(self) -> None:
        """Stop the run after a confirmation."""

        def answer(yes: Answer | None) -> None:
            if yes:
                self.live_run.send(commands.Stop())

        question = ConfirmScreen(
            "Stop this run?",
            "Training ends after this batch, then the test set is evaluated.",
            "stop",
        )
        self.push_screen(question, answer)

    async def action_quit(self) -> None:
        """Quit; ask first during training."""
        if not self.live_run.is_running:
            self.exit()
        elif not isinstance(self.screen, ConfirmScreen):
            question = ConfirmScreen(
                "Quit during training?" if self.live_run.history.has_begun else "Quit?",
                self.quit_consequence,
                "quit",
                other="leave it training" if self.can_leave_training else "",
            )
            self.push_screen(question, self._leave_if)

    @property
    def can_leave_training(self) -> bool:
        """Whether another process could continue the run from its checkpoint."""
        history = self.live_run.history
        is_saved = history.folder is not None and not history.unsaved
        return is_saved and history.started is not None and history.divergence is None

    @property
    def quit_consequence(self) -> str:
        """What quitting does to the run."""
        history = self.live_run.history
        if not history.has_begun:
            return "The training has not begun: nothing is lost."
        if history.folder is None:
            return "The run ends now, and nothing of it is saved."
        if history.unsaved:
            return "The run ends now, and saving fails: check the disk."
        return "The run ends after this batch and is saved; `mnist-tui resume` continues it."

    async def _leave_if(self, answer: Answer | None) -> None:
        if not answer:
            return
        # The run may have ended while the question was open.
        self.leaves_training = answer == "other" and not self.live_run.history.is_over
        self.notify("finishing the batch …", timeout=EXIT_TIMEOUT)
        await asyncio.to_thread(self.stop_now, "detached" if self.leaves_training else "stopped")
        self.exit()

    def stop_now(self, reason: str) -> None:
        """Stop the run after the current batch, save it if possible, and wait for that."""
        self.live_run.end(EXIT_TIMEOUT, reason)

    def offer_rewind(self) -> None:
        """Ask whether to rewind a diverged run to its last good checkpoint."""
        diverged, finding = self.live_run.history.divergence, self.live_run.fixable()
        if diverged is None or finding is None or not self.live_run.has_diverged:
            return
        if not isinstance(self.screen, TrainScreen):
            # An unexpected dialog would receive a key that was meant for another screen.
            words = f"the run diverged at step {fmt.count(diverged.step)}"
            keys = with_keys("press {screens.train}, then {findings.apply_fix} to fix it")
            self.notify(f"{words}; {keys}", severity="error", timeout=15)
            return

        def answer(yes: Answer | None) -> None:
            if yes and self.live_run.has_diverged:
                self.action_apply_fix()

        self._rewind_question = ConfirmScreen(
            f"The run diverged at step {fmt.count(diverged.step)}.",
            f"{finding.advice[:1].upper()}{finding.advice[1:]}?",
            "rewind",
            no="not now",
        )
        self.push_screen(self._rewind_question, answer)

    def dismiss_rewind(self) -> None:
        """Close the question once there is nothing left to rewind."""
        question, self._rewind_question = self._rewind_question, None
        if question is not None and self.screen is question:
            question.dismiss(False)
