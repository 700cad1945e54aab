from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.message import Message

from tests.ui.fakes import recording, run_folder
from tui_trainer.history.history import History
from tui_trainer.protocol.events import Event, RunResumed, StepDone, to_json
from tui_trainer.recording.folder import RunFolder
from tui_trainer.ui.runs import run_reader
from tui_trainer.ui.runs.run_reader import RunGrew, RunRead, RunReader

PAUSED = recording("paused")
STEPS = [event for event in PAUSED if isinstance(event, StepDone)]


class Reading:
    """A reader whose messages arrive in a queue."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self.reader = RunReader(self.messages.put, interval=0.01)

    def next(self) -> RunRead | RunGrew:
        """Take the next message, and apply it as the screen does."""
        message = self.messages.get(timeout=30)
        assert isinstance(message, RunRead | RunGrew)
        self.reader.take(message)
        return message


@pytest.fixture
def reading() -> Iterator[Reading]:
    found = Reading()
    yield found
    found.reader.close()
    found.reader.join(10)


def append(folder: RunFolder, *events: Event) -> None:
    with folder.events.open("a", encoding="utf-8") as lines:
        lines.writelines(to_json(event) + "\n" for event in events)


def test_a_wanted_run_is_read_and_followed(tmp_path: Path, reading: Reading) -> None:
    folder = run_folder(tmp_path / "one", PAUSED[:-2])
    reading.reader.want([folder])
    assert isinstance(reading.next(), RunRead)
    run = reading.reader.get(folder)
    assert run is not None
    assert run.history is not None
    assert run.history.step == History.of(PAUSED[:-2]).step
    append(folder, *PAUSED[-2:])
    while run.history.last_step != History.of(PAUSED).last_step:
        assert isinstance(reading.next(), RunGrew)
    assert run.history.train_loss.x == History.of(PAUSED).train_loss.x
    assert run.changes > 0


def test_a_resumed_run_is_read_again(tmp_path: Path, reading: Reading) -> None:
    folder = run_folder(tmp_path / "one", PAUSED)
    reading.reader.want([folder])
    reading.next()
    half = STEPS[len(STEPS) // 2]
    lines = 1 + next(number for number, event in enumerate(PAUSED) if event is half)
    append(
        folder,
        RunResumed(
            step=half.step,
            epoch=half.epoch,
            images=half.images,
            threads=1,
            lines=lines,
        ),
    )
    assert isinstance(reading.next(), RunRead)
    run = reading.reader.get(folder)
    assert run is not None
    assert run.history is not None
    assert run.history.step == half.step


def test_an_unchanged_run_is_not_read_twice(tmp_path: Path, reading: Reading) -> None:
    one, two = (run_folder(tmp_path / name, PAUSED) for name in ("one", "two"))
    reading.reader.want([one])
    reading.next()
    first = reading.reader.get(one)
    reading.reader.want([two])
    assert reading.next().path == two.path
    reading.reader.want([one, two])
    append(two, STEPS[-1])
    assert reading.next().path == two.path  # a second reading of the first run would come before
    assert reading.reader.get(one) is first


def test_a_run_that_grew_unwatched_is_read_again(tmp_path: Path, reading: Reading) -> None:
    one, two = (run_folder(tmp_path / name, PAUSED) for name in ("one", "two"))
    reading.reader.want([one])
    reading.next()
    first = reading.reader.get(one)
    reading.reader.want([two])
    reading.next()  # by now the first run is no longer followed
    append(one, STEPS[-1])
    reading.reader.want([one])
    assert isinstance(reading.next(), RunRead)
    assert reading.reader.get(one) is not first


def test_a_run_that_cannot_be_read_has_an_error(tmp_path: Path, reading: Reading) -> None:
    damaged = run_folder(tmp_path / "damaged", PAUSED)
    damaged.events.write_text("{}\n", encoding="utf-8")
    gone = RunFolder(tmp_path / "gone")
    reading.reader.want([damaged, gone])
    reading.next()
    reading.next()
    errors = [run.error for folder in (damaged, gone) if (run := reading.reader.get(folder))]
    assert "line 1" in errors[0]
    assert "cannot be read" in errors[1]


def test_memory_is_bounded(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_reader, "MOST_WANTED", 3)
    monkeypatch.setattr(run_reader, "MOST_KEPT", 4)
    folders = [run_folder(tmp_path / str(number), PAUSED[:40]) for number in range(8)]
    for folder in folders:
        reading.reader.want([folder])
        reading.next()
    kept = [folder for folder in folders if reading.reader.get(folder)]
    assert kept == folders[4:]
    reading.reader.want(folders)  # the first three of them
    assert {reading.next().path for _ in range(3)} == {folder.path for folder in folders[:3]}
    assert sum(reading.reader.get(folder) is not None for folder in folders) == 4


def test_a_finished_run_keeps_its_noise_scale_without_its_probes(
    tmp_path: Path, reading: Reading
) -> None:
    folder = run_folder(tmp_path / "one", recording("finished"))
    reading.reader.want([folder])
    reading.next()
    run = reading.reader.get(folder)
    assert run is not None
    assert run.history is not None
    assert not run.history.updates
    assert not run.history.samples
