"""The function that starts the run of a seed, passed to a front end in place of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui_trainer.cli.moved_paths import MovedPaths
from tui_trainer.cli.saved import saved_run
from tui_trainer.cli.starts import Job, Start, recorder_of
from tui_trainer.headless.hooks import Hooks
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.recorder import Recorder
from tui_trainer.recording.seed_group import SeedGroup


class SeedStarts:
    """Starts the runs of a group, each on the thread that requests its first event.

    Args:
        group: The group.
        hooks: The commands that the end and the findings of the runs start.
        interactive: Whether a finished run answers questions.

    Attributes:
        follow: Gets the folder of each run before it starts.
    """

    def __init__(self, group: SeedGroup, hooks: Hooks, *, interactive: bool) -> None:
        self._group = group
        self._interactive = interactive
        self._starts: list[Start] = []
        self.hooks = hooks
        self.follow: Callable[[RunFolder | None], object] = lambda folder: None

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Start the run of the seed of a configuration, or resume it from its last checkpoint.

        Raises:
            InputError: If it cannot be recorded or resumed.
        """
        group, seed = self._group, config.seed
        group.clear(seed)
        folder = group.folder(seed)
        if group.is_begun(seed):
            found = saved_run(str(folder.path.absolute()), moved=MovedPaths(), to_resume=True)
            job = Job(Recorder.reopen(found.folder, found.recorded, found.past, found.moved), found)
            config = found.settings()
        else:
            job = Job(recorder_of(config, folder.path))
        start = Start(job, records=True, interactive=self._interactive, hooks=self.hooks)
        start.follow = self.follow
        self._starts.append(start)
        return start(config, inbox)

    def leave(self) -> None:
        """Delete the folders of runs without a single step."""
        for start in self._starts:
            start.leave()
