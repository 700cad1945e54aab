"""A run on color images as plain PyTorch: its input, its augmentation, its model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.color_files import write_arrays
from tests.data.binary_files import make_images, write_binary
from tests.data.matlab_files import svhn_bytes
from tests.export.programs import (
    Draws,
    Trained,
    complaints_of_ruff,
    namespace_of,
    run_of,
    started_of,
)
from tui_trainer.cli.program_data import data_files
from tui_trainer.data.binary_files import BINARY_FORMATS
from tui_trainer.data.dataset import Data, HeldOutTest, Split
from tui_trainer.data.downloads import fetch
from tui_trainer.data.image_store import ImageStore
from tui_trainer.data.published_datasets import plan_of
from tui_trainer.engine.batches import rng_for
from tui_trainer.export.source_code.program import program
from tui_trainer.export.source_code.zoo_model import zoo_source
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.config import RunConfig

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
COLORFUL = {"channels": 3, "image_size": 32, "mean": MEAN, "std": STD, "classes": 3}


def recipe_of(config: RunConfig, **started: Any) -> Any:
    return Trained(config, [started_of(config, **started)], {}).recipe(files=None, folder="")


def program_of(recipe: Any) -> Any:
    started = recipe.started
    source = zoo_source(
        recipe.config.model,
        image_size=started.image_size,
        classes=started.classes,
        dropout=None,
        channels=started.channels,
    )
    return program(recipe, source)


def data_of(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Data:
    split = Split(images, torch.zeros(len(images), dtype=torch.int64))
    return Data(
        name="any",
        classes=3,
        image_size=images.shape[-1],
        train=split,
        val=split,
        test=HeldOutTest(split),
        mean=mean,
        std=std,
        channels=len(mean),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": "color"},
        {"augment": "none", "flip": 0.3},
        {"augment": "none", "pad_shift": 3},
        {"augment": "none", "jitter": 0.4},
        {"augment": "none", "cutout": 9},
        {"augment": "light"},
        {"augment": "color", "rotate": 20.0, "scale": 0.1, "jitter": 0.2, "cutout": 12},
        {"augment": "color", "resize_until": 0.5, "resize_to": 20, "cutout": 8},
        {"augment": "light", "flip": 0.5, "resize_until": 0.5, "resize_to": 40},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.sampled(2)
def test_with_the_random_numbers_of_the_engine_it_augments_to_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], channels: int
) -> None:
    config = RunConfig(model="pico", dataset="fashion-mnist", **changes)
    mean, std = MEAN[:channels], STD[:channels]
    started = {**COLORFUL, "channels": channels, "mean": mean, "std": std}
    recipe = recipe_of(config, **started)
    written = program_of(recipe)
    (tmp_path / "train.py").write_text(written.script, encoding="utf-8")
    names = namespace_of(written)
    shape = (24, 3, 32, 32) if channels == 3 else (24, 32, 32)
    images = torch.randint(256, shape, dtype=torch.uint8)
    data = data_of(images, mean, std)

    for size in (None, config.resize_to) if config.resize_until else (None,):
        rng = rng_for(config.seed, "augmentation")
        expected = data.prepare(images, config.augmentation, rng, size)
        with monkeypatch.context() as patch:
            draws = Draws(recipe, is_resized=size is not None)
            patch.setattr(torch, "rand", draws.next_row)
            options = {} if not config.resize_until else {"size": size}
            found = names["prepare"](images, augmented=True, **options)
            assert next(draws.rows, None) is None
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(names["prepare"](images), data.prepare(images))
    assert complaints_of_ruff(tmp_path) == ""


def test_names_and_statistics_of_any_length_are_constants(tmp_path: Path) -> None:
    names = tuple(f'class "{number}" \\N{{x}} \u202e 漢' for number in range(40))
    config = RunConfig(model="pico", dataset="fashion-mnist")
    third = (1 / 3, 2 / 3, 0.1 + 0.2)
    recipe = recipe_of(config, **{**COLORFUL, "mean": third, "class_names": names})
    written = program_of(recipe)
    (tmp_path / "train.py").write_text(written.script, encoding="utf-8")

    found = namespace_of(written)

    assert found["CLASSES"] == names
    assert found["MEAN"] == third
    assert complaints_of_ruff(tmp_path) == ""
    assert dataclasses.replace(recipe.started).channels == 3


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "svhn", "stl10"])
def test_a_known_color_dataset_is_read_as_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    """CIFAR's binary files are read as they are; the others through torchvision."""
    datasets: Any = import_torchvision().datasets
    cache = plan_of(dataset, tmp_path).raw
    size = 96 if dataset == "stl10" else 32
    if dataset == "svhn":
        cache.mkdir()
        for split, total in (("train", 30), ("test", 20)):
            content = svhn_bytes(*make_images(total, seed=total))
            (cache / f"{split}_32x32.mat").write_bytes(content)
            # torchvision has no folder for it.
            (tmp_path / f"{split}_32x32.mat").write_bytes(content)
    else:
        kind = {each.name: each for each in BINARY_FORMATS}[dataset]
        write_binary(cache / kind.folder, kind, per_file=200 if dataset == "cifar100" else 30)
        if dataset == "stl10":
            write_binary(tmp_path / kind.folder, kind, per_file=30)
    # Its checksums are those of the published files.
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.svhn, "check_integrity", lambda *arguments: True)
    monkeypatch.setattr(datasets.svhn, "download_url", lambda *arguments: None)
    config = RunConfig(model="pico", dataset=dataset)
    recipe = recipe_of(config, **{**COLORFUL, "image_size": size, "classes": 10})
    written = program_of(recipe)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train.py").write_text(written.script, encoding="utf-8")
    with pytest.raises(StopIteration) as caught:
        next(fetch(dataset, tmp_path, ImageStore(tmp_path / "store")))
    expected = caught.value.value

    loaded = namespace_of(written)["load_split"]

    for is_train, images, labels in (
        (True, expected.train_images, expected.train_labels),
        (False, expected.test_images, expected.test_labels),
    ):
        found = loaded(tmp_path, is_train)
        assert found[0].contiguous().numpy().tobytes() == bytes(images)
        assert found[1].tolist() == list(labels)
    assert complaints_of_ruff(tmp_path / "here") == ""


def test_with_the_random_numbers_of_a_run_on_color_images_it_trains_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_arrays(tmp_path / "shapes.npz")
    config = RunConfig(
        model="pico",
        data_dir=str(data),
        augment="color",
        rotate=10.0,
        jitter=0.2,
        device="cpu",
        threads=1,
        epochs=2,
        batch_size=16,
        lr=0.02,
        probes=False,
    )
    run = run_of(config)
    files, has_val = data_files(config, run.started.classes)
    recipe = run.recipe(files=files, has_val=has_val, folder=data.name)
    written = program_of(recipe)
    names, draws = namespace_of(written), Draws(recipe)

    train_set, val_set, _ = names["load_data"](str(data))
    torch.manual_seed(names["SEED"])
    model = eval(written.build, names).to(memory_format=torch.channels_last)
    monkeypatch.setattr(torch, "randperm", draws.next_order)
    monkeypatch.setattr(torch, "rand", draws.next_row)
    names["train"](model, train_set, val_set)

    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, run.weights[name], rtol=2e-3, atol=2e-4)
    assert len(train_set[1]) == run.started.train_size
