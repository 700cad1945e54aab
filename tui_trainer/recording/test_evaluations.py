"""Test evaluations after a run: each is counted in the run's folder."""

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
    """Yield events, each test evaluation after it was recorded.

    The folder is locked meanwhile: two processes could otherwise count one evaluation for two.
    Events after the last checkpoint are void once the run is resumed from there, but their test
    evaluations stay counted.

    Args:
        events: The events; the first one is requested once the folder is locked.
        folder: The run's folder.
        recorded: Its events.

    Raises:
        InputError: If another process is writing the run, or the evaluation cannot be recorded; its
            result is then not shown.
    """
    with closing(Recorder.reopen(folder, recorded, recorded.events)) as recorder:
        for event in events:
            if isinstance(event, TestEvaluated):
                for news in recorder.write(event):
                    if isinstance(news, RecordingFailed):
                        raise InputError(
                            f"{printable(news.path)}: the test evaluation cannot be counted: "
                            f"{news.message}"
                        )
            yield event
