"""Contexts of models for images in color, rendered by a script."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.color_images import CLASS_NAMES, color_images
from tests.lab.views.conftest import session_of
from tui_trainer.engine.run import Run

SIZE = 20
"""The images are small: the views and lessons take any size."""


def write_color_data(folder: Path) -> Path:
    """Write 270 training and 45 test images of nine classes to a file; return its path."""
    train, test = color_images(270, SIZE), color_images(45, SIZE, seed=1)
    path = folder / "shapes.npz"
    np.savez(
        path,
        x_train=train.pixels,
        y_train=train.labels,
        x_test=test.pixels,
        y_test=test.labels,
        class_names=np.array(CLASS_NAMES),
    )
    return path


def color_run(folder: Path, model: str = "small") -> Run:
    """Prepare a run on these images up to its first step."""
    data = str(write_color_data(folder))
    return session_of(model, data_dir=data, train_size=180, val_size=90)
