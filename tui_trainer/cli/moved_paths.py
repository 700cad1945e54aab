"""Paths of a recorded run that have changed: its model's file, its data folder."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tui_trainer.cli.options import option
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.reference import parse_reference
from tui_trainer.recording.folder import RunFolder
from tui_trainer.text.fmt import printable

ModelPath = Annotated[str | None, option("New path of the run's model, if it moved", "--model")]
DataPath = Annotated[str | None, option("New path of the run's data, if they moved", "--data-dir")]


@dataclass(frozen=True, slots=True)
class MovedPaths:
    """The new paths of a run's files, given by the user; None if unchanged."""

    model: str | None = None
    data_dir: str | None = None


def with_current_paths(config: RunConfig, folder: RunFolder, moved: MovedPaths) -> RunConfig:
    """Return a run's settings with its current paths.

    A missing file without a new path is searched at the same place relative to the run's folder:
    both may have moved together.

    Raises:
        InputError: If a path cannot be used; it names the option.
    """
    given = {"model": moved.model, "data_dir": moved.data_dir}
    found = with_changes(
        config, **{k: v for k, v in given.items() if v is not None}
    ).with_absolute_paths()
    reference = parse_reference(found.model)
    if moved.model is None and reference is not None and reference.is_file:
        found = replace(found, model=reference.at(_path_after_move(reference.place, folder)))
    if moved.data_dir is None and found.data_dir is not None:
        found = replace(found, data_dir=_path_after_move(found.data_dir, folder))
    return found


def with_changes(config: RunConfig, **changes: Any) -> RunConfig:
    """Return a run's settings with some changes.

    Raises:
        InputError: If a new value cannot be used; it names the option.
    """
    try:
        return replace(config, **changes)
    except SettingError as error:
        raise InputError(f"--{error.key.replace('_', '-')}: {error.problem}") from None


def check_model_path(config: RunConfig) -> None:
    """Check that the file of a custom model exists.

    Raises:
        InputError: If it does not; it names the option for the new path.
    """
    reference = parse_reference(config.model)
    if reference is not None and reference.is_file and not os.path.exists(reference.place):
        name = f"{Path(reference.place).name}:{reference.name}"
        raise InputError(
            f"{printable(reference.place)}: the run's model does not exist; give its new path: "
            f"--model PATH/{printable(name)}"
        )


def check_data_path(config: RunConfig) -> None:
    """Check that the data folder exists.

    Raises:
        InputError: If it does not; it names the option for the new path.
    """
    if config.data_dir is not None and not os.path.exists(config.data_dir):
        raise InputError(
            f"{printable(config.data_dir)}: the run's data do not exist; give the new path: "
            "--data-dir FOLDER"
        )


def _path_after_move(place: str, folder: RunFolder) -> str:
    """Return the path of a file that moved together with its run; the old path if not found.

    A file in the folder of the run itself belongs to that folder, wherever it is now.
    """
    recorded_in = ""
    with suppress(InputError):
        recorded_in = folder.read_summary().recorded_in
    is_inside = bool(recorded_in) and Path(place).is_relative_to(recorded_in)
    if os.path.exists(place) and not is_inside:
        return place
    with suppress(OSError, ValueError):  # on Windows, another drive
        way = os.path.relpath(place, recorded_in) if recorded_in else place
        for base in (os.path.abspath(folder.path), folder.path.resolve()):
            found = os.path.normpath(os.path.join(base, way))
            if os.path.exists(found):
                return found
    return place
