"""``mnist-tui send``, with a trainer that a test plays."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.test_import_hygiene import HEAVY, loaded_by
from tests.ui.fakes import recording, run_folder
from tui_trainer.cli import send as send_module
from tui_trainer.cli.send import command_of
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command, name_of
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Diverged,
    Event,
    Rewound,
    RunFailed,
    RunFinished,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
    to_json,
)
from tui_trainer.recording import command_file
from tui_trainer.recording.answer import answer_of
from tui_trainer.recording.command_file import CommandFile
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

Script = Callable[[Command], Sequence[Event]]


def applied(command: Command, step: int = 512) -> CommandApplied:
    return CommandApplied(
        command=name_of(command), step=step, by=command.by, request=command.request
    )


def changed(setting: str, old: float, new: float) -> SettingChanged:
    return SettingChanged(setting=setting, old=old, new=new, step=512, epoch=2, images=65_536)


def step_done(step: int) -> StepDone:
    batch = {"epoch": 2, "epoch_images": 128, "images": 128 * step, "batch_size": 128}
    return StepDone(step=step, loss=0.125, accuracy=0.9, lr=0.05, seconds=1.0, **batch)


def in_test() -> StateChanged:
    return StateChanged(state="testing", step=512)


def evaluated() -> TestEvaluated:
    interval = (0.9790, 0.9845)
    result = {"test_loss": 0.1, "test_accuracy": 0.982, "test_correct": 982, "test_total": 1000}
    return TestEvaluated(evaluation=2, step=512, images=65_536, test_interval=interval, **result)  # type: ignore[arg-type]


def finished(reason: str = "stopped", *, accuracy: float | None = 0.982) -> RunFinished:
    events = [event for event in recording("finished") if isinstance(event, RunFinished)]
    fields = {name: getattr(events[0], name) for name in events[0].__slots__}
    interval = None if accuracy is None else (0.979, 0.9845)
    fields |= {"reason": reason, "step": 512, "test_accuracy": accuracy}
    return RunFinished(**{**fields, "test_interval": interval, "test_evaluations": 2})


class Trainer:
    """A trainer that answers while the sender sleeps.

    Args:
        folder: The folder of its run, which it locks.
        answers: Its events, one group for each command, and one for each later sleep.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.now = 0.0
        self.received: list[Command] = []
        self.answer: Script = lambda command: [applied(command)]
        self.later: list[Callable[[], object]] = []
        self._lock = Lock(folder.lock)
        command_file.create(folder.commands)
        self._file = CommandFile(folder, self.received.append)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        before = len(self.received)
        self._file.poll()
        if new := self.received[before:]:
            self.record(*(event for command in new for event in self.answer(command)))
        elif self.later:
            self.later.pop(0)()

    def record(self, *events: Event) -> None:
        with self.folder.events.open("a") as file:
            file.writelines(f"{to_json(event)}\n" for event in events)

    def leave(self) -> None:
        self._lock.release()
        self._file.close()


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    folder = run_folder(Path("runs/one"), recording("mid-run"), state="running")
    trainer = Trainer(folder)
    answer = functools.partial(answer_of, clock=trainer.clock, sleep=trainer.sleep)
    monkeypatch.setattr(send_module, "answer_of", answer)
    yield trainer
    trainer.leave()


# --- the commands


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("lr", "0.01"), commands.SetBaseLr(0.01)),
        (("batch", "256"), commands.SetBatchSize(256)),
        (("dropout", "0.1"), commands.SetDropout(0.1)),
        (("augment", "on"), commands.SetAugmentation(True)),
        (("augment", "off"), commands.SetAugmentation(False)),
        (("epochs", "20"), commands.SetEpochs(20)),
        (("rewind", "0.02"), commands.Rewind(0.02)),
        (("pause", None), commands.Pause()),
        (("resume", None), commands.Resume()),
        (("step", None), commands.RunStep()),
        (("epoch", None), commands.RunEpoch()),
        (("test", None), commands.EvaluateTest()),
        (("stop", None), commands.Stop()),
    ],
)
def test_each_action_is_a_command(words: tuple[str, str | None], command: Command) -> None:
    assert command_of(*words) == command


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("fly", None), "unknown action 'fly'; choose lr, batch"),
        (("lr", None), "lr: needs a value, as in `mnist-tui send RUN lr 0.01`"),
        (("epochs", None), "`mnist-tui send RUN epochs 20`"),
        (("lr", "fast"), "lr: needs a number, not 'fast'"),
        (("lr", "nan"), "lr: needs a finite number"),
        (("lr", "0"), "the learning rate must be above 0 and at most 1,000, not 0.0"),
        (("rewind", "1e9"), "the learning rate must be above 0 and at most 1,000"),
        (("batch", "1e3"), "batch: needs an integer, not '1e3'"),
        (("batch", "0"), "the batch size must be from 1 to 65,536, not 0"),
        (("batch", "9" * 5_000), "batch: needs an integer"),
        (("dropout", "0.96"), "dropout must be from 0 to 0.95"),
        (("epochs", "0"), "epochs must be from 1 to 10,000"),
        (("augment", "1"), "augment '1': choose on or off"),
        (("pause", "3"), "pause '3': pause takes no value; remove it"),
    ],
)
def test_bad_words_are_refused(words: tuple[str, str | None], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        command_of(*words)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 250


def test_bad_input_is_one_line_and_exit_code_2(run: Cli, trainer: Trainer) -> None:
    for words in (
        *(("one", "lr"), ("one",), (), ("one", "lr", "x"), ("other", "pause")),
        *(("one", "pause", "--timeout", "0"), ("one", "pause", "--timeout", "nan")),
        *(("one", "pause", "--timeout", "1e9"), ("one", "lr", "1", "2")),
    ):
        code, out, err = run("send", *words)
        assert (code, out, err.count("\n")) == (2, "", 1), words
    assert not trainer.folder.commands.read_bytes()


# --- the answers


@pytest.mark.parametrize(
    ("words", "events", "line"),
    [
        (("lr", 0.01), [changed("base_lr", 0.1, 0.01)], "lr 0.1 → 0.01 at step 512"),
        (("batch", 256), [changed("batch_size", 128, 256)], "batch 128 → 256 at step 512"),
        (("augment", "on"), [changed("augmentation", 0, 1)], "augmentation off → on at step 512"),
        (("epochs", 20), [changed("epochs", 10, 20)], "epochs 10 → 20 at step 512"),
        (("pause",), [], "paused at step 512"),
        (("resume",), [], "training from step 512"),
        (
            ("epoch",),
            [],
            "training to the end of the epoch, from step 512; then it pauses",
        ),
        (
            ("test",),
            [in_test(), evaluated()],
            "test accuracy 98.20 % [97.90, 98.45] at step 512, evaluation 2",
        ),
        (
            ("rewind", 0.01),
            [
                Rewound(step=500, epoch=2, images=64_000, from_step=512, lines=None),
                changed("base_lr", 0.1, 0.01),
            ],
            "rewound from step 512 to step 500",
        ),
    ],
)
def test_the_answer_is_one_line(
    run: Cli, trainer: Trainer, words: tuple[Any, ...], events: list[Event], line: str
) -> None:
    trainer.answer = lambda command: [*events, applied(command)]
    assert run("send", "one", *words) == (0, f"{line}\n", "")
    (sent,) = trainer.received
    assert sent.by == command_file.sender()
    assert len(sent.request) == 16
    code, out, err = run("send", "one", *words, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    expected = events[0] if words[0] == "rewind" else [applied(trainer.received[1]), *events][-1]
    assert json.loads(out) == json.loads(to_json(expected))


def test_a_step_waits_for_its_batch(run: Cli, trainer: Trainer) -> None:
    trainer.answer = lambda command: [step_done(512), applied(command)]
    trainer.later = [lambda: trainer.record(step_done(513))]
    assert run("send", "one", "step") == (0, "step 513: loss 0.1250, lr 0.05; paused\n", "")
    trainer.later = [lambda: trainer.record(Diverged(step=513, epoch=2, lr=0.1))]
    _, out, _ = run("send", "one", "step")
    assert out == "step 513: diverged, the loss is not finite\n"
    code, out, _ = run("send", "one", "step", "--timeout", "0.2")
    assert (code, out) == (0, "training step 513; not finished yet\n")


def test_a_stop_waits_for_the_end_of_the_run(run: Cli, trainer: Trainer) -> None:
    trainer.later = [
        lambda: trainer.record(in_test(), evaluated()),
        lambda: trainer.record(finished()),
    ]
    line = "stopped at step 512; test accuracy 98.20 % [97.90, 98.45], evaluation 2\n"
    assert run("send", "one", "stop") == (0, line, "")
    trainer.later = [lambda: trainer.record(finished("diverged", accuracy=None))]
    _, out, _ = run("send", "one", "stop")
    assert out == "diverged at step 512; the test set was not evaluated\n"


def test_after_a_confirmation_the_timeout_begins_again(run: Cli, trainer: Trainer) -> None:
    code, out, _ = run("send", "one", "stop", "--timeout", 2)
    assert (code, out) == (0, "stopping at step 512; the test evaluation is not finished yet\n")
    assert 2 < trainer.now < 2.3
    trainer.now, trainer.answer = 0.0, lambda command: [in_test()]
    code, out, _ = run("send", "one", "test", "--timeout", 2)
    assert (code, out) == (0, "evaluating the test set since step 512; not finished yet\n")
    assert 2 < trainer.now < 2.3
    code, out, _ = run("send", "one", "test", "--timeout", 2, "--json")
    assert json.loads(out)["event"] == "StateChanged"


def test_a_rejection_has_a_reason_and_an_exit_code(run: Cli, trainer: Trainer) -> None:
    def reject(command: Command) -> list[Event]:
        others = CommandRejected(command="SetBaseLr", reason="of another sender", step=3)
        why = {"reason": "epoch 4 has already started", "request": command.request}
        return [others, CommandRejected(command="SetEpochs", step=3, **why)]

    trainer.answer = reject
    error = "mnist-tui: error: one: rejected: epoch 4 has already started\n"
    assert run("send", "one", "epochs", 1) == (9, "", error)
    code, out, err = run("send", "one", "epochs", 1, "--json")
    assert (code, err) == (9, error)
    assert json.loads(out)["request"] == trainer.received[1].request


def test_no_trainer(run: Cli, trainer: Trainer) -> None:
    trainer.leave()
    code, out, err = run("send", "one", "pause")
    assert (code, out) == (10, "")
    assert "one: no process trains this run; `mnist-tui resume runs/one` continues it" in err
    assert not trainer.folder.commands.read_bytes()


def test_no_confirmation(run: Cli, trainer: Trainer) -> None:
    trainer.answer = lambda command: []
    code, out, err = run("send", "one", "pause", "--timeout", 3, "--json")
    assert (code, out) == (11, "")
    assert "not confirmed in 3 s: the trainer is busy, and may apply it later" in err


@pytest.mark.parametrize(
    ("last", "action"),
    [
        (finished("completed"), "pause"),
        (RunFailed(message="out of memory", traceback=""), "pause"),
        (None, "pause"),
        (None, "stop"),
    ],
)
def test_a_trainer_that_ends_first(
    run: Cli, trainer: Trainer, last: Event | None, action: str
) -> None:
    trainer.answer = lambda command: [applied(command)] if action == "stop" else []

    def end() -> None:
        if last is not None:
            trainer.record(last)
        trainer.leave()

    trainer.later = [end]
    code, out, err = run("send", "one", action)
    assert (code, out, err.count("\n")) == (12, "", 1)
    assert "ended" in err or "out of memory" in err
    assert trainer.now < 1


def test_a_window_that_leaves_its_training(run: Cli, trainer: Trainer) -> None:
    trainer.answer = lambda command: [finished("detached", accuracy=None)]
    code, out, err = run("send", "one", "pause")
    assert (code, out) == (12, "")
    assert "one: a process in the background takes over this run; send it again" in err


def test_a_killed_trainer_that_answered_has_answered(run: Cli, trainer: Trainer) -> None:
    def answer(command: Command) -> list[Event]:
        trainer.leave()
        trainer.now += 1
        return [applied(command)]

    trainer.answer = answer
    assert run("send", "one", "pause")[0] == 0


def test_a_line_that_is_being_written_is_read_once_it_is_complete(
    run: Cli, trainer: Trainer
) -> None:
    whole = f"{to_json(step_done(511))}\n"
    with trainer.folder.events.open("a") as file:
        file.write(whole[:40])

    def answer(command: Command) -> list[Event]:
        with trainer.folder.events.open("a") as file:
            file.write(whole[40:])
        return [applied(command)]

    trainer.answer = answer
    assert run("send", "one", "pause") == (0, "paused at step 512\n", "")


# --- the file


def test_a_file_that_the_trainer_would_not_read(
    run: Cli, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trainer.folder.commands

    def refused() -> str:
        code, out, err = run("send", "one", "pause")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "runs/one/commands.jsonl: " in err
        return err

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(command_file, "append", denied)
        assert (
            "no permission to write; the owner of the run can give it with chmod g+w" in refused()
        )
    path.unlink()
    assert "missing: this trainer takes no commands; update it" in refused()
    path.symlink_to("events.jsonl")
    assert "is not an ordinary file; the trainer ignores its commands" in refused()
    path.unlink()
    os.mkfifo(path)
    assert "is not an ordinary file" in refused()


def test_a_lock_that_cannot_be_read_is_not_taken_for_a_free_one(
    run: Cli, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != trainer.folder.lock)
    code, out, err = run("send", "one", "pause")
    assert (code, out) == (2, "")
    assert "runs/one/.lock: no permission to read; the owner" in err


def test_it_loads_neither_torch_nor_the_window(tmp_path: Path) -> None:
    run_folder(tmp_path / "one", recording("mid-run"), state="running")
    arguments = ["mnist-tui", "send", str(tmp_path / "one"), "pause"]
    roots = loaded_by(f"import tui_trainer.cli as c; sys.argv = {arguments!r}; c.main()")
    assert "tui_trainer" in roots
    assert not roots & (HEAVY | {"textual", "plotext"})
