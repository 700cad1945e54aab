"""A folder for runs, and the first images of MNIST to train on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.border.commands import Lab
from tests.border.images import write_digits, write_idx


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    """Restore defaults, so that a model that changes the process fails only its own test."""
    streams = sys.stdout, sys.stderr
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    sys.stdout, sys.stderr = streams


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Six hundred training images and a hundred test images, and a folder for runs."""
    place = tmp_path_factory.mktemp("lab")
    return Lab(place, write_idx(place / "data"))


@pytest.fixture(scope="session")
def digits(lab: Lab) -> Path:
    """The test images as PNG files, named by their label."""
    folder = lab.place / "digits"
    write_digits(folder, 100)
    return folder
