"""Several processes train like one: the same batches, in step, and again after a resume."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distributed import scenarios
from tests.distributed.processes import TIMEOUT, as_rank, free_port, torchrun
from tests.distributed.scenarios import SCENARIOS, STOPPED_AT, Scenario
from tests.faults.forks import Child
from tests.faults.runs import differing
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.protocol.events import Event, StepDone
from tui_trainer.recording.checkpoint_head import SUFFIX

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@dataclass(frozen=True, slots=True)
class Trained:
    """What all scenarios have left, in so many processes.

    Attributes:
        count: The number of processes.
        out: The folder with the checkpoints and records of each.
        data: The folder of the dataset.
    """

    count: int
    out: Path
    data: Path

    def last(self, name: str) -> Checkpoint:
        """Return the last checkpoint of a scenario."""
        return read_checkpoint(self.out / name / f"last{SUFFIX}")

    def events(self, name: str, kind: str, rank: int = 0) -> list[dict[str, Any]]:
        """Return the events of a scenario in a process."""
        return [event for event in self._record(name, rank)["events"] if event["event"] == kind]

    def parts(self, name: str) -> list[list[tuple[int, list[int], float]]]:
        """Return for each step the shares of all processes."""
        everyone = [self._record(name, rank)["parts"] for rank in range(self.count)]
        return [list(step) for step in zip(*everyone, strict=True)]

    def models(self, name: str) -> list[str]:
        """Return a digest of the weights and buffers of each process."""
        return [self._record(name, rank)["model"] for rank in range(self.count)]

    def _record(self, name: str, rank: int) -> Any:
        return json.loads((self.out / f"{name}-{rank}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)], ids=["2", "3"])
def trained(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """All scenarios, trained in so many processes."""
    out = tmp_path_factory.mktemp(f"ranks-{request.param}")
    alone = Scenario("stopped-alone", BY_NAME["stopped"].settings, BY_NAME["stopped"].commands)
    alone.train(out, tiny)
    if request.param == 2:
        train_forked(request.param, out, tiny)
    else:
        with torchrun(
            request.param, str(out), str(tiny), cwd=out, module="tests.distributed.scenarios"
        ) as running:
            done = running.wait()
        assert done.code == 0, done.err
    return Trained(request.param, out, tiny)


def train_forked(count: int, out: Path, data: Path) -> None:
    """Train all scenarios as torchrun does, in processes that need not load torch again."""
    work = partial(scenarios.main, out, data)
    port = free_port()
    children = [
        Child(partial(as_rank, rank, count, port, work), out / f"output-{rank}")
        for rank in range(count)
    ]
    for child in children:
        ended = child.wait(TIMEOUT)
        assert ended.code == 0, ended.err


@pytest.fixture(scope="module")
def alone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, list[Event]]:
    """The scenario ``plain`` in one process."""
    out = tmp_path_factory.mktemp("alone")
    events, state = BY_NAME["plain"].train(out, tiny)
    return state, events


def test_every_example_comes_once_an_epoch(trained: Trained) -> None:
    sizes = []
    for step in trained.parts("plain"):
        (count,) = {count for count, _, _ in step}
        counted = sorted(place for _, places, weight in step if weight for place in places)
        assert counted == list(range(count))
        assert sum(weight for _, _, weight in step) == pytest.approx(1.0)
        assert all(weight in (0.0, len(places) / count) for _, places, weight in step)
        sizes.append(count)
    assert sizes == [36, 36, 36, 2] * 5


def test_without_batch_norm_and_dropout_the_weights_are_those_of_one_process(
    trained: Trained, alone: tuple[Checkpoint, list[Event]]
) -> None:
    checkpoint, events = alone
    several = trained.last("plain")
    assert several.metadata["processes"] == trained.count
    for name, tensor in checkpoint.part("model").items():
        assert torch.allclose(several.part("model")[name], tensor, rtol=1e-4, atol=1e-6), name
    steps = [event for event in events if isinstance(event, StepDone)]
    mine = trained.events("plain", "StepDone")
    assert [step["accuracy"] for step in mine] == [step.accuracy for step in steps]
    assert [step["batch_size"] for step in mine] == [step.batch_size for step in steps]
    assert [step["loss"] for step in mine] == pytest.approx([step.loss for step in steps], 1e-5)


def test_all_processes_report_the_same(trained: Trained) -> None:
    for kind in ("StepDone", "SettingChanged", "EpochDone"):
        first, *others = (
            [_without_clock(event) for event in trained.events("whole", kind, rank)]
            for rank in range(trained.count)
        )
        assert first
        assert all(other == first for other in others), kind


@pytest.mark.parametrize("name", ["plain", "whole", "resumed", "custom"])
def test_all_processes_have_the_same_weights_and_buffers(name: str, trained: Trained) -> None:
    assert len(set(trained.models(name))) == 1


def test_commands_hold_in_all_processes(trained: Trained) -> None:
    changes = [
        (event["setting"], event["new"], event["step"])
        for event in trained.events("whole", "SettingChanged", rank=1)
    ]
    assert changes == [
        ("base_lr", 0.03, 3),
        ("batch_size", 24, 8),
        ("augmentation", 0, 8),
        ("augmentation", 1, 13),
        ("dropout", 0.3, 13),
    ]


def test_questions_change_nothing(trained: Trained) -> None:
    assert trained.events("asked", "Answered")
    assert trained.events("asked", "TestEvaluated")
    assert [event["state"] for event in trained.events("asked", "StateChanged")].count("testing")
    assert (
        differing(_trained_part(trained.last("asked")), _trained_part(trained.last("plain"))) == 0
    )


def test_fewer_images_than_processes_are_rejected_in_all_of_them(trained: Trained) -> None:
    for rank in range(trained.count):
        rejected = trained.events("asked", "CommandRejected", rank)[-1]
        assert rejected["command"] == "SetBatchSize"
        assert f"at least {trained.count}" in rejected["reason"]


def test_a_resumed_run_ends_with_the_same_bits(trained: Trained) -> None:
    assert trained.last("stopped").metadata["step"] == STOPPED_AT
    assert differing(trained.last("resumed"), trained.last("whole")) == 0


def test_one_process_resumes_a_run_of_several_and_several_one_of_one(trained: Trained) -> None:
    several = trained.last("resumed-from-one")
    scenario = Scenario(
        "by-one", BY_NAME["resumed"].settings, BY_NAME["resumed"].commands, "stopped"
    )
    scenario.train(trained.out, trained.data)
    one = trained.last("by-one")
    assert (one.metadata["processes"], several.metadata["processes"]) == (1, trained.count)
    assert (
        one.metadata["step"] == several.metadata["step"] == trained.last("whole").metadata["step"]
    )


def test_all_processes_see_a_divergence(trained: Trained) -> None:
    steps = [
        trained.events("diverged", "Diverged", rank)[0]["step"] for rank in range(trained.count)
    ]
    assert len(set(steps)) == 1


def _trained_part(state: Checkpoint) -> Checkpoint:
    """Return the weights, and what has been shown: not the counted evaluations."""
    return Checkpoint({"step": state.metadata["step"]}, state.part("model"))


def _without_clock(event: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in event.items() if k not in ("seconds", "images_per_second")}
