"""Which data a folder has, and which settings they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.idx_files import write_dataset
from tests.data.pictures import picture, write_tree
from tui_trainer.data.folder_formats import FORMATS
from tui_trainer.data.loading import load
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import DatasetWarning


def read(**settings: Any) -> list[str]:
    """Read a dataset; return the warnings."""
    events = load(RunConfig(**settings), torch.device("cpu"))
    return [event.message for event in events if isinstance(event, DatasetWarning)]


def error_of(**settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(**settings)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_without_data_gets_a_list_of_what_can_be_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "train" / "cat").mkdir(parents=True)
    message = error_of(data_dir=str(tmp_path))

    assert message.startswith(f"{tmp_path}: holds no data to train on; looked for: MNIST-format")
    for each in FORMATS:
        assert each.what in message
    assert message.isprintable()


@pytest.mark.parametrize("settings", [{"image_size": 64}, {"fit": "pad"}, {"channels": 3}])
def test_data_of_one_size_refuse_the_settings_of_pictures(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    write_dataset(tmp_path, size=8)
    (name, value), *_ = settings.items()
    option = f"--{name.replace('_', '-')} {value}"

    assert error_of(data_dir=str(tmp_path), **settings) == (
        f"{option}: is for folders of pictures; the images of MNIST-format IDX files "
        "(train-images-idx3-ubyte, …) have one size and depth; leave it out"
    )
    assert error_of(**settings) == (
        f"{option}: is for folders of pictures; the images of --dataset mnist have one size and "
        "depth; leave it out"
    )


def test_a_folder_with_two_kinds_of_data_is_read_with_a_warning(tmp_path: Path) -> None:
    write_dataset(tmp_path, size=8)
    assert read(data_dir=str(tmp_path)) == []
    (tmp_path / "plots").mkdir()
    picture().save(tmp_path / "plots" / "1.png")
    assert read(data_dir=str(tmp_path)) == []

    write_tree(tmp_path)
    (warning,) = read(data_dir=str(tmp_path))
    assert warning.startswith("it also has folders of pictures, which are not read; to train on")
    assert warning.endswith(". It is read as: MNIST-format IDX files (train-images-idx3-ubyte, …)")


@pytest.mark.parametrize("above", ["archive", "archive/inner", "archive/inner/more"])
def test_data_in_a_folder_below_are_named(tmp_path: Path, above: str) -> None:
    """An archive often has a folder more around it than one expects."""
    (tmp_path / "__MACOSX").mkdir()
    write_tree(tmp_path / above)

    assert error_of(data_dir=str(tmp_path)).endswith(
        f"; {tmp_path / above} has data: name it instead"
    )


def test_arrays_in_a_folder_below_are_named(tmp_path: Path) -> None:
    write_dataset(tmp_path / "archive", size=8)
    (tmp_path / "circle").symlink_to("circle")

    assert error_of(data_dir=str(tmp_path)).endswith(
        f"; {tmp_path / 'archive'} has data: name it instead"
    )


def test_archives_are_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "Pets.ZIP").touch()

    assert error_of(data_dir=str(tmp_path)).endswith("; unpack Pets.ZIP, and name its folder")
    assert error_of(data_dir=str(tmp_path / "Pets.ZIP")).endswith(
        "not a folder; unpack it, and name the folder of the files, or an .npz file"
    )
