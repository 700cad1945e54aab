"""What ``mnist-tui verify`` does, from its options: submissions, training, limits, jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tui_trainer.cli.train import compose_run
from tui_trainer.grading.limits import GB
from tui_trainer.grading.outcome import Outcome
from tui_trainer.grading.process import Limits
from tui_trainer.grading.submissions import Submission, check_model_name, submissions_in
from tui_trainer.protocol.config import MODELS, SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError, SettingError, path_error
from tui_trainer.protocol.reference import absolute, parse_reference
from tui_trainer.protocol.settings import option_of
from tui_trainer.recording.folder import RUNS, RunFolder, new_folder
from tui_trainer.recording.recorder import not_writable
from tui_trainer.recording.seed_group import SEEDS_FILE, seeds_from
from tui_trainer.text.fmt import printable

SECONDS, TRAINING_SECONDS = 120.0, 3_600.0
"""The time limit of a submission, without and with a training."""

MEMORY_GB = 4.0

_SECONDS_WITHIN = (0.1, 604_800.0)
_GB_WITHIN = (0.5, 1_000.0)

OF_IMAGES = ("image_size", "channels", "classes")
"""The settings of a folder of data that also describe the images of a check without training."""

OF_TRAINING = [name for name in SETTINGS if name not in ("model", *OF_IMAGES)]
"""The other settings of the training. ``--model`` names the class in each file."""


def find_submissions(place: str | None, model: str | None) -> tuple[list[Submission], Path | None]:
    """Return the submissions, and their folder; None for a single model.

    Raises:
        InputError: If there is none.
    """
    if place is None:
        raise InputError("verify: needs FILE.py, FILE.py:CLASS or a folder of submissions")
    if model is not None:
        check_model_name(model)
    path = Path(os.path.abspath(os.path.expanduser(place)))
    if _is_folder(path):
        if RunFolder(path).is_run or (path / SEEDS_FILE).exists():
            raise path_error(Path(place), "is a recorded run; give the file of its model")
        return submissions_in(path, model or ""), path
    return [_single(place, model)], None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _single(place: str, model: str | None) -> Submission:
    """Return the submission of a file, a module or a built-in model.

    Raises:
        InputError: If there is none.
    """
    reference = parse_reference(place)
    if reference is None:
        if place not in MODELS and os.path.exists(place):
            raise InputError(f"{printable(place)}: is no Python file; give FILE.py")
        try:
            RunConfig(model=place)
        except SettingError as error:
            raise InputError(error.problem) from None
    if model is not None:
        if reference is None or (reference.name and reference.name != model):
            raise InputError(f"--model {model}: the model is already given as {printable(place)}")
        place = reference.at("") and f"{reference.place}:{model}"
    full = absolute(place)
    found = parse_reference(full)
    if found is not None and found.is_file and not os.path.isfile(found.place):
        raise InputError(f"{printable(found.place)}: there is no such file")
    name = place if reference is None else Path(reference.place).name
    return Submission(printable(name), full)


def training_of(params: Mapping[str, Any]) -> RunConfig | None:
    """Return the settings of the training; None if nothing is trained.

    Raises:
        InputError: If a setting cannot be used, or is given although nothing is trained.
    """
    # These settings are about a folder; other datasets know their images and classes.
    unset = () if params["data_dir"] is not None else OF_IMAGES
    config = compose_run({**params, **dict.fromkeys(("model", *unset))})
    if config.target_accuracy is None:
        for key in ("last", "seeds", "out", "preset", "config", *OF_TRAINING):
            if params[key] is not None:
                raise InputError(
                    f"{option_of(key)}: needs --target-accuracy; without it nothing is trained"
                )
        return None
    try:
        config.check_target()
    except SettingError as error:
        raise InputError(f"{option_of(error.key)}: {error.problem}") from None
    seeds = params["seeds"]
    seeds_from(config.seed, 1 if seeds is None else seeds)
    return config.with_absolute_paths()


def limits_of(seconds: float | None, memory: float, *, is_trained: bool) -> Limits:
    """Return the limits of each submission.

    Raises:
        InputError: If an option cannot be used.
    """
    if seconds is None:
        seconds = TRAINING_SECONDS if is_trained else SECONDS
    for option, value, (low, high) in (
        ("--time-limit", seconds, _SECONDS_WITHIN),
        ("--memory-limit", memory, _GB_WITHIN),
    ):
        if not low <= value <= high:
            raise InputError(f"{option} {value:g}: choose from {low:g} to {high:,.0f}")
    return Limits(seconds, int(memory * GB))


class Jobs:
    """Makes the job of a submission, and the folder for its runs.

    Args:
        common: What all jobs have.
        training: The settings of the training; None to train nothing.
        seeds: The number of seeds.
        out: The folder for the runs; None for a new one in ``runs`` for each submission.
        is_folder: Whether there are several submissions, each with a subfolder of ``out``.
    """

    def __init__(
        self,
        common: Mapping[str, Any],
        training: RunConfig | None,
        seeds: int,
        out: Path | None,
        *,
        is_folder: bool,
    ) -> None:
        settings = None if training is None else training.as_dict()
        self._common = {**common, "settings": settings, "seeds": seeds}
        self._out = None if out is None else out.absolute()
        self._is_folder = is_folder

    def __call__(self, submission: Submission) -> Mapping[str, Any]:
        """Return the job of a submission.

        Raises:
            InputError: If there is no folder for its runs.
        """
        out = "" if self._common["settings"] is None else str(self._folder(submission))
        return {**self._common, "model": submission.model, "out": out}

    def _folder(self, submission: Submission) -> Path:
        called = submission.name.removesuffix(".py").replace("/", "-")
        if self._out is not None:
            return self._out / called if self._is_folder else self._out
        try:
            return new_folder(RUNS.absolute(), f"{called}-seeds", datetime.now())
        except OSError as error:
            advice = "choose another folder with --out DIR"
            raise not_writable(printable(RUNS), error, advice) from None


def shortened(outcome: Outcome, root: Path | None) -> Outcome:
    """Return an outcome whose problem names files without the folder of the submissions."""
    folder = f"{Path.cwd() if root is None else root}{os.sep}"
    return replace(outcome, problem=outcome.problem.replace(folder, ""))
