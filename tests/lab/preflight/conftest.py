from __future__ import annotations

import pytest

from tests.data.idx_files import write_dataset
from tests.lab.preflight.check_contexts import SETTINGS, SIDE, loaded
from tui_trainer.data.dataset import Data
from tui_trainer.protocol.config import RunConfig


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """1,200 training images (300 validate) of 12×12 pixels, ten classes."""
    folder = write_dataset(tmp_path_factory.mktemp("check"), size=SIDE, train=1_500, test=20)
    return loaded(RunConfig(**SETTINGS, data_dir=str(folder), val_size=300))
