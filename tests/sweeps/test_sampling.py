"""The settings of a trial by its place."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.sweeps.made import spec_of
from tui_trainer.sweeps.sampling import seed_of, settings_at
from tui_trainer.sweeps.spec import Choice, Dimension, Range

SPACE: dict[str, Dimension] = {
    "lr": Range(0.01, 1.0, log=True),
    "batch_size": Range(1, 100, log=True, is_integer=True),
    "label_smoothing": Range(0.0, 0.3, step=0.1),
    "epochs": Range(2, 8, step=2, is_integer=True),
    "momentum": Range(0.5, 0.9),
    "model": Choice(("small", "tiny")),
}


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_values_are_in_their_ranges_and_reach_all_of_them(sampler: str) -> None:
    spec = spec_of(SPACE, sampler=sampler)
    found = [settings_at(spec, place) for place in range(1, 513)]
    assert all(0.01 <= each["lr"] <= 1 for each in found)
    # As many below the middle of a logarithmic range as above.
    assert 200 < sum(each["lr"] < 0.1 for each in found) < 312
    assert {each["label_smoothing"] for each in found} == {0.0, 0.1, 0.2, 0.3}
    assert {each["epochs"] for each in found} == {2, 4, 6, 8}
    assert {each["batch_size"] for each in found} > set(range(1, 6))
    assert all(isinstance(each["batch_size"], int) for each in found)
    counts = Counter(each["model"] for each in found)
    assert min(counts.values()) > 200


@pytest.mark.parametrize("sampler", ["random", "sobol", "grid"])
def test_a_place_has_its_settings_whatever_was_asked_before(sampler: str) -> None:
    space: dict[str, Dimension] = {
        name: each for name, each in SPACE.items() if name in ("epochs", "model")
    }
    spec = spec_of(space, sampler=sampler)
    forwards = [settings_at(spec, place) for place in range(1, 9)]
    backwards = [settings_at(spec, place) for place in range(8, 0, -1)]
    assert forwards == backwards[::-1]
    other = spec_of(space, sampler=sampler, seed=1)
    assert [settings_at(other, place) for place in range(1, 9)] != forwards


def test_sobol_covers_the_space_evenly() -> None:
    spec = spec_of({"lr": Range(0.0, 1.0), "momentum": Range(0.0, 1.0)}, sampler="sobol")
    cells = Counter(
        (math.floor(4 * each["lr"]), math.floor(4 * each["momentum"]))
        for each in (settings_at(spec, place) for place in range(1, 65))
    )
    assert set(cells.values()) == {4}


def test_a_grid_has_each_combination_once() -> None:
    space: dict[str, Dimension] = {
        "epochs": SPACE["epochs"],
        "model": SPACE["model"],
        "nesterov": Choice((True, False)),
    }
    spec = spec_of(space, sampler="grid")
    found = {tuple(settings_at(spec, place).values()) for place in range(1, 17)}
    assert len(found) == 16


def test_each_place_has_another_seed() -> None:
    spec = spec_of(SPACE)
    assert len({seed_of(spec, place) for place in range(1_000)}) == 1_000
