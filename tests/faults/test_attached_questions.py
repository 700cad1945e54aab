"""Questions of an attached window, answered from the last checkpoint of a run."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.border.trial import BATCH, VAL, write_images
from tests.faults.runs import COMMANDS, CommandInbox, begin, resume_to_end, small_run
from tests.protocol.questions import CHECK, ask_lesson, ask_view, exhibit_of
from tui_trainer.cli.attach import Attached
from tui_trainer.cli.moved_paths import MovedPaths
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, CancelQuestion, Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import CommandRejected, Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

BORDER = Path(__file__).parent.parent / "border"
SECONDS = 60.0

MODEL = '''
"""A model of another user."""

from torch import nn

SIGN = 1

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return SIGN * self.fc(x.flatten(1))
'''


class Questions:
    """Asks questions on a second thread, as an attached window does."""

    def __init__(self, path: Path, config: RunConfig, moved: MovedPaths | None = None) -> None:
        self.inbox = Inbox()
        self._events: queue.Queue[Event] = queue.Queue()
        attached = Attached(RunFolder(path), moved=moved)
        self.thread = threading.Thread(
            target=lambda: [*map(self._events.put, attached.answer(config, self.inbox))],
            daemon=True,
        )
        self.thread.start()

    def ask(self, question: Ask) -> Answered | CommandRejected:
        """Return the last answer, or the rejection."""
        self.inbox.send(question)
        while True:
            event = self._events.get(timeout=SECONDS)
            assert isinstance(event, Answered | CommandRejected)
            if isinstance(event, CommandRejected) or event.is_last:
                return event

    def reason(self, question: Ask) -> str:
        rejected = self.ask(question)
        assert isinstance(rejected, CommandRejected)
        assert "\n" not in rejected.reason
        assert "Traceback" not in rejected.reason
        return rejected.reason

    def answer(self, question: Ask) -> Answered:
        answered = self.ask(question)
        assert isinstance(answered, Answered), answered
        return answered

    def close(self) -> None:
        self.inbox.send(Stop())
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()


Asking = Callable[..., Questions]


@pytest.fixture
def asking() -> Iterator[Asking]:
    """Return a function that opens questions, which end with the test."""
    opened: list[Questions] = []

    def one(path: Path, config: RunConfig, moved: MovedPaths | None = None) -> Questions:
        opened.append(Questions(path, config, moved))
        return opened[-1]

    yield one
    for questions in opened:
        questions.close()


def trained(path: Path, config: RunConfig, *, until: int | None = None) -> None:
    commands = dict(COMMANDS) if until is None else {until: [Stop(test=False)]}
    for _ in begin(path, config, CommandInbox(commands)):
        pass


@pytest.fixture
def custom(data: Path, tmp_path: Path) -> RunConfig:
    """A run of a custom model."""
    (tmp_path / "mine.py").write_text(MODEL)
    return small_run(data, model=f"{tmp_path / 'mine.py'}:Mine")


def file_of(config: RunConfig) -> Path:
    return Path(config.model.rpartition(":")[0])


VIEW = ask_view("confusion")


def test_an_answer_is_about_the_newest_checkpoint(
    config: RunConfig, tmp_path: Path, asking: Asking
) -> None:
    path = tmp_path / "run"
    trained(path, config, until=8)
    questions = asking(path, config)
    assert questions.answer(VIEW).step == 8
    resume_to_end(path, {})
    assert questions.answer(VIEW).step == 21


def test_changed_knobs_do_not_disturb_the_answers(
    config: RunConfig, whole_run: Path, asking: Asking
) -> None:
    answer = asking(whole_run, config).answer(VIEW)
    assert answer.step == 17
    assert exhibit_of(answer).blocks


@pytest.mark.slow
def test_the_check_and_the_field_are_answered_too(
    config: RunConfig, whole_run: Path, asking: Asking
) -> None:
    questions = asking(whole_run, config)
    place = {"place": 1, "row": 0, "column": 0, "digit": 0}
    assert questions.answer(Ask("field", tuple(place.items()))).step == 17
    assert questions.answer(CHECK).is_last


def test_without_a_checkpoint_the_advice_depends_on_the_trainer(
    config: RunConfig, whole_run: Path, tmp_path: Path, asking: Asking
) -> None:
    path = tmp_path / "run"
    shutil.copytree(whole_run, path)
    checkpoints = RunFolder(path).checkpoints
    checkpoints.rename(tmp_path / "later")
    questions = asking(path, config)
    assert "no checkpoint yet; start it again with" in questions.reason(VIEW)
    lock = Lock(RunFolder(path).lock)
    assert "no checkpoint yet; its trainer saves one every 15 s" in questions.reason(VIEW)
    lock.release()
    (tmp_path / "later").rename(checkpoints)
    assert questions.answer(VIEW).step == 17


def test_without_its_data_it_names_the_folder_and_answers_once_they_are_there(
    data: Path, tmp_path: Path, asking: Asking
) -> None:
    here = shutil.copytree(data, tmp_path / "data" / data.name)
    config = small_run(here)
    path = tmp_path / "run"
    trained(path, config)
    here.rename(tmp_path / "elsewhere")
    questions = asking(path, config)
    assert str(here) in questions.reason(VIEW)
    assert str(here) in questions.reason(CHECK)
    (tmp_path / "elsewhere").rename(here)
    assert questions.answer(VIEW).step == 17
    here.rename(tmp_path / data.name)
    moved = MovedPaths(data_dir=str(tmp_path / data.name))
    assert asking(path, config, moved).answer(VIEW).step == 17


# Models of other users


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("SIGN = 1", "SIGN = -1"),
        lambda text: text.replace("nn.Linear(64, 10)", "nn.Linear(64, 10, bias=False)"),
        lambda text: text.replace("class Mine", "class Other"),
        lambda text: text.replace("return", "return 1 +"),
        lambda text: text + "def",
        lambda text: "raise SystemExit(3)\n" + text,
    ],
    ids=["another output", "another shape", "another name", "same shapes", "invalid", "exits"],
)
@pytest.mark.sampled(2)
def test_a_model_file_that_changed_gives_no_wrong_answer(
    change: Callable[[str], str], custom: RunConfig, tmp_path: Path, asking: Asking
) -> None:
    path = tmp_path / "run"
    trained(path, custom)
    questions = asking(path, custom)
    file_of(custom).write_text(change(MODEL))
    assert questions.reason(VIEW)
    file_of(custom).write_text(MODEL)
    assert questions.answer(VIEW).step == 17


def test_a_model_file_that_changes_after_the_first_answer_changes_none(
    custom: RunConfig, tmp_path: Path, asking: Asking
) -> None:
    path = tmp_path / "run"
    trained(path, custom, until=8)
    questions = asking(path, custom)
    before = questions.answer(VIEW)
    file_of(custom).write_text(MODEL.replace("SIGN = 1", "SIGN = -1"))
    again = questions.answer(VIEW)
    assert again.content == before.content
    file_of(custom).unlink()
    assert questions.answer(VIEW).content == before.content


OTHERS = [
    "more/copying.py:OwnWeightNorm",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            *("more/copying.py:PointsToParent", "more/copying.py:Merged"),
            *("more/steps.py:ChangesFolder", "more/steps.py:TurnsGradientsOff"),
        )
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("model", OTHERS)
def test_models_of_other_styles_are_answered(model: str, tmp_path: Path, asking: Asking) -> None:
    images = write_images(tmp_path / "images")
    config = small_run(images, model=f"{BORDER / model}", val_size=VAL, batch_size=BATCH)
    path = tmp_path / "run"
    trained(path, config, until=5)
    questions = asking(path, config)
    for view in ("confusion", "filters", "activations"):
        found = questions.ask(ask_view(view))
        if isinstance(found, CommandRejected):
            assert view != "confusion", found.reason
            assert "\n" not in found.reason
            assert "Traceback" not in found.reason
        else:
            assert found.step == 5


@pytest.mark.slow
def test_an_experiment_of_a_lesson_runs_in_this_process_and_can_be_stopped(
    config: RunConfig, whole_run: Path, asking: Asking
) -> None:
    before = {file.name: file.read_bytes() for file in whole_run.iterdir() if file.is_file()}
    questions = asking(whole_run, config)
    assert questions.ask(ask_lesson("batch-size"))
    questions.inbox.send(ask_lesson("batch-size", mode="confirmed"))
    questions.inbox.send(CancelQuestion("lesson"))
    assert questions.answer(VIEW).step == 17
    after = {file.name: file.read_bytes() for file in whole_run.iterdir() if file.is_file()}
    assert after == before


def test_the_learning_rate_finder_begins_with_the_last_checkpoint(
    tmp_path: Path, data: Path, asking: Asking
) -> None:
    config = small_run(data)
    trained(tmp_path / "run", config, until=8)
    choices = (("seeds", 2.0), ("steps", 20.0))
    answered = asking(tmp_path / "run", config).answer(Ask("find-lr", choices, "confirmed"))

    figures = exhibit_of(answered).figures
    assert (figures["start"], figures["step"]) == ("now", answered.step)
    assert answered.step > 0


def test_the_test_set_stays_sealed_while_a_trainer_writes_the_run(
    config: RunConfig, whole_run: Path, tmp_path: Path, asking: Asking
) -> None:
    path = tmp_path / "run"
    shutil.copytree(whole_run, path)
    on_test = ask_view("confusion", (("images", "test"),), mode="confirmed")
    questions = asking(path, config)
    lock = Lock(RunFolder(path).lock)
    assert "in use" in questions.reason(on_test)
    lock.release()
    before = RunFolder(path).read_events().test_evaluations
    assert questions.answer(on_test).is_last
    assert RunFolder(path).read_events().test_evaluations == before + 1
