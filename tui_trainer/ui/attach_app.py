"""The app that is attached to a run of another process."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunFailed, RunFinished, StateChanged
from tui_trainer.recording.folder import RUNS
from tui_trainer.ui.app import TRAINING_ACTIONS, MnistTui
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.run_actions import EXIT_TIMEOUT
from tui_trainer.ui.runs.attached_run import AttachedRun, Attachment, StartedScript
from tui_trainer.ui.screens.dialogs import Answer, ConfirmScreen
from tui_trainer.ui.screens.run_screen import TrainScreen

TRAINER_GONE = "no process trains this run, and it has not ended"


class AttachApp(MnistTui):
    """Shows the run of another process, and sends commands to its trainer.

    Args:
        attachment: The connection to the run.
        config: The settings of the run.
        by: The sender of commands.
        read_only: Whether no key changes the run.
        theme: The name or the file of the theme.
        notify: How to notify the user.
        pictures: The folder for pictures of the window.
        governor: Limits how often the window is drawn.
        runs: The folder of runs.
        script: The script that was started for this window; quitting asks what to do with it.
    """

    def __init__(
        self,
        attachment: Attachment,
        config: RunConfig,
        *,
        by: str,
        read_only: bool = False,
        theme: str | None = None,
        notify: str = "off",
        pictures: Path | None = None,
        governor: Governor | None = None,
        runs: Path = RUNS,
        script: StartedScript | None = None,
    ) -> None:
        self._script = script
        self._attachment = attachment
        self._read_only = read_only
        self._resume_question: ConfirmScreen | None = None
        super().__init__(
            attachment.follow,
            config,
            theme=theme,
            notify=notify,
            pictures=pictures,
            governor=governor,
            runs=runs,
            by=by,
        )

    def new_run(self, config: RunConfig) -> AttachedRun:
        """Return the run of the other process."""
        return AttachedRun(
            *(config, self._attachment, self.post_message), by=self._by, read_only=self._read_only
        )

    def on_mount(self) -> None:
        """Show how long a trainer has recorded nothing."""
        self._role = self.live_run.role
        self.set_interval(1.0, self._show_role)

    def _show_role(self) -> None:
        if self.live_run.role != self._role:
            self._role = self.live_run.role
            self._show()

    @property
    def attached_run(self) -> AttachedRun:
        """The run that is shown."""
        assert isinstance(self.live_run, AttachedRun)
        return self.live_run

    @property
    def run_name(self) -> str:
        """The name of the run, for commands that the user can type."""
        return self._attachment.name

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the actions that need a trainer if there is none, or this window only watches."""
        if action == "resume_run":
            return self.current_mode == "train" and self.attached_run.can_resume
        if action in ("run_again", "toggle_tour", "move_tour"):
            return False
        if action in TRAINING_ACTIONS and self._read_only:
            return False
        return super().check_action(action, parameters)

    def _notify_of(self, event: Event) -> None:
        super()._notify_of(event)
        if isinstance(event, StateChanged) and event.state == "killed":
            self.call_later(self.offer_resume)
        elif not self.attached_run.can_resume:
            self._dismiss_resume()
        if isinstance(event, RunFinished | RunFailed) and self.ends_script:
            self.exit()

    def offer_resume(self) -> None:
        """Ask whether to continue a run whose trainer is gone."""
        if not self.attached_run.can_resume:
            return
        if not isinstance(self.screen, TrainScreen):
            keys = with_keys("press {screens.train}, then {run.resume} to resume it")
            self.notify(f"{TRAINER_GONE}; {keys}", severity="error", timeout=15)
            return

        def answer(yes: Answer | None) -> None:
            if yes and self.attached_run.can_resume:
                self.action_resume_run()

        self._resume_question = ConfirmScreen(
            "The trainer is gone.",
            "The run has not ended. Resume it in the background from its last checkpoint?",
            "resume",
            no="not now",
        )
        self.push_screen(self._resume_question, answer)

    def _dismiss_resume(self) -> None:
        """Close the question once another process trains the run."""
        question, self._resume_question = self._resume_question, None
        if question is not None and self.screen is question:
            question.dismiss(False)

    def action_resume_run(self, lr: float | None = None) -> None:
        """Continue the run in the background."""
        try:
            self._attachment.resume(lr)
        except InputError as error:
            self.notify(str(error), title="not resumed", severity="error", timeout=15)
        else:
            self.notify("starting a trainer in the background …")

    def action_apply_fix(self) -> None:
        """Set the knob that the chosen finding names; resume a diverged run that has ended."""
        finding = self.live_run.fixable()
        if finding is not None and self.live_run.history.is_over:
            self.action_resume_run(finding.fix_value)
        else:
            super().action_apply_fix()

    async def action_quit(self) -> None:
        """Quit: the training continues. Ask first about a script that was started for this."""
        script = self._script
        if script is None or not script.is_running or self.ends_script:
            self.exit()
        elif self.live_run.history.is_over:
            script.is_ended = True  # the terminal shows its further output
            self.exit()
        elif not isinstance(self.screen, ConfirmScreen):
            question = ConfirmScreen(
                "Quit while the script is running?",
                f"{self._end_of_script}. Left running, it continues in the background.",
                "stop it",
                other="leave it running",
            )
            self.push_screen(question, self._leave_script)

    @property
    def ends_script(self) -> bool:
        """Whether this window ends the script that was started for it."""
        return self._script is not None and self._script.is_ended

    @property
    def _can_stop(self) -> bool:
        """Whether the run of the script takes a stop; otherwise the script is interrupted."""
        started = self.live_run.history.started
        return started is not None and Stop.__name__ not in dict(started.unavailable)

    @property
    def _end_of_script(self) -> str:
        if self._can_stop:
            return "Stopped, it ends its training after this batch and goes on behind the loop"
        return "Stopped, it is interrupted, as with Ctrl+C"

    def _leave_script(self, answer: Answer | None) -> None:
        script = self._script
        if not answer or script is None:
            return
        script.is_ended = answer != "other"
        if script.is_ended and self._can_stop:
            self.notify("finishing the batch …", timeout=EXIT_TIMEOUT)
            self.live_run.send(Stop())
            return
        if script.is_ended:
            script.interrupt()
        self.exit()
