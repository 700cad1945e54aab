"""The whole check: before a run, and during one without changing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.engine.runs import FakeClock, ScriptedInbox, of, only, run, tiny_config
from tests.protocol.questions import CHECK, answers, contents
from tests.training import prepare, train
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.run import Run
from tui_trainer.lab import standalone
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.preflight import TOTAL, check
from tui_trainer.lab.preflight.plan import Plan
from tui_trainer.lab.trial import make_trial
from tui_trainer.models.build import build_model, to_channels_last
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Command, Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import CommandRejected, Event, RunFinished, RunStarted, StepDone

SHORT = Plan(steps=6, overfit_steps=3, shuffled_steps=2, sample=64, val_sample=10)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trainer.lab.preflight.check_context.whole_plan", lambda *_: SHORT)


def check_of(run: Run, clock: Callable[[], float] = time.perf_counter) -> list[Diagnosis]:
    assert isinstance(run.assistant, Laboratory)
    return list(check(replace(run.assistant.open_context(CHECK), clock=clock)))


def session_of(config: RunConfig) -> Run:
    preparing = prepare(config, Inbox(), CheckpointStore(), FakeClock())
    while True:
        try:
            next(preparing)
        except StopIteration as end:
            run: Run = end.value
            return run


@pytest.mark.parametrize(
    ("augment", "model", "optimizer"),
    [
        ("light", "small", "adam"),
        ("none", "small", "sgd"),
        ("light", "squeeze-dropout", "sgd"),
        ("none", "squeeze-dropout", "adamw"),
    ],
)
@pytest.mark.sampled(2)
def test_the_trial_repeats_the_first_steps_of_the_run(
    tiny: Path, augment: str, model: str, optimizer: str
) -> None:
    config = tiny_config(
        tiny, model=model, augment=augment, optimizer=optimizer, label_smoothing=0.1
    )
    before = session_of(config)
    torch.manual_seed(config.seed)
    initial = to_channels_last(build_model(config.model, image_size=8, classes=10), 8)
    trial = make_trial(initial, before.data, config)
    tried = [(trial.lr, float(trial.step())) for _ in range(10)]

    steps = of(StepDone, run(config))[:10]

    assert tried == [(step.lr, step.loss) for step in steps]


def test_each_item_is_emitted_when_it_is_done(tiny: Path) -> None:
    events = list(standalone.answers(tiny_config(tiny), [CHECK]))

    items = answers(events, "check")
    assert [event.done for event in items] == list(range(1, TOTAL + 1))
    assert {event.total for event in items} == {TOTAL}
    assert len({item.code for item in contents(Diagnosis, events)}) == TOTAL
    for item in contents(Diagnosis, events):
        assert item.title
        assert item.evidence
        assert 1 <= item.lesson <= 20
    assert all(event.seconds >= 0 for event in items)
    assert len(of(RunStarted, events)) == 1
    assert not of(StepDone, events)


def test_two_checks_are_equal_and_keep_weights_rng_states_and_the_test_set(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="squeeze-dropout"))
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    rng, order = torch.get_rng_state(), run.batches.stream.rng.get_state()
    threads = torch.get_num_threads()
    first, second = (check_of(run, FakeClock()) for _ in "ab")

    assert first == second
    after = run.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert torch.equal(rng, torch.get_rng_state())
    assert torch.equal(order, run.batches.stream.rng.get_state())
    assert torch.get_num_threads() == threads
    assert run.model.training
    assert run.data.test.evaluations == 0


@pytest.mark.slow
def test_a_check_does_not_change_the_run(tiny: Path) -> None:
    config = tiny_config(tiny, model="squeeze-dropout", augment="light")
    asked = run(config, ScriptedInbox({3: [CHECK]}))

    assert len(answers(asked, "check")) == TOTAL
    assert [event for event in asked if not isinstance(event, Answered)] == run(config)


@pytest.mark.slow
def test_a_check_during_training_starts_from_the_beginning(tiny: Path) -> None:
    config = tiny_config(tiny)
    asked = run(config, ScriptedInbox({0: [CHECK], 9: [CHECK]}))

    assert [event for event in asked if not isinstance(event, Answered)] == run(config)
    items = contents(Diagnosis, asked)
    for first, later in zip(items[:TOTAL], items[TOTAL:], strict=True):
        if first.code != "first-epoch":  # its evidence contains a time
            assert (first.code, first.value) == (later.code, later.value)


def test_a_finished_run_can_be_checked(tiny: Path) -> None:
    inbox = ScriptedInbox(paused=[[CHECK], [Stop()]])
    events = list(train(tiny_config(tiny, epochs=1), inbox, interactive=True, clock=FakeClock()))

    place = [isinstance(event, RunFinished) for event in events].index(True)
    assert len(answers(events[place:], "check")) == TOTAL


def test_a_stop_need_not_wait_for_the_last_item(tiny: Path) -> None:
    inbox = Inbox(CHECK)
    events: list[Event] = []
    for event in train(tiny_config(tiny), inbox, clock=FakeClock()):
        events.append(event)
        if isinstance(event, Answered) and event.done == 2:
            inbox.send(Stop(test=False))

    assert len(answers(events, "check")) == 2
    assert only(CommandRejected, events).command == "check"
    assert only(RunFinished, events).reason == "stopped"


CUSTOM = """
from torch import nn

class Net(nn.Module):
    def __init__(self, image_size, classes):
        super().__init__()
        self.head = nn.Linear(image_size**2, classes)

    def forward(self, x):
        if len(x) > 2:
            raise ValueError("too many")
        return self.head(x.flatten(1))
"""


def test_an_error_of_a_custom_model_names_its_line(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(CUSTOM, encoding="utf-8")

    with pytest.raises(InputError, match=r"net\.py:11: ValueError: too many"):
        list(standalone.answers(tiny_config(tiny, model=f"{path}:Net"), [CHECK]))


def test_an_impossible_check_is_rejected_and_the_run_continues(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(CUSTOM.replace("len(x) > 2", "len(x) < 0"), encoding="utf-8")

    class Breaking(ScriptedInbox):
        def take(self, step: int, *, wait: bool = False) -> list[Command]:
            sent = super().take(step, wait=wait)
            if sent:
                path.write_text("class Net(", encoding="utf-8")
            return sent

    config = tiny_config(tiny, model=f"{path}:Net", epochs=1)
    events: list[Event] = run(config, Breaking({3: [CHECK]}))

    (rejected,) = of(CommandRejected, events)
    assert rejected.command == "check"
    assert "net.py:1" in rejected.reason
    assert of(RunFinished, events)[0].reason == "completed"
