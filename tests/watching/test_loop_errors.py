"""Errors of real small loops, each with the loop that differs in nothing else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Subset, TensorDataset

import tui_trainer
from tests.watching.loops import Net, are_equal, digits, of_type, sgd, tensors_of, val_loader
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.loop_probed import LoopProbed
from tui_trainer.protocol.probed import SampleProbed, UpdateProbed
from tui_trainer.watching import WatchedRun

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, 10).float()


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 32), nn.ReLU(), nn.Linear(32, 10))


def loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(digits()[0], 32, **({"shuffle": True} | options))


class Loop:
    """A loop as a script would have it; each attribute is a place for an error.

    Attributes:
        order: The calls of a step: z for zero_grad, b for backward, u for the update.
    """

    def __init__(self, **changes: Any) -> None:
        self.model: nn.Module = mlp()
        self.optimizer: torch.optim.Optimizer | None = None
        self.loss: Loss = cross_entropy
        self.order = "zbu"
        self.lr = 0.05
        self.epochs = 3
        self.labels: Callable[[Tensor], Tensor] = lambda labels: labels
        self.loader: DataLoader[Any] = loader()
        self.val: DataLoader[Any] = val_loader()
        self.before_update: Callable[[nn.Module, Any], object] = lambda model, scheduler: None
        self.after_update: Callable[[Tensor, Any], object] = lambda loss, scheduler: None
        self.after_epoch: Callable[[Any], object] = lambda scheduler: None
        self.scheduler: Callable[[Any], Any] = lambda optimizer: None
        self.mode: Callable[[nn.Module], object] = lambda model: model.train()
        self.validate: Callable[[nn.Module, WatchedRun], object] | None = None
        vars(self).update(changes)

    def run(self, folder: Path) -> nn.Module:
        model = self.model
        optimizer = self.optimizer or sgd(model, self.lr)
        scheduler = self.scheduler(optimizer)
        with tui_trainer.watch(
            model, optimizer, epochs=self.epochs, out=folder, progress=False
        ) as run:
            for _ in run.epochs():
                self.mode(model)
                for images, labels in run.batches(self.loader):
                    logits = model(images)
                    loss = self.loss(logits, self.labels(labels))
                    for call in self.order:
                        if call == "z":
                            optimizer.zero_grad()
                        elif call == "b":
                            loss.backward()  # type: ignore[no-untyped-call]
                        else:
                            self.before_update(model, scheduler)
                            optimizer.step()
                    self.after_update(loss, scheduler)
                    run.step(loss, logits, labels)
                if self.validate is None:
                    run.validate(self.val)
                else:
                    self.validate(model, run)
                self.after_epoch(scheduler)
        return model


def raised(folder: Path) -> dict[str, str]:
    """Return the worst severity of each finding that a run has raised."""
    found: dict[str, str] = {}
    for event in of_type(folder, FindingRaised):
        if event.code == "few_steps":  # they are
            continue
        ranks = [found.get(event.code, "note"), event.severity]
        found[event.code] = min(ranks, key=("error", "warning", "note").index)
    return found


def last_of(folder: Path, code: str) -> FindingRaised:
    """Return the last version of a finding."""
    return [event for event in of_type(folder, FindingRaised) if event.code == code][-1]


def other_model() -> dict[str, Any]:
    model = mlp()
    return {"model": copy.deepcopy(model), "optimizer": sgd(model)}


def other_head() -> dict[str, Any]:
    model = Net()
    optimizer = sgd(model)
    model.fc = nn.Linear(32, 10)
    return {"model": model, "optimizer": optimizer}


def keep_all() -> dict[str, Any]:
    kept: list[Tensor] = []
    return {"after_update": lambda loss, scheduler: kept.append(loss)}


def add_up() -> dict[str, Any]:
    total = [torch.zeros(())]

    def add(loss: Tensor, scheduler: Any) -> None:
        total[0] = total[0] + loss

    return {"after_update": add}


def previous_labels() -> dict[str, Any]:
    last: list[Tensor] = []

    def labels(now: Tensor) -> Tensor:
        last.append(now)
        return last[-2] if len(last) > 1 else now

    return {"labels": labels}


def clipping(most: float, **changes: Any) -> dict[str, Any]:
    def clip(model: nn.Module, scheduler: Any) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), most)

    return {"before_update": clip, **changes}


def by_hand(*, evaluates: bool) -> Callable[[nn.Module, WatchedRun], object]:
    def validate(model: nn.Module, run: WatchedRun) -> None:
        model.train(not evaluates)
        correct = 0
        with torch.no_grad():
            for images, labels in val_loader():
                correct += int((model(images).argmax(dim=1) == labels).sum())
        run.log(val_correct=correct, val_total=200)

    return validate


def sorted_digits() -> DataLoader[Any]:
    images, labels = digits()[0].tensors
    order = labels.argsort(stable=True)
    return DataLoader(TensorDataset(images[order], labels[order]), 32)


def stepped(kind: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda optimizer: kind(optimizer, **options)


def step_it(first: Any, scheduler: Any) -> None:
    scheduler.step()


ERRORS: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "zero_grad is missing": ("no_zero_grad", "error", lambda: {"order": "bu"}),
    "zero_grad before step": ("cleared_gradients", "error", lambda: {"order": "bzu"}),
    "step before backward": ("step_before_backward", "error", lambda: {"order": "zub"}),
    "no step": ("no_update", "error", lambda: {"order": "zb"}),
    "no backward": ("no_loss_gradient", "error", lambda: {"order": "zu"}),
    "rebuilt model": ("other_parameters", "error", other_model),
    "rebuilt head": ("other_parameters", "error", other_head),
    "detached": (
        "no_loss_gradient",
        "error",
        lambda: {"loss": lambda z, y: F.cross_entropy(z.detach().requires_grad_(), y)},
    ),
    "negated": ("loss_negated", "error", lambda: {"loss": lambda z, y: -F.cross_entropy(z, y)}),
    "summed": (
        "loss_summed",
        "warning",
        lambda: {"loss": lambda z, y: F.cross_entropy(z, y, reduction="sum"), "lr": 0.1},
    ),
    "softmax": (
        "probabilities",
        "error",
        lambda: {"loss": lambda z, y: F.cross_entropy(z.softmax(dim=1), y)},
    ),
    "sigmoid": (
        "probabilities",
        "error",
        lambda: {
            "loss": lambda z, y: F.binary_cross_entropy_with_logits(z.sigmoid(), one_hot(y))
        },
    ),
    "axis": (
        "softmax_axis",
        "error",
        lambda: {"loss": lambda z, y: F.nll_loss(z.log_softmax(dim=0), y)},
    ),
    "likelihood of logits": (
        "loss_without_log",
        "error",
        lambda: {"loss": lambda z, y: F.nll_loss(z, y), "lr": 0.001},
    ),
    "labels of the last batch": ("loss_labels", "error", previous_labels),
    "rolled labels": ("loss_labels", "error", lambda: {"labels": lambda y: y.roll(1)}),
    "labels off by one": ("loss_labels", "error", lambda: {"labels": lambda y: (y + 1) % 10}),
    "strong clipping": ("clipped_gradients", "warning", lambda: clipping(0.005)),
    "kept losses": ("kept_graph", "warning", keep_all),
    "added losses": ("kept_graph", "warning", add_up),
    "validation in training mode": (
        "validation_in_training_mode",
        "warning",
        lambda: {"model": Net(), "validate": by_hand(evaluates=False)},
    ),
    "evaluation mode": (
        "evaluation_mode",
        "error",
        lambda: {"model": Net(), "mode": lambda model: model.eval()},
    ),
    "leak by index": (
        "leak",
        "error",
        lambda: {"val": DataLoader(Subset(digits()[0], range(100)), 50)},
    ),
    "leak by value": (
        "leak",
        "error",
        lambda: {"val": DataLoader(TensorDataset(*(t[:100] for t in digits()[0].tensors)), 50)},
    ),
    "not shuffled": ("not_shuffled", "error", lambda: {"loader": sorted_digits(), "epochs": 8}),
    "scheduler every batch": (
        "scheduler_pace",
        "warning",
        lambda: {
            "scheduler": stepped(lr_scheduler.StepLR, step_size=1, gamma=0.5),
            "after_update": step_it,
        },
    ),
    "scheduler every epoch": (
        "scheduler_pace",
        "warning",
        lambda: {
            "scheduler": stepped(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=60),
            "after_epoch": lambda scheduler: scheduler.step(),
        },
    ),
    "scheduler first": (
        "scheduler_order",
        "warning",
        lambda: {
            "scheduler": stepped(lr_scheduler.ExponentialLR, gamma=0.999),
            "before_update": step_it,
        },
    ),
    "scheduler unused": (
        "scheduler_unused",
        "warning",
        lambda: {"scheduler": stepped(lr_scheduler.StepLR, step_size=1)},
    ),
    "double": (
        "double_precision",
        "note",
        lambda: {
            "model": mlp().double(),
            "loader": DataLoader(TensorDataset(digits()[0].tensors[0].double()[:320],
                                               digits()[0].tensors[1][:320]), 32, shuffle=True),
            "validate": lambda model, run: None,
        },
    ),
}  # fmt: skip


QUICK = ("zero_grad before step", "softmax", "leak by index")
"""The errors that are tried each time …"""

QUICK_HEALTHY = ("plain", "sum with Adam")
"""… and the healthy loops."""


def cases(names: Iterable[str], quick: Collection[str]) -> list[Any]:
    """Return the cases, those that are not quick marked as slow."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", cases(ERRORS, QUICK))
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_an_error_of_a_loop_is_found(name: str, tmp_path: Path) -> None:
    code, severity, change = ERRORS[name]
    torch.manual_seed(0)
    Loop(**change()).run(tmp_path / "run")
    found = raised(tmp_path / "run")
    assert found.get(code) == severity, found
    others = {name for name, rank in found.items() if rank != "note"} - {code, "divergence"}
    assert not others
    if "divergence" in found:
        first = last_of(tmp_path / "run", "divergence").causes[0]
        assert first.code == last_of(tmp_path / "run", code).causes[0].code


def frozen() -> dict[str, Any]:
    model = Net()
    for parameter in model.conv1.parameters():
        parameter.requires_grad_(False)
    return {"model": model, "optimizer": sgd(model)}


def adam(**changes: Any) -> dict[str, Any]:
    model = mlp()
    return {"model": model, "optimizer": torch.optim.Adam(model.parameters(), 1e-3), **changes}


HEALTHY: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": dict,
    "adam": adam,
    "log-softmax": lambda: {"loss": lambda z, y: F.nll_loss(z.log_softmax(dim=-1), y)},
    "two log-softmaxes": lambda: {"loss": lambda z, y: F.cross_entropy(z.log_softmax(1), y)},
    "log of probabilities": lambda: {
        "loss": lambda z, y: F.nll_loss((z.softmax(dim=1) + 1e-8).log(), y)
    },
    "smoothing": lambda: {"loss": lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1)},
    "soft labels": lambda: {"loss": lambda z, y: F.cross_entropy(z, 0.9 * one_hot(y) + 0.01)},
    "binary cross-entropy": lambda: {
        "loss": lambda z, y: F.binary_cross_entropy_with_logits(z, one_hot(y))
    },
    "squares": lambda: {"loss": lambda z, y: F.mse_loss(z, one_hot(y))},
    "Brier score": lambda: {"loss": lambda z, y: F.mse_loss(z.softmax(dim=1), one_hot(y))},
    "sum with its learning rate": lambda: {
        "loss": lambda z, y: F.cross_entropy(z, y, reduction="sum"),
        "lr": 0.05 / 32,
    },
    "sum with Adam": lambda: adam(loss=lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "renumbered labels": lambda: {
        "loader": DataLoader(
            TensorDataset(digits()[0].tensors[0], digits()[0].tensors[1] + 1), 32, shuffle=True
        ),
        "labels": lambda y: y - 1,
        "validate": lambda model, run: None,
    },
    "merged labels": lambda: {"labels": lambda y: y // 2, "validate": lambda model, run: None},
    "frozen": frozen,
    "clipping sometimes": lambda: clipping(2.0),
    "clipping with Adam": lambda: clipping(0.1, **adam()),
    "numbers kept": lambda: {
        "after_update": lambda loss, scheduler, kept=[]: kept.append(loss.item())
    },
    "validation by hand": lambda: {"model": Net(), "validate": by_hand(evaluates=True)},
    "split by indices": lambda: {
        "loader": DataLoader(Subset(digits()[0], range(480)), 32, shuffle=True),
        "val": DataLoader(Subset(digits()[0], range(480, 640)), 80),
    },
    "scheduler every epoch": lambda: {
        "scheduler": stepped(lr_scheduler.StepLR, step_size=1, gamma=0.5),
        "after_epoch": lambda scheduler: scheduler.step(),
    },
    "scheduler every batch": lambda: {
        "scheduler": stepped(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=60),
        "after_update": step_it,
    },
    "schedulers in a row": lambda: {
        "scheduler": lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [
                lr_scheduler.LinearLR(optimizer, 0.1, total_iters=1),
                lr_scheduler.CosineAnnealingLR(optimizer, 2),
            ],
            [1],
        ),
        "after_epoch": lambda scheduler: scheduler.step(),
    },
}


@pytest.mark.parametrize("name", cases(HEALTHY, QUICK_HEALTHY))
def test_a_healthy_loop_gets_no_warning(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    Loop(**HEALTHY[name]()).run(tmp_path / "run")
    assert {code: rank for code, rank in raised(tmp_path / "run").items() if rank != "note"} == {}


def test_accumulated_gradients_are_no_missing_zero_grad(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = mlp()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=3, out=tmp_path / "run", progress=False) as run:
        for _ in run.epochs():
            for number, (images, labels) in enumerate(run.batches(loader())):
                loss = F.cross_entropy(model(images), labels)
                (loss / 4).backward()  # type: ignore[no-untyped-call]
                if number % 4 == 3:
                    optimizer.step()
                    optimizer.zero_grad()
                run.step(loss)
    assert "no_zero_grad" not in raised(tmp_path / "run")
    assert not any(probe.accumulated for probe in of_type(tmp_path / "run", UpdateProbed))


def test_a_closure_makes_its_gradients_within_the_update(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3)
    with tui_trainer.watch(model, optimizer, epochs=2, out=tmp_path / "run", progress=False) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader()):
                results: list[Tensor] = []

                def closure(images: Tensor = images, labels: Tensor = labels) -> Tensor:
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(images), labels)
                    loss.backward()  # type: ignore[no-untyped-call]
                    results.append(loss.detach())  # noqa: B023
                    return loss

                optimizer.step(closure)  # type: ignore[no-untyped-call]
                run.step(results[0])
    probes = [p for p in of_type(tmp_path / "run", LoopProbed) if not p.is_epoch]
    assert all(p.is_reached and p.update_gradient_norm for p in probes)
    assert "warning" not in raised(tmp_path / "run").values()


def test_the_probes_change_no_bit(tmp_path: Path) -> None:
    ends = []
    for number, probes in enumerate((True, False)):
        torch.manual_seed(0)
        model = Net()
        optimizer = sgd(model)
        with tui_trainer.watch(
            model, optimizer, epochs=2, out=tmp_path / f"{number}", progress=False, probes=probes
        ) as run:
            for _ in run.epochs():
                for images, labels in run.batches(loader()):
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(images), labels)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    run.step(loss)
        ends.append([*tensors_of(model), torch.get_rng_state()])
    assert are_equal(*ends)
    assert of_type(tmp_path / "0", SampleProbed)
    assert not of_type(tmp_path / "1", LoopProbed)


def test_a_copy_of_the_model_has_no_hooks_that_do_anything(tmp_path: Path) -> None:
    model = Net()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=1, out=tmp_path / "run", progress=False) as run:
        for _ in run.epochs():
            for images, labels in run.batches(loader()):
                loss = F.cross_entropy(model(images), labels)
                run.step(loss)
                break
            for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
                twin(images)
            assert run._watcher is not None
            assert not run._watcher.probes.probe().evaluated_images


def test_an_exception_in_a_hook_reaches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **named: Any) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("tui_trainer.watching.window.Window.begin_backward", fail)
    Loop(epochs=1).run(tmp_path / "run")
    assert capsys.readouterr().err.count("not watched any more: RuntimeError: out of order") == 1


def test_the_check_finds_a_softmax_and_leaves_everything_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Net(), nn.Softmax(dim=1))
    generator = torch.Generator().manual_seed(3)
    before = [*tensors_of(model), torch.get_rng_state(), generator.get_state()]
    run = tui_trainer.watch(model, sgd(model), epochs=2, out=tmp_path / "run", progress=False)
    items = run.check(loader(generator=generator))
    after = [*tensors_of(model), torch.get_rng_state(), generator.get_state()]
    assert are_equal(before, after)
    assert {item.code for item in items if item.severity == "error"} >= {"softmax"}
    assert all(item.code != "other_parameters" for item in items)


def test_the_check_names_what_it_cannot_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = mlp()
    run = tui_trainer.watch(model, sgd(model), epochs=1, out=tmp_path / "run", progress=False)
    run.check([torch.zeros(4, 1, 14, 14)])
    assert "the batches have no labels" in capsys.readouterr().err
    with run:
        for _ in run.epochs():
            for images, labels in run.batches(loader()):
                run.step(F.cross_entropy(model(images), labels))
    assert (tmp_path / "run" / "events.jsonl").is_file()
