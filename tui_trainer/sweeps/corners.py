"""The settings of a trial, and combinations at the ends of a space that no run accepts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping
from typing import Any

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import Source, compose
from tui_trainer.protocol.errors import SettingError
from tui_trainer.sweeps.spec import Choice, Dimension, SweepSpec

MAX_CORNERS = 2_000
"""The most combinations that are tried."""


def config_of(spec: SweepSpec, settings: Mapping[str, Any], seed: int) -> RunConfig:
    """Return the settings of one run of a trial; the test set stays sealed, the paths hold.

    Raises:
        InputError: If they exclude each other.
    """
    fixed = {"seed": seed, "test": False}
    return spec.located(compose(Source(spec.settings), Source(settings), Source(fixed)))


def impossible(spec: SweepSpec) -> tuple[str, Any, str] | None:
    """Return a value of the space that no run accepts with any other settings of it.

    Some combinations of a space may be invalid, as Nesterov's momentum with momentum 0: their
    trials fail. A value that is never valid is a mistake in the file.

    Returns:
        The setting, the value and what is wrong with it; None if there is none.
    """
    ends = {name: _ends(dimension) for name, dimension in spec.space.items()}
    never = {(name, place) for name, values in ends.items() for place in range(len(values))}
    problem = ""
    for places in _corners({name: len(values) for name, values in ends.items()}):
        if not never:
            return None
        settings = {name: ends[name][place] for name, place in places.items()}
        try:
            RunConfig(**{**spec.settings, **settings})
        except SettingError as error:
            problem = f"{error.key} {error.problem}" if error.key not in settings else error.problem
        else:
            never -= set(places.items())
    # Each place was tried at least once; only the first is reported.
    for name, place in sorted(never, key=lambda one: (len(ends[one[0]]), one)):
        return name, ends[name][place], _problem(spec, ends, name, place) or problem
    return None


def _problem(spec: SweepSpec, ends: Mapping[str, tuple[Any, ...]], name: str, place: int) -> str:
    settings = {other: values[-1] for other, values in ends.items()}
    settings[name] = ends[name][place]
    try:
        RunConfig(**{**spec.settings, **settings})
    except SettingError as error:
        return error.problem if error.key == name else f"{error.key} {error.problem}"
    return ""


def _ends(dimension: Dimension) -> tuple[Any, ...]:
    if isinstance(dimension, Choice):
        return dimension.values
    return dimension.low, dimension.high


def _corners(sizes: Mapping[str, int]) -> Iterable[dict[str, int]]:
    """Yield places of values: all combinations, or a sample that contains each value."""
    total = 1
    for size in sizes.values():
        total *= size
    if total <= MAX_CORNERS:
        for places in itertools.product(*map(range, sizes.values())):
            yield dict(zip(sizes, places, strict=True))
        return
    rng = random.Random(0)
    for number in range(MAX_CORNERS):
        # The first of them go through the values of each setting in turn.
        yield {
            name: (number if number < size else rng.randrange(size)) % size
            for name, size in sizes.items()
        }
