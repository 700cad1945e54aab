"""Read a ``sweep.toml``: everything in it is checked before the first trial trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config import AUGMENTATION_FIELDS, SETTINGS, RunConfig
from tui_trainer.protocol.config_file import Source, compose, parse_tables, place_in
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.settings import Setting, shown
from tui_trainer.protocol.toml_file import kind, line_of, read_text, suggestion
from tui_trainer.sweeps.corners import impossible
from tui_trainer.sweeps.location import PASSWORD_VARIABLE, DatabaseUrl, is_url
from tui_trainer.sweeps.spec import (
    OBJECTIVES,
    PRUNINGS,
    SAMPLERS,
    Budget,
    Choice,
    Dimension,
    Range,
    SweepSpec,
    grid_size,
)
from tui_trainer.text.fmt import printable

SWEEP_FILE = "sweep.toml"
"""The file in the folder of a sweep: a copy of the sweep file."""

SPACE, SWEEP = "space", "sweep"
"""The tables of a sweep file in addition to the settings at its top."""

DEFAULT_TRIALS = 20
"""The trials of a sweep without a limit, except for a grid, which ends by itself."""

MAX_SEEDS, MAX_TRIALS, MAX_GRID = 100, 100_000, 1_000_000

_SAME_TASK = "the trials could not be compared; put it at the top of the file"
_MACHINE = "it belongs to the machine, not to the training; put it at the top of the file"
_NO_EFFECT = "it does not change the training"

NOT_SEARCHED: Mapping[str, str] = {
    "dataset": _SAME_TASK,
    "data_dir": _SAME_TASK,
    "classes": _SAME_TASK,
    "val_size": _SAME_TASK,
    "seed": "a lucky seed is no better setting; train several with `seeds = 3` in [sweep]",
    "device": _MACHINE,
    "threads": _MACHINE,
    "memory_share": _MACHINE,
    "budget": _NO_EFFECT,
    "checkpoint_every": _NO_EFFECT,
    "probes": _NO_EFFECT,
    "target_accuracy": _NO_EFFECT,
    "last": _NO_EFFECT,
    "test": "a sweep never reads the test set",
}
"""The settings that cannot be searched, with the reason."""

_NOT_SET: Mapping[str, str] = {
    "target_accuracy": "a sweep compares its trials and has no target; remove it",
    "last": "a sweep compares its trials and has no target; remove it",
}
"""The settings that have no meaning in a sweep."""


def read_sweep(path: Path) -> SweepSpec:
    """Read and check a sweep file.

    Raises:
        InputError: If it cannot be read or used; one line with the file, the line and the key.
    """
    name = printable(path)
    return parse_sweep(read_text(path, name), name)


def parse_sweep(text: str, name: str) -> SweepSpec:
    """Parse and check the text of a sweep file; ``name`` is its name in messages.

    Raises:
        InputError: If it cannot be used; one line with the file, the line and the key.
    """
    top, tables = parse_tables(text, name, SPACE, SWEEP)
    file = _File(text, name)
    _check_top(top)
    space = _space(file, tables.get(SPACE), top)
    search = _search(file, tables.get(SWEEP, {}))
    base = compose(top, Source({"test": False}, text, name))
    if base.val_size == 0:
        raise InputError(
            f"{top.place('val_size')}: a sweep compares validation results, so it needs validation "
            "images; choose 1 or more"
        )
    spec = SweepSpec(settings=top.settings, space=space, base=base, text=text, name=name, **search)
    _check_seeds(file, spec)
    _check_grid(file, spec)
    if found := impossible(spec):
        setting, value, problem = found
        raise file.error(f"{setting} = {shown(value)}", problem, SPACE, setting)
    return spec


class _File:
    """A file in messages."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name

    def error(self, shown_key: str, problem: str, table: str, key: str = "") -> InputError:
        """Return an error about a key of a table."""
        line = line_of(self._text, key or shown_key, table)
        return InputError(f"{place_in(self._name, line, printable(shown_key))}: {problem}")

    def missing(self, problem: str) -> InputError:
        """Return an error about something that the file does not contain."""
        return InputError(f"{self._name}: {problem}")


def _check_top(top: Source) -> None:
    """Refuse settings of the runs that have no meaning in a sweep."""
    for key, problem in _NOT_SET.items():
        if key in top.settings:
            raise InputError(f"{top.place(key)}: {problem}")
    if top.settings.get("test") is True:
        raise InputError(
            f"{top.place('test')}: a sweep never reads the test set, so that the test of the "
            "winner stays honest; remove it"
        )


def _space(file: _File, table: object, top: Source) -> dict[str, Dimension]:
    """Return the searched settings."""
    if table is None or table == {}:
        raise file.missing(
            "searches nothing; add a table [space], for example with "
            "lr = { low = 0.01, high = 1.0, log = true }"
        )
    if not isinstance(table, dict):
        raise file.error(SPACE, f"needs a table [space], not {kind(table)}", "")
    space = dict[str, Dimension]()
    for name, given in table.items():
        if name not in SETTINGS:
            hint = suggestion(name, SETTINGS) or f"; choose {', '.join(SETTINGS)}"
            raise file.error(name, f"unknown setting{hint}", SPACE)
        if name in NOT_SEARCHED:
            raise file.error(name, f"cannot be searched: {NOT_SEARCHED[name]}", SPACE)
        if name in top.settings:
            raise file.error(
                name, "is also set at the top of the file; remove one of the two", SPACE
            )
        try:
            space[name] = _dimension(SETTINGS[name], given)
        except SettingError as error:
            raise file.error(name, error.problem, SPACE) from None
    if "augment" in space and (
        single := next((key for key in AUGMENTATION_FIELDS if key in top.settings), None)
    ):
        raise file.error(
            "augment", f"replaces {single}, which is set at the top; remove one of the two", SPACE
        )
    return space


def _dimension(row: Setting, given: object) -> Dimension:
    """Return what a file says of one searched setting.

    Raises:
        SettingError: If it cannot be used.
    """
    if isinstance(given, list):
        return _choice(row, given)
    if isinstance(given, dict):
        if row.kind not in (int, float):
            raise SettingError(row.name, "has no range; list its values: [..., ...]")
        return _range(row, given)
    raise SettingError(
        row.name, f"needs a list of values, or {{ low = …, high = … }}, not {kind(given)}"
    )


def _choice(row: Setting, values: list[Any]) -> Choice:
    if len(values) < 2:
        raise SettingError(
            row.name, "needs two values or more; put a single one at the top of the file"
        )
    for place, value in enumerate(values):
        row.check(value)
        if row.name == "model":
            RunConfig(model=value)
        if value in values[:place]:
            raise SettingError(row.name, f"{shown(value)} is listed twice")
    return Choice(tuple(float(each) if row.kind is float else each for each in values))


_KEYS = ("low", "high", "log", "step")


def _range(row: Setting, given: Mapping[str, Any]) -> Range:
    for key in given:
        if key not in _KEYS:
            hint = suggestion(key, _KEYS) or f"; choose {', '.join(_KEYS)}"
            raise SettingError(row.name, f"unknown key {shown(key)}{hint}")
    for key in ("low", "high"):
        if key not in given:
            raise SettingError(row.name, f"has no {key}; add {key} = …")
        row.check(given[key])
    low, high, log, step = given["low"], given["high"], given.get("log", False), given.get("step")
    if low == high:
        raise SettingError(row.name, f"low and high are both {shown(low)}; put it at the top")
    if low > high:
        raise SettingError(row.name, f"low is above high: {shown(low)} > {shown(high)}")
    if not isinstance(log, bool):
        raise SettingError(row.name, f"log needs true or false, not {kind(log)}")
    if log and low <= 0:
        raise SettingError(row.name, f"a logarithmic range needs low above 0, not {shown(low)}")
    _check_step(row, low, high, log, step)
    return Range(low, high, log=log, step=step, is_integer=row.kind is int)


def _check_step(row: Setting, low: float, high: float, log: bool, step: Any) -> None:
    """Check the distance between two values of a range."""
    if step is None:
        return
    kinds = int if row.kind is int else int | float
    if not isinstance(step, kinds) or isinstance(step, bool):
        wanted = "an integer" if row.kind is int else "a number"
        raise SettingError(row.name, f"step needs {wanted}, not {shown(step)}")
    if not 0 < step <= high - low or not math.isfinite(step):
        raise SettingError(
            row.name, f"step must be above 0 and at most high - low, not {shown(step)}"
        )
    if log:
        raise SettingError(row.name, "a logarithmic range has no step; remove log or step")
    count = (high - low) / step
    if abs(count - round(count)) > 1e-6 * count:
        last = low + math.floor(count) * step
        raise SettingError(
            row.name, f"no step ends at high; choose high = {last:g} or {last + step:g}"
        )


def _search(file: _File, table: object) -> dict[str, Any]:
    """Return the table ``[sweep]`` as fields of a spec."""
    if not isinstance(table, dict):
        raise file.error(SWEEP, f"needs a table [sweep], not {kind(table)}", "")
    found = dict[str, Any]()
    for key, value in table.items():
        if key not in _CHECKS:
            hint = suggestion(key, _CHECKS) or f"; choose {', '.join(_CHECKS)}"
            raise file.error(key, f"unknown key{hint}", SWEEP)
        if problem := _CHECKS[key](value):
            raise file.error(key, problem, SWEEP)
        found[key] = value
    limits = {key: found.pop(key) for key in ("trials", "epochs", "minutes") if key in found}
    if not limits and found.get("sampler") != "grid":
        limits = {"trials": DEFAULT_TRIALS}
    return {**found, "budget": Budget(**limits)}


def _one_of(names: tuple[str, ...]) -> Any:
    def check(value: object) -> str:
        if isinstance(value, str) and value in names:
            return ""
        hint = suggestion(value, names) if isinstance(value, str) else ""
        return f"unknown value {shown(value)}{hint or '; choose ' + ', '.join(names)}"

    return check


def _whole(low: int, high: int) -> Any:
    def check(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return ""
        return f"needs an integer from {low} to {high:,}, not {shown(value)}"

    return check


def _minutes(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return ""
    return f"needs a number above 0, not {shown(value)}"


def _storage(value: object) -> str:
    if not isinstance(value, str) or not is_url(value):
        return f"needs the URL of a database, as postgresql://HOST/DATABASE, not {shown(value)}"
    try:
        url = DatabaseUrl.parse(value, {})
    except InputError as error:
        return str(error)
    if url.password:
        return f"must not contain a password; give it in the variable {PASSWORD_VARIABLE}"
    return ""


_CHECKS = {
    "sampler": _one_of(SAMPLERS),
    "objective": _one_of(OBJECTIVES),
    "pruning": _one_of(PRUNINGS),
    "seeds": _whole(1, MAX_SEEDS),
    "seed": _whole(0, 2**32 - 1),
    "trials": _whole(1, MAX_TRIALS),
    "epochs": _whole(1, 10**9),
    "minutes": _minutes,
    "storage": _storage,
}
"""The keys of ``[sweep]``; each check returns what is wrong with a value."""


def _check_seeds(file: _File, spec: SweepSpec) -> None:
    largest = SETTINGS["seed"].within
    assert largest is not None
    if spec.base.seed + spec.seeds - 1 > largest[1]:
        raise file.error(
            "seed", f"too large for {spec.seeds} seeds; choose a smaller one at the top", ""
        )


def _check_grid(file: _File, spec: SweepSpec) -> None:
    """Check that a grid has a listed number of values, and not too many combinations."""
    if spec.sampler != "grid":
        return
    for name, dimension in spec.space.items():
        if isinstance(dimension, Range) and dimension.count is None:
            raise file.error(
                name, "a grid needs a step, or a list of values: any value is between", SPACE
            )
    if (size := grid_size(spec.space)) > MAX_GRID:
        raise file.error(
            "sampler",
            f"the grid has {size:,} combinations, more than {MAX_GRID:,}; choose larger steps, or "
            "another sampler",
            SWEEP,
        )
