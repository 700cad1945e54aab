"""Looks at the test set after a run: each is counted in the run's folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RecordingFailed, TestEvaluated
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.journal import Recorded
from tui_trainer.recording.recorder import Recorder
from tui_trainer.text.fmt import printable


def counted(events: Iterable[Event], folder: RunFolder, recorded: Recorded) -> Iterator[Event]:
    """Pass events on, each look at the test set written down before anyone else sees it.

    The folder is held meanwhile: two that look at once would count one look. What comes after the
    last checkpoint is void once the run goes on from there, but its looks stay counted.

    Args:
        events: What happens; the first one is asked for when the folder is held.
        folder: The run's folder.
        recorded: Everything that happened in it.

    Raises:
        InputError: If another process writes the run, or it cannot be written: nothing has been
            looked at then, or nobody is told of it.
    """
    with closing(Recorder.reopen(folder, recorded, recorded.events)) as recorder:
        for event in events:
            if isinstance(event, TestEvaluated):
                for news in recorder.write(event):
                    if isinstance(news, RecordingFailed):
                        raise InputError(
                            f"{printable(news.path)}: the look at the test set cannot be "
                            f"counted: {news.message}"
                        )
            yield event
