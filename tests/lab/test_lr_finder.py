"""The learning rate finder in a run: what it tests, and that the run goes on with the same bits."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of
from tests.protocol.questions import answers, exhibit_of
from tests.training import prepare, train
from tui_trainer.engine import loop
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.run import Run
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.lr_finder import Plan, _trial
from tui_trainer.lab.saved_model import differing_bits
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import (
    Ask,
    CancelQuestion,
    Command,
    Inbox,
    Mode,
    Pause,
    Resume,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
    Stop,
)
from tui_trainer.protocol.events import CommandRejected, Diverged, Event
from tui_trainer.protocol.exhibit import Curves, Exhibit

CUSTOM = """
import random
import numpy as np
import torch
from torch import nn

CALLS = {"count": 0}

class Net(nn.Module):
    seen = 0

    def __init__(self, image_size, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4 * image_size**2, classes)
        self.mean = 0.0
        self.cache = {}
        self.rng = torch.Generator().manual_seed(3)
        self.draws = np.random.default_rng(5)

    def forward(self, x):
        if self.training:
            Net.seen += 1
            CALLS["count"] += 1
            self.mean = 0.9 * self.mean + 0.1 * float(x.mean())
            self.cache["last"] = x.detach().mean()
            noise = torch.rand(x.shape, generator=self.rng) * 0.1
            x = x + noise + 0.01 * float(self.draws.random()) + 0.01 * random.random()
            x = x + 0.001 * self.mean + 1e-4 * Net.seen + 1e-4 * CALLS["count"]
        return self.linear(self.norm(self.conv(x)).relu().flatten(1))
"""


def find(
    mode: Mode = "confirmed", limits: tuple[float, float] | None = None, **choices: float | str
) -> Ask:
    values: dict[str, float | str] = {"seeds": 2.0, "steps": 20.0, **choices}
    if limits is not None:
        values |= {"from": limits[0], "to": limits[1]}
    return Ask("find-lr", tuple(values.items()), mode)


def prepared(steps: Generator[Event, None, Run]) -> Run:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return cast(Run, ended.value)


def trained(
    folder: Path, at: Mapping[int, Sequence[Command]], **settings: Any
) -> tuple[list[Event], Checkpoint]:
    """Train; return the events without answers, and the final state."""
    store = CheckpointStore()
    config = bare_config(folder, **settings)
    events = list(train(config, ScriptedInbox(at), store=store, clock=FakeClock()))
    assert store.last_good is not None
    return events, store.last_good


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "augment": "light"},
        {"optimizer": "adam", "augment": "course", "label_smoothing": 0.1},
        {"model": "era-s6-dropout", "optimizer": "adamw", "dropout": 0.2, "augment": "light"},
        {"model": "CUSTOM", "optimizer": "adam"},
        {
            "model": "small",
            "precision": "bf16",
            "resize_until": 0.5,
            "resize_to": 6,
            "probes": True,
        },
    ],
    ids=lambda settings: settings.get("model", settings.get("optimizer")),
)
@pytest.mark.parametrize("start", ["now", "fresh"])
@pytest.mark.sampled(3)
def test_the_run_continues_with_the_same_bits(
    tiny: Path, tmp_path: Path, settings: dict[str, Any], start: str
) -> None:
    if settings.get("model") == "CUSTOM":
        (tmp_path / "net.py").write_text(CUSTOM)
        settings = {**settings, "model": f"{tmp_path}/net.py:Net"}
    question = find(start=start, seeds=1.0)
    asked, state = trained(tiny, {0: [question], 9: [question]}, **settings)
    alone, expected = trained(tiny, {}, **settings)

    results = [event for event in answers(asked) if event.is_last]
    assert len(results) == 2
    assert [event for event in asked if not isinstance(event, Answered)] == alone
    assert differing_bits(state, expected)[0] == 0
    differing = [name for name in expected.tensors if name not in state.tensors]
    assert not differing
    for name, tensor in expected.tensors.items():
        assert tensor.equal(state.tensors[name]) or name.startswith("fingerprint"), name
    assert state.metadata == expected.metadata


def result(tiny: Path, at: Mapping[int, Sequence[Command]], **settings: Any) -> list[Exhibit]:
    events, _ = trained(tiny, at, **settings)
    return [exhibit_of(event) for event in answers(events) if event.is_last]


def test_it_describes_itself_before_it_trains(tiny: Path) -> None:
    first, later = result(tiny, {0: [find("interactive")], 4: [find("interactive")]})

    assert "2 copies for 20 updates" in first.trains
    starts = [
        next(control.value for control in each.controls if control.name == "start")
        for each in (first, later)
    ]
    assert starts == ["fresh", "now"]
    names = [control.name for control in first.controls]
    assert names == ["start", "seeds", "steps", "from", "to"]


def test_an_empty_range_is_explained_and_keeps_its_controls(tiny: Path) -> None:
    (shown,) = result(tiny, {3: [find(limits=(1.0, 0.5))]})

    assert "choose a lower end below the upper one" in str(shown.blocks)
    assert not shown.trains
    assert len(shown.controls) == 5


def test_the_current_weights_have_a_lower_loss_than_new_ones(tiny: Path) -> None:
    now, fresh = result(
        tiny, {90: [find(start="now", seeds=1.0), find(start="fresh", seeds=1.0)]}, epochs=13
    )

    def first(shown: Exhibit) -> float:
        seeds: Any = shown.figures["seeds"]
        return float(seeds[0]["losses"][0])

    assert first(now) < 0.7 * first(fresh)
    assert (now.figures["start"], fresh.figures["start"]) == ("now", "fresh")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_state_of_the_optimizer_is_copied(tiny: Path, optimizer: str) -> None:
    """The first update of a test is that of the run: with its momentum, and Adam's step count."""
    steps = prepare(bare_config(tiny, optimizer=optimizer), Inbox(), CheckpointStore(), FakeClock())
    run = prepared(steps)
    lab = run.assistant
    assert isinstance(lab, Laboratory)
    run.begin_epoch()
    for _ in range(3):
        loop.train_step(run)
    context = lab.open_context(find())
    plan = Plan(False, (5,), (1e-3, 1e-2))
    trial = _trial(context, plan, 5)

    for name, tensor in run.optimizer.state_tensors().items():
        copied = trial.optimizer.state_tensors()[name]
        assert copied.equal(tensor)
        assert copied.data_ptr() != tensor.data_ptr()
    assert any(tensor.abs().sum() > 0 for tensor in run.optimizer.state_tensors().values())


def test_each_seed_has_other_losses_and_a_repeat_the_same(tiny: Path) -> None:
    one, again = result(tiny, {5: [find(), find()]}, augment="light")
    seeds: Any = one.figures["seeds"]

    assert one.figures == again.figures
    assert seeds[0]["losses"] != seeds[1]["losses"]


def test_the_knobs_of_the_run_are_those_of_the_tests(tiny: Path) -> None:
    knobs: list[Command] = [SetBatchSize(8), SetAugmentation(False), SetDropout(0.5)]
    changed, unchanged = (
        result(tiny, {5: [*each, find(seeds=1.0)]}, model="era-s6-dropout", augment="light")[0]
        for each in (knobs, [])
    )

    assert "batches of 8" in str(changed.blocks)
    assert changed.figures["seeds"] != unchanged.figures["seeds"]


def test_the_plot_has_faint_curves_and_a_mean_with_a_band(tiny: Path) -> None:
    (shown,) = result(tiny, {0: [find(seeds=3.0)]})
    (plot,) = (block for block in shown.blocks if isinstance(block, Curves))

    assert plot.is_log_x
    assert [curve.is_faint for curve in plot.curves] == [True, True, True, False]
    assert plot.curves[-1].low


@pytest.mark.parametrize("command", [CancelQuestion("find-lr"), Stop()])
def test_a_command_ends_a_long_test(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr("tui_trainer.lab.lr_finder.SLICE", 0.0)
    inbox = Inbox(find(steps=10_000.0))
    shown = 0
    for event in train(bare_config(tiny, epochs=1), inbox):
        if isinstance(event, Answered):
            shown += 1
            if shown == 3:
                inbox.send(command)
    assert shown == 3


def test_diverged_weights_suggest_nothing(tiny: Path) -> None:
    inbox = ScriptedInbox({2: [SetBaseLr(1000.0)]}, paused=[[find()], [Stop(test=False)]])
    config = bare_config(tiny, model="mlp", schedule="constant", epochs=30)
    events = list(train(config, inbox, interactive=True, clock=FakeClock()))

    assert of(Diverged, events)
    (last,) = [exhibit_of(event) for event in answers(events) if event.is_last]
    assert last.figures["lr"] is None
    doubts: Any = last.figures["doubts"]
    assert [doubt["code"] for doubt in doubts] == ["not_finite"]


def test_it_works_while_paused_before_the_first_step(tiny: Path) -> None:
    inbox = ScriptedInbox({0: [Pause()]}, paused=[[find()], [Resume()]])
    events = list(train(bare_config(tiny, epochs=1), inbox, clock=FakeClock()))

    assert [event.step for event in answers(events) if event.is_last] == [0]
    assert not of(CommandRejected, events)
