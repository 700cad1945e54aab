"""The function that starts the run of a seed, passed to a front end in place of the engine."""

from __future__ import annotations

from collections.abc import Iterator

from tui_trainer.cli.group_starts import GroupStarts
from tui_trainer.headless.hooks import Hooks
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.recording.seed_group import SeedGroup


class SeedStarts(GroupStarts):
    """Starts the runs of a group of seeds.

    Args:
        group: The group.
        hooks: The commands that the end and the findings of the runs start.
        interactive: Whether a finished run answers questions.
    """

    def __init__(self, group: SeedGroup, hooks: Hooks, *, interactive: bool) -> None:
        super().__init__(hooks, interactive=interactive)
        self._group = group

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Start the run of the seed of a configuration, or resume it from its last checkpoint.

        Raises:
            InputError: If it cannot be recorded or resumed.
        """
        self._group.clear(config.seed)
        return self.start(config, self._group.folder(config.seed), inbox)
