"""Read the dataset of a run: packaged, downloaded, from a folder, or recorded from a script."""

from __future__ import annotations

from collections.abc import Generator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import torch

from tui_trainer.data.dataset import Data
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import path_error
from tui_trainer.protocol.events import (
    DatasetWarning,
    DecodeProgress,
    DownloadProgress,
    StateChanged,
)

if TYPE_CHECKING:
    from tui_trainer.data.idx import RawDataset

FLIPPED = (
    "its images are digits or letters, and augmentation flips them: mirrored, many are others, or "
    "none; --flip 0 leaves them as they are"
)
"""The warning about a horizontal flip that changes the class of an image."""


def load(
    config: RunConfig, device: torch.device
) -> Generator[DownloadProgress | DecodeProgress | DatasetWarning | StateChanged, None, Data]:
    """Read the dataset of a run and return it; yield progress, warnings, and where images are.

    Raises:
        InputError: If the files are missing or damaged, or a split is too large.
    """
    if config.data_dir is not None:
        from tui_trainer.data.folder_formats import read_data_folder
        from tui_trainer.data.recorded_inputs import holds_inputs, read_inputs

        folder = _expanded(config.data_dir)
        if holds_inputs(folder):
            return read_inputs(folder, device)
        raw = yield from read_data_folder(folder, config)
        return (yield from _assembled(raw, config, device))
    from tui_trainer.data.folder_formats import refuse_picture_settings

    refuse_picture_settings(config, f"--dataset {config.dataset}")
    if config.dataset == "mnist":
        from tui_trainer.data.idx import read_folder

        with resources.as_file(resources.files("tui_trainer") / "datasets" / "mnist") as folder:
            raw = read_folder(folder, name="mnist")
    else:
        from tui_trainer.data.downloads import fetch
        from tui_trainer.data.image_store import store_for

        cache = platformdirs.user_cache_path("mnist-tui") / "datasets"
        raw = yield from fetch(config.dataset, cache, store_for(config.memory_share))
    return (yield from _assembled(raw, config, device))


def _assembled(
    raw: RawDataset, config: RunConfig, device: torch.device
) -> Generator[DatasetWarning | StateChanged, None, Data]:
    """Split a dataset; warn of a flip that changes classes, and report where many images are."""
    from tui_trainer.data.assembling import assemble

    if config.augmentation.flip and (config.has_glyphs or _are_characters(raw.class_names)):
        yield DatasetWarning(folder=raw.name, message=FLIPPED)
    data = assemble(raw, config, device)
    if data.residency is not None and data.residency.is_notable:
        yield StateChanged(state="preparing", step=0, detail=str(data.residency))
    return data


def _are_characters(names: tuple[str, ...]) -> bool:
    """Return whether each class is named by one letter or digit, as those of letters are."""
    return bool(names) and all(len(name) == 1 and name.isalnum() for name in names)


def _expanded(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise path_error(Path(folder), "no such user's home folder; give the whole path") from error
