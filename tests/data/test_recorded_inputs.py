"""Inputs of any shape that are kept from the batches of a training loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.data.recorded_inputs import (
    FILE,
    MOST_TRAINING,
    InputCollector,
    class_labels,
    read_inputs,
)
from tui_trainer.models.input_spec import InputSpec, unpack_inputs
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError

CPU = torch.device("cpu")

INPUTS = {
    "color images": torch.rand(20, 3, 8, 6),
    "signals": torch.rand(20, 2, 50),
    "tokens": torch.arange(20 * 5).view(20, 5),
    "features": torch.rand(20, 7),
    "doubles": torch.rand(20, 4, dtype=torch.float64),
    "halves": torch.rand(20, 4).half(),
    "bytes": torch.randint(256, (20, 1, 4, 4), dtype=torch.uint8),
}


def _loaded(folder: Path) -> Data:
    loading = load(RunConfig(data_dir=str(folder)), CPU)
    try:
        while True:
            next(loading)
    except StopIteration as done:
        data: Data = done.value
        return data


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_come_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    inputs, labels = INPUTS[kind], torch.arange(20) % 4
    collector = InputCollector(kind)
    collector.training_batch(inputs[:12], labels[:12])
    collector.validation_batch(inputs[12:], labels[12:])
    recorded = collector.recorded()
    assert recorded is not None
    recorded.save(tmp_path)
    data = _loaded(tmp_path)
    assert (data.name, data.classes, len(data.train), len(data.val)) == (kind, 4, 12, 8)
    assert len(data.test) == 0
    prepared = data.prepare(data.train.images)
    assert prepared.dtype == inputs.dtype
    assert torch.equal(prepared, inputs[:12])
    assert torch.equal(data.val.images, inputs[12:])
    assert torch.equal(data.val.labels, labels[12:])
    assert data.fingerprint == recorded.fingerprint


def test_its_shape_is_that_of_an_image_or_a_row() -> None:
    def shape(inputs: Tensor) -> tuple[int, int, int]:
        collector = InputCollector()
        collector.training_batch(inputs, torch.zeros(len(inputs), dtype=torch.int64))
        recorded = collector.recorded()
        assert recorded is not None
        return recorded.shape

    assert shape(INPUTS["color images"]) == (8, 6, 3)
    assert shape(INPUTS["signals"]) == (1, 2, 50)
    assert shape(INPUTS["tokens"]) == (1, 1, 5)


def test_a_collector_is_bounded_and_keeps_each_split_once() -> None:
    collector, labels = InputCollector(), torch.zeros(100, dtype=torch.int64)
    for number in range(8):
        collector.training_batch(torch.full((100, 2), float(number)), labels)
    assert not collector.wants_training
    collector.validation_batch(torch.rand(100, 2), labels)
    collector.end_validation()
    collector.validation_batch(torch.rand(100, 2), labels)
    recorded = collector.recorded()
    assert recorded is not None
    assert (len(recorded.train), len(recorded.val)) == (MOST_TRAINING, 100)


def test_it_keeps_copies() -> None:
    collector, inputs = InputCollector(), torch.ones(4, 3)
    collector.training_batch(inputs, torch.zeros(4, dtype=torch.int64))
    inputs.zero_()
    recorded = collector.recorded()
    assert recorded is not None
    recorded.prepare(recorded.train.images).zero_()
    assert bool((recorded.train.images == 1).all())


def test_several_arguments_of_one_shape_are_recorded_together(tmp_path: Path) -> None:
    ids, mask = torch.randint(50, (6, 4)), torch.ones(6, 4, dtype=torch.int64)
    collector, labels = InputCollector(), torch.arange(6) % 2
    collector.training_batch({"ids": ids, "mask": mask, "labels": labels, "x": None}, labels)
    recorded = collector.recorded()
    assert recorded is not None
    recorded.save(tmp_path)
    data = read_inputs(tmp_path, CPU)
    assert data.names == ("ids", "mask")
    assert torch.equal(data.train.images[:, 0], ids)
    assert data.spec.limits == (int(ids.max()) + 1, 2)
    assert InputSpec.read({"input": json.loads(json.dumps(data.spec.plain))}) == data.spec
    noise = data.spec.noise(200)
    assert int(noise[:, 1].max()) == 1

    class Takes(nn.Module):
        def forward(self, ids: Tensor, *, mask: Tensor) -> Tensor:
            return ids * mask

    assert torch.equal(unpack_inputs(Takes(), ("0", "mask"))(data.train.images), ids)


def test_examples_of_another_shape_are_left_out() -> None:
    collector = InputCollector()
    collector.training_batch(torch.zeros(4, 7, dtype=torch.int64), torch.zeros(4))
    collector.training_batch(torch.zeros(5, 9, dtype=torch.int64), torch.zeros(5))
    assert (collector.size, collector.left_out, collector.unavailable) == (4, 5, "")


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        ({"ids": torch.zeros(4, 3), "mask": torch.zeros(4, 9)}, torch.zeros(4), "(ids, mask)"),
        (torch.zeros(4, 3), torch.rand(4), "not one class per example"),
        (torch.zeros(4, 3), torch.zeros(4, 3, 3), "not one class per example"),
        (torch.zeros(4, 3), torch.zeros(5), "4 inputs, but 5 labels"),
        (["a", "b"], torch.zeros(2), "a list of 2 values"),
    ],
)
def test_what_cannot_be_kept_has_a_reason(inputs: object, labels: Tensor, words: str) -> None:
    collector = InputCollector()
    collector.training_batch(inputs, labels)
    assert words in collector.unavailable
    assert collector.recorded() is None
    assert not collector.wants_training


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([1, 0, 2]),
        torch.tensor([[1], [0], [2]]),
        torch.tensor([1.0, 0.0, 2.0]),
        torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        torch.tensor([[0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.0, 0.1, 0.9]]),
        torch.tensor([[-1.0, 1, -1], [1, -1, -1], [-1, -1, 1]]),
    ],
)
def test_labels_become_classes(labels: Tensor) -> None:
    classes = class_labels(labels)
    assert classes is not None
    assert classes.tolist() == [1, 0, 2]


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no safetensors")
    with pytest.raises(InputError, match="corrupted"):
        read_inputs(tmp_path, CPU)
