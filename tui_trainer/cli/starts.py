"""The function that starts a run, passed to a front end in place of the engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.detach import until_finished
from tui_trainer.cli.loading import finish_loading
from tui_trainer.cli.saved import SavedRun
from tui_trainer.cli.torchrun import processes
from tui_trainer.findings import with_findings
from tui_trainer.headless.hooks import Hooks
from tui_trainer.models.allocator import use_huge_pages, use_one_heap
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RunFinished, StateChanged
from tui_trainer.recording.command_file import CommandFile
from tui_trainer.recording.folder import RUNS, RunFolder
from tui_trainer.recording.recorder import Recorder

if TYPE_CHECKING:
    from tui_trainer.engine.resuming import Resumption
    from tui_trainer.models.checkpoints import Checkpoint
    from tui_trainer.models.device import Ranks


@dataclass(slots=True)
class Job:
    """One run to start.

    Attributes:
        recorder: Where it is recorded and saved; None for nowhere.
        saved: The recorded run to resume; None for a new run.
        result: The last good checkpoint, after the run.
    """

    recorder: Recorder | None = None
    saved: SavedRun | None = None
    result: Checkpoint | None = None


class Start:
    """Starts a run, on the thread that requests its first event.

    Args:
        first: The first run.
        records: Whether further runs in the same window are recorded.
        interactive: Whether a diverged run waits for a command.
        hooks: The commands that the end and the findings of these runs start. An interactive run
            does not wait for them.
        detached: Whether this process is a trainer in the background.

    Attributes:
        follow: Gets the folder of each run before it starts; None without recording.
    """

    def __init__(
        self,
        first: Job,
        *,
        records: bool = False,
        interactive: bool = False,
        hooks: Hooks | None = None,
        detached: bool = False,
    ) -> None:
        use_huge_pages()
        use_one_heap()
        self._first: Job | None = first
        self._records = records
        self._interactive = interactive or detached
        self._detached = detached
        self._recorders: list[Recorder] = []
        self.hooks = hooks or Hooks()
        self.follow: Callable[[RunFolder | None], object] = lambda folder: None

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Return the run's events; a resumed run starts with its earlier events."""
        job, self._first = self._first, None
        if job is None:
            job = Job(recorder_of(config) if self._records else None)
        self.follow(None if job.recorder is None else job.recorder.folder)
        past = () if job.saved is None else job.saved.past
        events = with_findings(train(config, inbox, job, interactive=self._interactive), past)
        if job.recorder is not None:
            self._recorders.append(job.recorder)
            file = CommandFile(job.recorder.folder, inbox.send)
            events = following(job.recorder.record(events), file)
        if self._detached:
            events = until_finished(events, inbox)
        waits = self._detached or not self._interactive
        events = self.hooks.watch(events, past, inbox if waits else None)
        return itertools.chain(past, events) if past else events

    def leave(self) -> None:
        """Delete the folders of runs without a single step."""
        if self._first is not None and self._first.recorder is not None:
            self._recorders.append(self._first.recorder)
        for recorder in self._recorders:
            recorder.discard_if_empty()


class Show:
    """Shows a recorded run at a checkpoint, on the thread that requests an event.

    Args:
        saved: The run, up to the checkpoint.
    """

    def __init__(self, saved: SavedRun) -> None:
        self.folder = saved.folder
        self._saved = saved

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Return the recorded events, then the answers about the model."""
        return itertools.chain(self._saved.past, self._answers(config, inbox))

    def _answers(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        yield StateChanged(state="preparing", step=0, detail="loading PyTorch")
        from tui_trainer.lab.standalone import inspect_run

        yield from inspect_run(config, inbox, self.folder, self._saved.resumption())


def following(events: Iterator[Event], file: CommandFile) -> Iterator[Event]:
    """Yield the events of a run that takes the commands of a file until it ends."""
    file.start()
    with closing(file):
        for event in events:
            if isinstance(event, RunFinished):
                file.close()
            yield event


def recorder_of(config: RunConfig, out: Path | None = None) -> Recorder:
    """Return the recorder of a new run in this folder, or in a new folder below ``runs``.

    Raises:
        InputError: If the folder cannot be created.
    """
    config = config.resolved()
    return Recorder.create_below(RUNS, config) if out is None else Recorder.create(out, config)


def train(config: RunConfig, inbox: Inbox, job: Job, *, interactive: bool) -> Iterator[Event]:
    """Load torch, then train: the slow import belongs to the training thread too."""
    yield StateChanged(state="preparing", step=0, detail="loading PyTorch")
    with finish_loading():
        from tui_trainer.engine.checkpoint_store import CheckpointStore
        from tui_trainer.engine.loop import train as train_network
        from tui_trainer.lab.assistant import Laboratory

    resume = None if job.saved is None else job.saved.resumption()
    recorder = job.recorder
    place = () if recorder is None else (recorder.folder.checkpoints, recorder.position)
    store = CheckpointStore(*place, every=config.checkpoint_every)
    with _ranks(config, resume) as ranks:
        yield from train_network(
            *(config, inbox),
            store=store,
            resume=resume,
            assistant=Laboratory(),
            interactive=interactive,
            ranks=ranks,
        )
    job.result = store.last_good


@contextmanager
def _ranks(config: RunConfig, resume: Resumption | None) -> Iterator[Ranks | None]:
    """Return the processes that train together; None if this one trains alone.

    The others get the settings and the checkpoint from this one: they read no file of the run.
    """
    if processes() == 1:
        yield None
        return
    from tui_trainer.models.distributed import ProcessGroup

    group = ProcessGroup.join()
    with group.leading():
        group.first(lambda: (config, resume))
        yield group
