"""The function that starts or resumes a run of a group, whose folder is given."""

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


class GroupStarts:
    """Starts the runs of a group, each on the thread that requests its first event.

    Args:
        hooks: The commands that the end and the findings of the runs start.
        interactive: Whether a finished run answers questions.

    Attributes:
        follow: Gets the folder of each run before it starts.
    """

    def __init__(self, hooks: Hooks, *, interactive: bool) -> None:
        self._interactive = interactive
        self._last: Start | None = None
        self.hooks = hooks
        self.follow: Callable[[RunFolder | None], object] = lambda folder: None

    def start(self, config: RunConfig, folder: RunFolder, inbox: Inbox) -> Iterator[Event]:
        """Start a run in a folder, or resume the one there from its last checkpoint.

        Raises:
            InputError: If it cannot be recorded or resumed.
        """
        if folder.checkpoint("last").is_file():
            found = saved_run(str(folder.path.absolute()), moved=MovedPaths(), to_resume=True)
            job = Job(Recorder.reopen(found.folder, found.recorded, found.past, found.moved), found)
            config = found.settings()
        else:
            job = Job(recorder_of(config, folder.path))
        self.leave()
        start = Start(job, records=True, interactive=self._interactive, hooks=self.hooks)
        start.follow = self.follow
        self._last = start
        return start(config, inbox)

    def leave(self) -> None:
        """Delete the folder of the last run if it has no step."""
        if self._last is not None:
            self._last.leave()
