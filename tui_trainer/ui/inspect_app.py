"""The window of ``mnist-tui inspect``: a recorded run on show, at one of its checkpoints."""

from __future__ import annotations

from tui_trainer.protocol.config import RunConfig
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.run_actions import ON_THE_RUN
from tui_trainer.ui.runs.live_run import Start
from tui_trainer.ui.screens.inspect_screen import InspectScreen

NOT_HERE = (ON_THE_RUN - {"check"}) | {"toggle_guide", "move_guide"}
"""The actions that train, or lead to what is to be trained."""


class InspectApp(MnistTui):
    """Shows what the network of a recorded run has learned; nothing is trained."""

    DEFAULT_MODE = "inspect"

    def __init__(self, start: Start, config: RunConfig, *, theme: str | None, view: str) -> None:
        super().__init__(start, config, theme=theme)
        self._first_view = view

    def on_mount(self) -> None:
        """Choose the view before there is a run to ask about."""
        self.call_after_refresh(self._open_first_view)

    def _open_first_view(self) -> None:
        if isinstance(self.front, InspectScreen):
            self.front.open(self._first_view)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what would train."""
        return action not in NOT_HERE and super().check_action(action, parameters)

    async def action_leave(self) -> None:
        """Quit: nothing is lost."""
        self.exit()
