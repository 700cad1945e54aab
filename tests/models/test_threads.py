from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from tests.engine.conftest import MNIST
from tests.engine.runs import only
from tests.training import train
from tui_trainer.lab.ask import single_thread
from tui_trainer.models import zoo
from tui_trainer.models.threads import choose_threads, fastest_threads
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import RunStarted


class Machine:
    """A clock, and a step whose duration depends on the number of threads."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.tried: list[int] = []

    def __call__(self) -> float:
        return self.now

    def step(self) -> None:
        count = torch.get_num_threads()
        self.tried.append(count)
        self.now += self.seconds[count]


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 1.0, 2: 0.6}, 2),
        ({1: 1.0, 2: 3.0}, 1),
        ({1: 1.0, 2: 0.98}, 1),  # not worth a second core
        ({1: 1.0, 2: 0.6, 4: 0.4, 6: 0.39}, 4),
        ({1: 1.0, 2: 0.6, 4: 0.4, 6: 0.3}, 6),
    ],
)
def test_the_fewest_threads_that_are_fast(seconds: dict[int, float], chosen: int) -> None:
    machine = Machine(seconds)

    assert fastest_threads(machine.step, max(seconds), clock=machine) == chosen
    assert torch.get_num_threads() == chosen
    assert set(machine.tried) == set(seconds)


def test_one_slow_measurement_does_not_count() -> None:
    machine = Machine({1: 1.0, 2: 0.6})

    def step() -> None:
        machine.step()
        if len(machine.tried) == 2:
            machine.now += 50.0

    assert fastest_threads(step, 2, clock=machine) == 2


def test_with_one_core_nothing_is_timed() -> None:
    machine = Machine({1: 1.0})

    assert fastest_threads(machine.step, 1, clock=machine) == 1
    assert machine.tried == []


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_choosing_threads_preserves_model_and_rng_state() -> None:
    model = zoo.build("era-s6-dropout", image_size=8, classes=10)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images, labels = torch.rand(8, 1, 8, 8), torch.zeros(8, dtype=torch.int64)
    rng = torch.get_rng_state()

    assert choose_threads(model, images, labels) in (1, 2)

    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(weights[name], t) for name, t in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("seconds", "count"), [(0.0, 100), (1.0, 32)])
def test_a_slow_model_is_timed_with_fewer_images(
    seconds: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    seen: list[int] = []

    class Model(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            nonlocal now
            now += seconds
            seen.append(len(images))
            return super().forward(images.flatten(1))

    monkeypatch.setattr("tui_trainer.models.threads.copy_model", lambda model: model)
    images, labels = torch.rand(100, 1, 4, 4), torch.zeros(100, dtype=torch.int64)

    choose_threads(Model(16, 10), images, labels, clock=lambda: now)

    assert (seen[0], set(seen[1:])) == (32, {count})


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("threads", [None, 1])
def test_a_given_number_of_threads_is_not_timed(
    threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fake(step: Callable[[], object], most: int, **more: object) -> int:
        tried.append(most)
        return 2

    monkeypatch.setattr("tui_trainer.models.threads.fastest_threads", fake)
    config = RunConfig(
        model="small", data_dir=str(MNIST), train_size=50, epochs=1, threads=threads, device="cpu"
    )
    started = only(RunStarted, [next(e for e in train(config, Inbox()) if _is_start(e))])

    assert (tried, started.threads) == (([2], 2) if threads is None else ([], 1))


def _is_start(event: object) -> bool:
    return isinstance(event, RunStarted)


def test_one_thread_works_alone_and_the_others_come_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(ValueError), single_thread():
            assert torch.get_num_threads() == 1
            raise ValueError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
