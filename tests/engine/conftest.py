from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tui_trainer.data.idx import RawDataset, read_folder

MNIST = Path(__file__).parents[2] / "tui_trainer" / "datasets" / "mnist"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 training images (10 validate) and 40 test images of 8×8 pixels, ten classes."""
    return write_dataset(tmp_path_factory.mktemp("tiny"), size=8, train=120, test=40)


@pytest.fixture(scope="session")
def mnist() -> RawDataset:
    """The real MNIST, read once."""
    return read_folder(MNIST, name="mnist")
