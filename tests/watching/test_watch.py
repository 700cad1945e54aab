"""A watched loop trains as it would without, and everything it does is recorded."""

from __future__ import annotations

import copy
import functools
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

import tui_trainer
from tests.watching.loops import (
    Net,
    are_equal,
    digits,
    of_type,
    optimizer_of,
    sgd,
    tensors_of,
    train,
    train_loader,
    val_loader,
    watched,
)
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CheckpointSaved,
    DatasetWarning,
    Diverged,
    EpochDone,
    RunFailed,
    RunFinished,
    RunStarted,
    StepDone,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.watching import WatchedRun, saving

SCALERS: dict[int, torch.amp.GradScaler] = {}

Body = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor, int], Tensor]


def plain(model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, step: int) -> Tensor:
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def clipped(model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, step: int) -> Tensor:
    loss = F.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return loss


def accumulated(
    model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, step: int
) -> Tensor:
    loss = F.cross_entropy(model(images), labels)
    (loss / 2).backward()  # type: ignore[no-untyped-call]
    if step % 2 == 0:
        optimizer.step()
        optimizer.zero_grad()
    return loss


def mixed(model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, step: int) -> Tensor:
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def scaled(model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, step: int) -> Tensor:
    scaler = SCALERS.setdefault(id(optimizer), torch.amp.GradScaler("cpu", init_scale=2.0**8))
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.cross_entropy(model(images), labels)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return loss


def closure(model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor, step: int) -> Tensor:
    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    found: Tensor = optimizer.step(evaluate)
    return found


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=2e-3)


def lbfgs(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)


@pytest.mark.parametrize(
    ("body", "optimizer", "workers"),
    [
        *((plain, sgd, 0), (clipped, adamw, 0), (accumulated, sgd, 0), (mixed, adamw, 0)),
        *((scaled, sgd, 0), (closure, lbfgs, 0), (plain, adamw, 2)),
    ],
)
@pytest.mark.sampled(4)
def test_the_weights_are_the_same_to_the_last_bit(
    tmp_path: Path, body: Body, optimizer: Any, workers: int
) -> None:
    def once(watches: bool) -> tuple[list[Tensor], Tensor]:
        torch.manual_seed(3)
        model = Net()
        update = optimizer(model)
        scheduler = torch.optim.lr_scheduler.StepLR(update, 1, 0.5)
        loader = train_loader(num_workers=workers)
        step = 0
        if watches:
            run = tui_trainer.watch(model, update, epochs=2, out=tmp_path / "run", progress=False)
            for _ in run.epochs():
                for images, labels in run.batches(loader):
                    step += 1
                    loss = body(model, update, images, labels, step)
                    run.step(loss)
                run.validate(val_loader())
                scheduler.step()
            run.finish()
        else:
            for _ in range(2):
                for images, labels in loader:
                    step += 1
                    body(model, update, images, labels, step)
                scheduler.step()
        return tensors_of(model), torch.get_rng_state()

    (alone, state), (with_watch, state_too) = once(False), once(True)
    assert are_equal(alone, with_watch)
    assert torch.equal(state, state_too)
    steps = of_type(tmp_path / "run", StepDone)
    assert len(steps) == 20
    assert all(math.isfinite(step.loss) and 0 <= step.accuracy <= 1 for step in steps)


def test_a_run_has_its_steps_epochs_checkpoints_and_end(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")
    with run:
        losses = train(model, optimizer_of(run), run)
    folder = tmp_path / "run"
    (started,) = of_type(folder, RunStarted)
    assert (started.model, started.classes, started.train_size) == ("Net", 10, 640)
    assert (started.epochs, started.batch_size, started.base_lr) == (2, 64, 0.05)
    assert started.optimizer == "sgd"
    assert started.momentum == 0.9
    steps = of_type(folder, StepDone)
    assert [step.loss for step in steps] == pytest.approx([float(loss) for loss in losses])
    assert [step.images for step in steps] == [64 * (i + 1) for i in range(20)]
    first, second = of_type(folder, EpochDone)
    assert (first.epoch, second.epoch, second.step) == (1, 2, 20)
    assert first.val_total == 200
    assert first.val_interval is not None
    (end,) = of_type(folder, RunFinished)
    assert (end.reason, end.epochs, end.val_accuracy) == ("completed", 2, second.val_accuracy)
    assert {name for saved in of_type(folder, CheckpointSaved) for name in saved.files} == {
        *("last", "epoch", "best")
    }
    assert RunFolder(folder).read_summary().state == "completed"


def test_the_validation_is_that_of_the_model_in_evaluation_mode(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)
    with run:
        train(model, optimizer_of(run), run)
        was_training = [module.training for module in model.modules()]
        found = run.validate(val_loader())
    assert was_training == [module.training for module in model.modules()]
    model.eval()
    images, labels = digits()[1].tensors
    with torch.no_grad():
        logits = model(images)
    assert found.correct == int((logits.argmax(1) == labels).sum())
    assert found.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)


def test_a_loop_can_report_a_validation(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=3)
    optimizer = optimizer_of(run)
    figures: list[dict[str, Any]] = [
        {"val_loss": torch.tensor(0.5), "val_accuracy": 0.9},
        {"val_loss": 0.4, "val_correct": 180, "val_total": 200},
        {"val_accuracy": 91.5, "val_total": 200},
    ]
    with run:
        for epoch in run.epochs():
            for step, (images, labels) in enumerate(run.batches(train_loader())):
                run.step(plain(model, optimizer, images, labels, step))
            run.log(**figures[epoch - 1])
    first, second, third = of_type(tmp_path / "run", EpochDone)
    assert (first.val_loss, first.val_accuracy, first.val_interval) == (0.5, 0.9, None)
    assert (second.val_accuracy, second.val_correct) == (0.9, 180)
    assert (third.val_accuracy, third.val_correct, third.val_loss) == (0.915, 183, None)


def test_an_exception_of_the_script_stays_as_it_is_and_is_recorded(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")

    def fails(step: int) -> None:
        if step == 5:
            raise ValueError("no such label")

    with pytest.raises(ValueError, match="no such label"), run:
        train(model, optimizer_of(run), run, before_step=fails)
    (failed,) = of_type(tmp_path / "run", RunFailed)
    assert failed.message.startswith("ValueError: no such label (")
    assert "line " in failed.message
    assert "in fails" in failed.traceback
    assert len(of_type(tmp_path / "run", StepDone)) == 4
    assert RunFolder(tmp_path / "run").checkpoint("last").is_file()
    assert RunFolder(tmp_path / "run").read_summary().state == "failed"


def test_ctrl_c_ends_the_run_as_interrupted(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run")

    def interrupts(step: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), run:
        train(model, optimizer_of(run), run, before_step=interrupts)
    (end,) = of_type(tmp_path / "run", RunFinished)
    assert end.reason == "interrupted"


@functools.cache
def losses_of_an_epoch() -> list[float]:
    """Return the losses without watch."""
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    losses = []
    for images, labels in train_loader():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "place",
    ["end_step", "begin_batch", "begin_epoch", "end_epoch", "validated", "begin_pass", "finish"],
)
@pytest.mark.sampled(2)
def test_an_exception_of_ours_never_reaches_the_loop(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, run = watched(tmp_path / "run", epochs=1)

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(run._watcher, place, broken)
    optimizer = optimizer_of(run)
    with run:
        losses = train(model, optimizer, run)
    assert [float(loss) for loss in losses] == losses_of_an_epoch()
    printed = capsys.readouterr().err
    assert printed.count("a mistake of ours") == 1
    assert printed.count("\n") == 1
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_an_exception_in_a_hook_never_reaches_the_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, run = watched(tmp_path / "run")
    assert run._watcher is not None
    run._watcher._knobs.lr.factor = "no number"  # type: ignore[assignment]
    with run:
        assert len(train(model, optimizer_of(run), run)) == 20
    assert "the training goes on" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("a file")
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=1) as run:
        assert len(train(model, optimizer, run)) == 10
    printed = capsys.readouterr().err
    assert printed.startswith("mnist-tui: not watched any more: runs: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "optimizer", "epochs", "problem"),
    [
        (1, None, 1, "the model is no torch.nn.Module, but int"),
        (None, [1], 1, "no torch.optim.Optimizer, but int"),
        (None, None, 0, "epochs is a number of epochs from 1, not 0"),
        (None, None, 2.0, "epochs is a number of epochs from 1, not 2.0"),
        (None, [], 1, "no optimizer"),
    ],
)
def test_what_cannot_be_watched_is_a_type_error(
    model: Any, optimizer: Any, epochs: Any, problem: str
) -> None:
    net = Net()
    with pytest.raises(TypeError, match=problem):
        tui_trainer.watch(
            net if model is None else model,
            sgd(net) if optimizer is None else optimizer,
            epochs=epochs,
        )


def test_a_second_run_does_not_overwrite_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        model, run = watched(tmp_path / "run", epochs=1)
        with run:
            train(model, optimizer_of(run), run)
    assert RunFolder(tmp_path / "run").is_run
    assert RunFolder(tmp_path / "run-2").is_run


def test_a_loop_without_epochs_and_batches_is_counted(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=2)
    optimizer = optimizer_of(run)
    with run:
        for _ in range(2):
            run.begin_epoch()
            for step, (images, labels) in enumerate(train_loader()):
                run.begin_batch((images, labels))
                run.step(plain(model, optimizer, images, labels, step).item())
            run.end_epoch(val_loss=0.3, val_accuracy=0.9)
    epochs = of_type(tmp_path / "run", EpochDone)
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[0].train_accuracy > 0.1
    assert len(of_type(tmp_path / "run", StepDone)) == 20


def test_a_loop_over_range_has_its_epochs_by_the_passes_over_the_loader(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=2)
    optimizer, loader = optimizer_of(run), train_loader()
    with run:
        for _ in range(2):
            for step, (images, labels) in enumerate(run.batches(loader)):
                run.step(plain(model, optimizer, images, labels, step))
            run.validate(val_loader())
    epochs = of_type(tmp_path / "run", EpochDone)
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert all(epoch.val_accuracy is not None for epoch in epochs)


class Endless(IterableDataset[Any]):
    """A dataset without a length."""

    def __iter__(self) -> Any:
        return iter(zip(*digits()[0].tensors, strict=True))


def test_an_epoch_without_a_length_has_that_of_the_first(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=2)
    with run:
        train(model, optimizer_of(run), run, DataLoader(Endless(), 64))
    first, second = of_type(tmp_path / "run", RunStarted)
    assert (first.train_size, second.train_size) == (60_000, 640)
    assert len(of_type(tmp_path / "run", DatasetWarning)) == 1


def test_a_dataset_is_shuffled_and_needs_a_batch_size(tmp_path: Path) -> None:
    _, run = watched(tmp_path / "run", epochs=1)
    with run:
        with pytest.raises(TypeError, match="a Dataset needs a batch_size"):
            run.batches(digits()[0])
        batches = run.batches(digits()[0], batch_size=64)
        assert len(batches) == 10
        first = next(iter(batches))
    assert not torch.equal(first[1], digits()[0].tensors[1][:64])
    with pytest.raises(TypeError, match="no loader, but int"):
        run.batches(3)


def test_a_loop_in_another_thread_is_watched(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)

    def work() -> None:
        with run:
            train(model, optimizer_of(run), run)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert of_type(tmp_path / "run", RunFinished)[0].reason == "completed"


def test_a_non_finite_loss_is_a_divergence_and_training_continues(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model, lr=1e20)
    run = tui_trainer.watch(model, optimizer, epochs=2, out=tmp_path / "run", progress=False)
    with run:
        train(model, optimizer, run)
    assert len(of_type(tmp_path / "run", Diverged)) == 1
    assert of_type(tmp_path / "run", RunFinished)[0].reason == "completed"


def test_a_process_that_is_not_the_first_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    model, run = watched(tmp_path / "run", epochs=1)
    with run:
        losses = train(model, sgd(model), run)
        assert run.validate(val_loader()).total == 200
    assert len(losses) == 10
    assert run.folder is None
    assert not (tmp_path / "run").exists()


def test_a_copy_and_a_file_of_the_model_know_nothing_of_the_run(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)
    optimizer = optimizer_of(run)
    images, labels = digits()[0].tensors
    with run:
        plain(model, optimizer, images[:64], labels[:64], 1)
        run.step(0.5, labels=labels[:64])
        twin = copy.deepcopy(model)
        torch.save(model, tmp_path / "model.pt")
        copy.deepcopy(optimizer)
        loaded = torch.load(tmp_path / "model.pt", weights_only=False)
        for other in (twin, loaded):
            plain(other, sgd(other), images[:64], labels[:64], 1)
        plain(model, optimizer, images[:64], labels[:64], 2)
        run.step(0.4, labels=labels[:64])
    assert b"tui_trainer" not in (tmp_path / "model.pt").read_bytes()
    assert len(of_type(tmp_path / "run", StepDone)) == 2


def test_a_run_without_a_step_leaves_nothing(tmp_path: Path) -> None:
    _, run = watched(tmp_path / "run", epochs=1)
    with run:
        assert run.folder == tmp_path / "run"
    assert not (tmp_path / "run").exists()


def test_resume_continues_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "UNNOTICED", math.inf)  # a busy machine saves each epoch, too
    model, run = watched(tmp_path / "whole", epochs=4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer_of(run), 1, 0.7)
    with run:
        whole = train(model, optimizer_of(run), run, scheduler=scheduler)

    def again(epochs: int, fails: int, resumes: bool) -> tuple[Net, list[Tensor]]:
        torch.manual_seed(0 if not resumes else 99)
        net = Net()
        optimizer = sgd(net)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
        options: dict[str, Any] = {"out": tmp_path / "parts", "progress": False}
        run = tui_trainer.watch(net, optimizer, epochs=epochs, scheduler=scheduler, **options)

        def before(step: int) -> None:
            if step == fails:
                raise RuntimeError("the power is gone")

        with run:
            assert run.resume() is resumes
            return net, train(net, optimizer, run, scheduler=scheduler, before_step=before)

    with pytest.raises(RuntimeError, match="the power is gone"):
        again(4, 26, resumes=False)
    net, losses = again(4, -1, resumes=True)
    assert are_equal(tensors_of(net), tensors_of(model))
    assert [float(loss) for loss in losses] == [float(loss) for loss in whole[20:]]
    steps = of_type(tmp_path / "parts", StepDone)
    assert [step.step for step in steps] == list(range(1, 41))
    assert RunFolder(tmp_path / "parts").read_summary().epochs_done == 4


def test_resume_names_what_does_not_fit(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "run", epochs=1)
    with run:
        train(model, optimizer_of(run), run)
    other = Net(width=4)
    run = tui_trainer.watch(other, sgd(other), epochs=2, out=tmp_path / "new", progress=False)
    with pytest.raises(InputError, match=r"does not fit the model: conv1\.weight is"):
        run.resume(tmp_path / "run")
    with pytest.raises(InputError, match="has no checkpoint of a complete epoch"):
        run.resume(tmp_path / "nothing")
    run.finish()


def test_labels_and_outputs_of_many_kinds_have_an_accuracy() -> None:
    from tui_trainer.watching.evaluation import per_example, share_correct

    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    classes = torch.tensor([0, 1])
    one_hot = F.one_hot(classes, 3).float()
    for labels in (classes, classes.int(), classes.float(), classes[:, None], one_hot):
        share = share_correct(logits, labels)
        assert share is not None
        assert float(share) == 0.5
        assert per_example(logits, labels) is not None
    single = torch.tensor([[2.0], [-1.0]])
    assert float(share_correct(single, torch.tensor([1.0, 1.0])) or 0.0) == 0.5
    assert float(share_correct(single, torch.tensor([[1], [0]])) or 0.0) == 1.0
    pixels = torch.zeros(2, 3, 4, 4)
    pixels[:, 1] = 1.0
    assert float(share_correct(pixels, torch.ones(2, 4, 4, dtype=torch.int64)) or 0.0) == 1.0
    assert share_correct(logits, torch.tensor([1, 2, 0])) is None
    assert share_correct(None, classes) is None


def test_the_api_is_small() -> None:
    public = {name for name in vars(WatchedRun) if not name.startswith("_")}
    assert public - {"check"} == {
        *("attach", "batches", "begin_batch", "begin_epoch", "begin_pass", "end_epoch"),
        *("end_pass", "end_with", "epochs", "finish", "folder", "give_up", "log", "resume"),
        *("should_stop", "step", "validate"),
    }
