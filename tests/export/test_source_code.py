"""A run as plain PyTorch: the same model, the same training, readable."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.idx_files import INT, idx_bytes, write_dataset
from tests.export.programs import (
    Draws,
    Trained,
    complaints_of_ruff,
    namespace_of,
    run_of,
    started_of,
)
from tui_trainer.data.dataset import stratified_split
from tui_trainer.data.downloads import fetch
from tui_trainer.data.idx import read_folder
from tui_trainer.data.image_store import ImageStore
from tui_trainer.export.source_code import Program
from tui_trainer.export.source_code.color_readers import TORCHVISION
from tui_trainer.export.source_code.program import program
from tui_trainer.export.source_code.zoo_model import zoo_source
from tui_trainer.models import zoo
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command
from tui_trainer.protocol.config import DATASETS, MODELS, RunConfig
from tui_trainer.protocol.schedules import factor

SMALL = RunConfig(
    model="pico", device="cpu", threads=1, epochs=2, batch_size=16, probes=False, lr=0.02
)


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "digits", gzip=False)


def program_of(run: Trained, **changes: Any) -> Program:
    recipe = run.recipe(**changes)
    started = recipe.started
    source = zoo_source(
        recipe.config.model,
        image_size=started.image_size,
        classes=started.classes,
        dropout=recipe.initial.get("dropout"),
    )
    return program(recipe, source)


# --- the model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(3)
def test_the_class_has_the_initial_weights_and_the_logits_of_the_model(name: str) -> None:
    dropouts = [None, 0.3] if zoo.REGISTRY[name].dropout is not None else [None]
    shapes = [(28, 1, 10), (12, 1, 3), (36, 3, 26)]
    for (size, channels, classes), dropout in itertools.product(shapes, dropouts):
        torch.manual_seed(3)
        model = zoo.build(
            name, image_size=size, classes=classes, dropout=dropout, channels=channels
        )
        source = zoo_source(
            name, image_size=size, classes=classes, dropout=dropout, channels=channels
        )
        names: dict[str, Any] = {"torch": torch, "nn": torch.nn}
        exec(source.code, names)
        torch.manual_seed(3)
        other = eval(source.build, names)

        assert list(other.state_dict()) == list(model.state_dict())
        for key, tensor in model.state_dict().items():
            assert torch.equal(other.state_dict()[key], tensor), (key, size)
        assert [repr(m) for m in other.children()] == [repr(m) for m in model.children()]
        images = torch.randn(3, channels, size, size)
        for module in (model, other):
            torch.manual_seed(4)
            module.train()
        torch.manual_seed(4)
        expected = model(images)
        torch.manual_seed(4)
        assert torch.equal(other(images), expected)  # dropout and batch statistics, too
        assert torch.equal(other.eval()(images), model.eval()(images))


# --- the training


later = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("changes", "steering"),
    [
        later({}, ()),
        later({"optimizer": "adam"}, ()),
        ({"optimizer": "adamw", "schedule": "cosine", "weight_decay": 0.05}, ()),
        later({"nesterov": False, "schedule": "constant", "augment": "none"}, ()),
        ({"momentum": 0.0, "nesterov": False, "schedule": "step", "step_size": 1}, ()),
        ({"label_smoothing": 0.1, "val_size": 0, "train_size": 40}, ()),
        later({"val_size": 0}, ()),
        ({"augment": "course", "augment_until": 0.6, "train_size": 40}, ()),
        ({"crop": 20, "crop_probability": 0.5, "shear": 8.0, "shift": 3.0}, ()),
        later({"rotate": 0.0, "scale": 0.2}, ()),
        ({"resize_until": 0.5, "resize_to": 24}, ()),
        later({"resize_until": 0.5, "resize_to": 24, "augment": "none"}, ()),
        ({"batch_size": 27}, ()),  # 55 training images: a single one is left
        later({"batch_size": 500}, ()),
        later({"model": "squeeze-dropout"}, ()),
        (
            {},
            (
                (1, commands.SetBaseLr(0.004)),
                (3, commands.SetBatchSize(9)),
                (5, commands.SetEpochs(4)),
            ),
        ),
        (
            {"model": "squeeze-dropout", "augment": "none"},
            ((0, commands.SetDropout(0.2)), (2, commands.SetDropout(0.4))),
        ),
        ({}, ((2, commands.SetAugmentation(False)), (6, commands.SetAugmentation(True)))),
        later(
            {"augment": "none"},
            ((0, commands.SetBaseLr(0.01)), (2, commands.SetAugmentation(True))),
        ),
        later({"schedule": "constant"}, ((4, commands.SetBaseLr(0.001)),)),
        later({}, ((7, commands.SetEpochs(3)), (8, commands.SetBaseLr(0.001)))),
    ],
    ids=str,
)
def test_with_the_random_numbers_of_the_run_it_trains_to_the_same_weights(
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    steering: tuple[tuple[int, Command], ...],
) -> None:
    run = run_of(dataclasses.replace(SMALL, data_dir=str(digits), **changes), *steering)
    written = program_of(run)
    (tmp_path / "train.py").write_text(written.script, encoding="utf-8")
    names, draws = namespace_of(written), Draws(run.recipe())

    train_set, val_set, test_set = names["load_data"](digits)
    torch.manual_seed(names["SEED"])
    # Dropout draws in the order of the memory, and the engine trains in this format.
    model = eval(written.build, names).to(memory_format=torch.channels_last)
    monkeypatch.setattr(torch, "randperm", draws.next_order)
    monkeypatch.setattr(torch, "rand", draws.next_row)
    names["train"](model, train_set, val_set)

    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, run.weights[name], rtol=2e-3, atol=2e-4)
    assert len(train_set[1]) == run.started.train_size
    assert len(test_set[1]) == run.started.test_size
    assert complaints_of_ruff(tmp_path) == ""


@pytest.mark.parametrize("schedule", ["step", "cosine", "one-cycle"])
def test_the_schedule_is_that_of_the_run(digits: Path, schedule: str) -> None:
    config = dataclasses.replace(
        SMALL, data_dir=str(digits), schedule=schedule, epochs=7, step_size=2, gamma=0.3
    )
    names = namespace_of(program_of(Trained(config, [started_of(config)], {})))

    for number in range(101):
        seen = 0.08 * number
        assert names["lr_factor"](seen, 7) == pytest.approx(factor(config, seen), abs=1e-9)


def test_the_split_is_that_of_the_run(digits: Path) -> None:
    config = dataclasses.replace(SMALL, data_dir=str(digits))
    names = namespace_of(program_of(Trained(config, [started_of(config)], {})))

    labels = torch.randint(7, (500,)).tolist()
    for count in (0, 1, 3, 77, 499, 500):
        assert names["stratified_split"](labels, count) == stratified_split(labels, count)


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name not in TORCHVISION])
def test_a_known_dataset_is_read_as_in_the_run(tmp_path: Path, dataset: str) -> None:
    """From the files that torchvision has downloaded, in its layout."""
    import_torchvision()
    names = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
    name = names.get(dataset, "QMNIST" if dataset == "qmnist" else "EMNIST")
    prefix = "" if dataset in names else f"{dataset}-"
    classes = {"emnist-letters": 26, "emnist-byclass": 62}.get(dataset, 10)
    raw = write_dataset(
        tmp_path / name / "raw", gzip=False, prefix=prefix, classes=classes, train=130, test=70
    )
    if dataset == "emnist-letters":  # its labels start at 1
        for path in raw.glob("*labels*"):
            content = path.read_bytes()
            path.write_bytes(content[:8] + bytes(label + 1 for label in content[8:]))
    if dataset == "qmnist":
        as_qmnist(raw)
    if dataset not in names:
        for path in raw.glob("*t10k*"):
            path.rename(path.with_name(path.name.replace("t10k", "test")))
    config = dataclasses.replace(SMALL, dataset=dataset)
    recipe = Trained(config, [started_of(config)], {}).recipe(files=None, folder="")
    source = zoo_source("pico", image_size=28, classes=classes, dropout=None)
    loaded = namespace_of(program(recipe, source))["load_split"]
    if dataset == "mnist":
        expected = read_folder(tmp_path, name=dataset)
    else:
        fetching = fetch(dataset, tmp_path, ImageStore(tmp_path))
        with pytest.raises(StopIteration) as caught:
            next(fetching)
        expected = caught.value.value

    for is_train, images, labels in (
        (True, expected.train_images, expected.train_labels),
        (False, expected.test_images, expected.test_labels),
    ):
        found = loaded(tmp_path, is_train)
        assert found[0].contiguous().numpy().tobytes() == images
        assert found[1].tolist() == labels.tolist()
    assert recipe.started.classes == 10


def as_qmnist(raw: Path) -> None:
    """Give labels eight columns of integers, as QMNIST has them."""
    for path in raw.glob("*labels*"):
        rows = [number for label in path.read_bytes()[8:] for number in (label, *[9] * 7)]
        content = idx_bytes([len(rows) // 8, 8], struct.pack(f">{len(rows)}i", *rows), code=INT)
        path.with_name(path.name.replace("idx1-ubyte", "idx2-int")).write_bytes(content)
        path.unlink()
