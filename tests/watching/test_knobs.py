"""Commands for a script: what they change, and what they cannot change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

import tui_trainer
from tests.watching.loops import (
    Net,
    are_equal,
    digits,
    of_type,
    optimizer_of,
    send,
    tensors_of,
    train,
    train_loader,
    watched,
)
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    EpochDone,
    RunFinished,
    RunStarted,
    SettingChanged,
    StateChanged,
    StepDone,
)
from tui_trainer.watching import WatchedRun


def at(run: WatchedRun, *sent: tuple[int, Command]) -> Callable[[int], None]:
    """Return a function that sends commands before these steps."""

    def before(step: int) -> None:
        for when, command in sent:
            if when == step:
                send(run, command)

    return before


def test_the_learning_rate_is_a_factor_over_a_scheduler_and_all_groups(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net()
    groups: list[dict[str, Any]] = [
        {"params": model.conv1.parameters(), "lr": 0.01},
        {"params": model.fc.parameters()},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    used: list[list[float]] = []
    optimizer.register_step_post_hook(
        lambda optimizer, args, kwargs: used.append([group["lr"] for group in groups_now()])
    )

    def groups_now() -> list[dict[str, Any]]:
        return optimizer.param_groups

    run = tui_trainer.watch(model, optimizer, epochs=2, out=tmp_path / "run", progress=False)
    before = at(run, (4, commands.SetBaseLr(0.02, by="ada@lab", request="1")))
    with run:
        train(model, optimizer, run, before_step=before, scheduler=scheduler)
    # Base 0.01 × 2 from the step after the command; the scheduler halves what the script has set.
    lrs = [step.lr for step in of_type(tmp_path / "run", StepDone)]
    assert lrs == pytest.approx([0.01] * 4 + [0.02] * 6 + [0.01] * 10)
    assert used[3] == [0.01, 0.1]
    assert used[4] == pytest.approx([0.02, 0.2])
    assert used[10] == pytest.approx([0.01, 0.1])
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0025, 0.025])
    (changed,) = of_type(tmp_path / "run", SettingChanged)
    assert (changed.setting, changed.old, changed.new) == ("base_lr", 0.01, 0.02)
    assert (changed.step, changed.by) == (4, "ada@lab")
    assert of_type(tmp_path / "run", CommandApplied)[0].request == "1"


@pytest.mark.slow
def test_a_factor_of_one_leaves_the_weights_as_they_are(tmp_path: Path) -> None:
    found: list[list[torch.Tensor]] = []
    for sent in ((), ((3, commands.SetBaseLr(0.2)), (3, commands.SetBaseLr(0.05)))):
        model, run = watched(tmp_path / str(len(found)))
        with run:
            train(model, optimizer_of(run), run, before_step=at(run, *sent))
        found.append(tensors_of(model))
    assert are_equal(*found)


def test_the_batch_size_is_that_of_the_next_batch(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")
    with run:
        train(model, optimizer_of(run), run, before_step=at(run, (4, commands.SetBatchSize(128))))
    sizes = [step.batch_size for step in of_type(tmp_path / "run", StepDone)]
    assert sizes == [64] * 4 + [128] * 3 + [128] * 5
    assert [epoch.epoch for epoch in of_type(tmp_path / "run", EpochDone)] == [1, 2]
    (changed,) = of_type(tmp_path / "run", SettingChanged)
    assert (changed.old, changed.new, changed.step) == (64, 128, 4)


def test_a_sampler_that_drops_the_last_batch_takes_the_size_in_the_next_epoch(
    tmp_path: Path,
) -> None:
    model, run = watched(tmp_path / "run")
    loader = train_loader(drop_last=True)
    before = at(run, (4, commands.SetBatchSize(128)))
    with run:
        train(model, optimizer_of(run), run, loader, before_step=before)
    sizes = [step.batch_size for step in of_type(tmp_path / "run", StepDone)]
    assert sizes == [64] * 10 + [128] * 5
    (changed,) = of_type(tmp_path / "run", SettingChanged)
    assert (changed.step, changed.epoch) == (10, 2)


def test_epochs_and_dropout_can_be_changed(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")
    sent = (
        (3, commands.SetEpochs(3)),
        (4, commands.SetDropout(0.5)),
        (15, commands.SetEpochs(1, request="late")),
    )
    with run:
        train(model, optimizer_of(run), run, before_step=at(run, *sent))
    assert of_type(tmp_path / "run", RunFinished)[0].epochs == 3
    assert model.drop.p == 0.5
    (rejected,) = of_type(tmp_path / "run", CommandRejected)
    assert (rejected.request, rejected.reason) == ("late", "epoch 2 has already started")


def test_a_stop_ends_batches_and_epochs(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")
    with run:
        losses = train(model, optimizer_of(run), run, before_step=at(run, (13, commands.Stop())))
    assert len(losses) == 13
    (end,) = of_type(tmp_path / "run", RunFinished)
    assert (end.reason, end.epochs, end.step) == ("stopped", 1, 13)
    assert [epoch.epoch for epoch in of_type(tmp_path / "run", EpochDone)] == [1]


def test_a_pause_waits_between_two_batches_and_steps_one_by_one(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)
    paused = threading.Event()
    before = at(run, (3, commands.Pause()))

    def go_on() -> None:
        assert run._watcher is not None
        control = run._watcher._control
        for command in (commands.RunStep(), commands.RunStep(), commands.Resume()):
            paused.wait(10)
            while control.state != "paused":
                paused.wait(0.01)
            control.state = "training"  # seen: wait for the next pause
            send(run, command)

    helper = threading.Thread(target=go_on, daemon=True)

    def before_step(step: int) -> None:
        before(step)
        if step == 3:
            paused.set()
            helper.start()

    with run:
        train(model, optimizer_of(run), run, before_step=before_step)
    helper.join(10)
    states = [event.state for event in of_type(tmp_path / "run", StateChanged)]
    assert states.count("paused") >= 1
    assert len(of_type(tmp_path / "run", StepDone)) == 10


def test_an_epoch_then_a_pause(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")
    before = at(run, (3, commands.RunEpoch()), (3, commands.SetBaseLr(0.1)))

    def stop_when_paused() -> None:
        assert run._watcher is not None
        while run._watcher._control.state != "paused":
            threading.Event().wait(0.01)
        send(run, commands.Stop())

    helper = threading.Thread(target=stop_when_paused, daemon=True)
    helper.start()
    with run:
        losses = train(model, optimizer_of(run), run, before_step=before)
    assert len(losses) == 10
    assert of_type(tmp_path / "run", RunFinished)[0].reason == "stopped"


def refused(tmp_path: Path, sent: Command, loop: Callable[[Net, WatchedRun], object]) -> str:
    """Send a command before the fourth step; return the reason for which it is rejected."""
    model, run = watched(tmp_path / "run", epochs=1)
    with run:
        if run._watcher is not None:
            send(run, sent)
        loop(model, run)
    reasons = dict(of_type(tmp_path / "run", RunStarted)[0].unavailable)
    (rejected,) = of_type(tmp_path / "run", CommandRejected)
    assert rejected.reason in reasons.values()
    return rejected.reason


def by_batches(loader: Any = None) -> Callable[[Net, WatchedRun], object]:
    return lambda model, run: train(model, optimizer_of(run), run, loader)


def by_step_alone(model: Net, run: WatchedRun) -> None:
    optimizer = optimizer_of(run)
    for images, labels in train_loader():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        run.step(loss, labels=labels)


def custom_sampler() -> DataLoader[Any]:
    class Blocks(BatchSampler):
        pass

    data = digits()[0]
    return DataLoader(data, batch_sampler=Blocks(SequentialSampler(data), 64, drop_last=False))


@pytest.mark.parametrize(
    ("command", "loop", "reason"),
    [
        (commands.SetAugmentation(True), by_batches(), "the script prepares its own images"),
        (commands.EvaluateTest(), by_batches(), "the script has its own test set"),
        (commands.Rewind(0.1), by_batches(), "a script cannot go back; start it again, with"),
        (commands.SetBatchSize(32), by_batches(custom_sampler()), "a custom batch sampler"),
        (commands.SetBatchSize(32), by_batches(list(train_loader())), "give a DataLoader"),
        (commands.SetEpochs(3), by_step_alone, "does not use run.epochs()"),
        (commands.RunEpoch(), by_step_alone, "does not say where an epoch ends"),
        (commands.Stop(), by_step_alone, "uses neither run.batches() nor run.should_stop"),
    ],
)
@pytest.mark.sampled(3)
def test_what_a_script_cannot_do_is_rejected_with_the_reason(
    tmp_path: Path, command: Command, loop: Callable[[Net, WatchedRun], object], reason: str
) -> None:
    assert reason in refused(tmp_path, command, loop)


def test_a_loop_that_asks_can_be_stopped(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)
    optimizer, steps = optimizer_of(run), 0
    with run:
        while not run.should_stop:
            steps += 1
            images, labels = next(iter(train_loader()))
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if steps == 5:
                send(run, commands.Stop())
            run.step(loss, labels=labels)
    assert steps == 5
    assert of_type(tmp_path / "run", RunFinished)[0].reason == "stopped"


def test_several_processes_cannot_be_steered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    reason = refused(tmp_path, commands.SetBaseLr(0.3), by_batches())
    assert reason == "the script trains in 2 processes; only this one would change"


def test_a_bad_value_is_rejected_like_an_option(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)
    sent: list[tuple[int, Command]] = [
        (2, commands.SetBaseLr(-1.0)),
        (2, commands.SetBatchSize(0)),
        (2, commands.SetDropout(2.0)),
    ]
    with run:
        train(model, optimizer_of(run), run, before_step=at(run, *sent))
    assert len(of_type(tmp_path / "run", CommandRejected)) == 3
    assert not of_type(tmp_path / "run", SettingChanged)
