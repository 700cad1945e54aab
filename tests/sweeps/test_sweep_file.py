"""Reading a sweep file: each mistake is one line with the file, the line and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.errors import InputError
from tui_trainer.sweeps.corners import config_of
from tui_trainer.sweeps.spec import Budget, Choice, Range
from tui_trainer.sweeps.sweep_file import NOT_SEARCHED, parse_sweep, read_sweep

GOOD = """model = "pico"
epochs = 2

[space]
lr = { low = 0.01, high = 1, log = true }
batch_size = { low = 32, high = 128, step = 32 }
augment = ["none", "light"]

[sweep]
trials = 6
"""


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_sweep(text, "sweep.toml")
    problem = str(caught.value)
    assert "\n" not in problem
    return problem


def with_space(line: str, top: str = "", sweep: str = "") -> str:
    return f"{top}\n[space]\n{line}\n[sweep]\n{sweep}\n"


def test_a_file_becomes_a_spec() -> None:
    spec = parse_sweep(GOOD, "sweep.toml")
    assert spec.space == {
        "lr": Range(0.01, 1, log=True),
        "batch_size": Range(32, 128, step=32, is_integer=True),
        "augment": Choice(("none", "light")),
    }
    assert (spec.base.model, spec.base.epochs, spec.base.test) == ("pico", 2, False)
    assert spec.budget == Budget(trials=6)
    assert (spec.sampler, spec.objective, spec.pruning) == ("tpe", "val_accuracy", "asha")


def test_the_example_can_be_used() -> None:
    spec = read_sweep(Path(__file__).parents[2] / "examples" / "sweep.toml")
    assert len(spec.space) > 3


def test_without_a_limit_there_is_one() -> None:
    assert parse_sweep(with_space("lr = [0.1, 1]"), "").budget == Budget(trials=20)
    grid = parse_sweep(with_space("lr = [0.1, 1]", sweep='sampler = "grid"'), "")
    assert grid.budget == Budget()


def test_the_fingerprint_is_that_of_what_decides_the_trials() -> None:
    first = parse_sweep(GOOD, "sweep.toml")
    same = parse_sweep(f"# a comment\n{GOOD}".replace("trials = 6", "trials = 60"), "other.toml")
    assert same.fingerprint == first.fingerprint
    for before, after in (("high = 1,", "high = 2,"), ("pico", "nano"), ("trials = 6", "seed = 6")):
        assert before in GOOD
        other = parse_sweep(GOOD.replace(before, after), "sweep.toml")
        assert other.fingerprint != first.fingerprint, before


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("lrr = [1, 2]", "lrr: unknown setting (did you mean lr?)"),
        ("lr = { low = 1, high = 0.1 }", "lr: low is above high: 1 > 0.1"),
        ("lr = { low = 1, high = 1 }", "lr: low and high are both 1; put it at the top"),
        ("lr = { low = 0, high = 1 }", "lr: the learning rate must be above 0"),
        ("lr = { low = 0.1 }", "lr: has no high; add high = …"),
        ("lr = { low = 0.1, high = 2, stp = 1 }", "lr: unknown key 'stp' (did you mean step?)"),
        ("lr = { low = 0.1, high = 2, log = 1 }", "lr: log needs true or false"),
        ("lr = { low = 0.1, high = 2, step = 0 }", "lr: step must be above 0"),
        ("lr = { low = 0.1, high = 1, step = 0.2 }", "lr: no step ends at high; choose high = 0.9"),
        ("lr = { low = 1, high = 2, log = true, step = 1 }", "lr: a logarithmic range has no step"),
        ("momentum = { low = 0, high = 0.9, log = true }", "momentum: a logarithmic range needs"),
        ("lr = { low = '1', high = 2 }", "lr: needs a number, not '1'"),
        ("lr = 0.1", "lr: needs a list of values, or { low = …, high = … }, not a number"),
        ("lr = []", "lr: needs two values or more"),
        ("lr = [0.1]", "lr: needs two values or more"),
        ("lr = [0.1, 0.10]", "lr: 0.1 is listed twice"),
        ("lr = [1, 1.0]", "lr: 1.0 is listed twice"),
        ("lr = [1, true]", "lr: needs a number, not True"),
        ("epochs = { low = 1.5, high = 2 }", "epochs: needs an integer, not 1.5"),
        ("batch_size = { low = 1, high = 9, step = 0.5 }", "batch_size: step needs an integer"),
        ("augment = ['none', 'lihgt']", "augment: unknown augment 'lihgt'"),
        ("augment = { low = 1, high = 2 }", "augment: has no range; list its values"),
        ("nesterov = { low = 0, high = 1 }", "nesterov: has no range; list its values"),
        ("model = ['pico', 'piko']", "model: unknown model 'piko'; did you mean pico?"),
        ("momentum = { low = 0, high = 0.9 }", "momentum = 0: nesterov needs momentum above 0"),
    ],
)
def test_a_space_that_cannot_be_used_is_one_line(line: str, problem: str) -> None:
    assert refused(with_space(line)).startswith(f"sweep.toml, line 3, {problem}")


@pytest.mark.parametrize(
    ("top", "space", "sweep", "problem"),
    [
        ("lr = 0.1", "lr = [0.1, 1]", "", "line 3, lr: is also set at the top of the file"),
        ("rotate = 5", "augment = ['none', 'light']", "", "line 3, augment: replaces rotate"),
        ("val_size = 0", "lr = [0.1, 1]", "", "line 1, val_size: a sweep compares validation"),
        ("test = true", "lr = [0.1, 1]", "", "line 1, test: a sweep never reads the test set"),
        ("last = 2", "lr = [0.1, 1]", "", "line 1, last: a sweep compares its trials"),
        ("epochs = 0", "lr = [0.1, 1]", "", "line 1, epochs: epochs must be from 1 to 10,000"),
        ("lrr = 1", "lr = [0.1, 1]", "", "line 1, lrr: unknown setting"),
        ("", "lr = [0.1, 1]", "smapler = 'tpe'", "line 5, smapler: unknown key (did you mean"),
        ("", "lr = [0.1, 1]", "sampler = 'tep'", "line 5, sampler: unknown value 'tep' (did"),
        ("", "lr = [0.1, 1]", "trials = 0", "line 5, trials: needs an integer from 1 to 100,000"),
        ("", "lr = [0.1, 1]", "minutes = 0", "line 5, minutes: needs a number above 0, not 0"),
        ("", "lr = [0.1, 1]", "minutes = nan", "line 5, minutes: needs a number above 0"),
        ("", "lr = [0.1, 1]", "storage = 'x'", "line 5, storage: needs the URL of a database"),
        ("", "lr = { low = 0.1, high = 1 }", "sampler = 'grid'", "line 3, lr: a grid needs a step"),
        (
            *("", "lr = { low = 1, high = 9, step = 0.0001 }\nseed = 1"[:41], "sampler = 'grid'"),
            "line 5, sampler: the grid has",
        ),
    ],
)
def test_other_mistakes_are_one_line(top: str, space: str, sweep: str, problem: str) -> None:
    if "has" in problem:
        space += "\nweight_decay = { low = 0, high = 1, step = 0.0001 }"
        problem = problem.replace("line 5", "line 6")
    assert refused(with_space(space, top, sweep)).startswith(f"sweep.toml, {problem}")


@pytest.mark.parametrize("text", ["", "lr = 0.1", "[space]", "space = 3\n", "[[space]]\nlr = 1"])
def test_a_file_that_searches_nothing_is_one_line(text: str) -> None:
    assert "space" in refused(text)


@pytest.mark.parametrize("name", NOT_SEARCHED)
def test_settings_that_cannot_be_searched_have_a_reason(name: str) -> None:
    assert f"{name}: cannot be searched: {NOT_SEARCHED[name]}" in refused(
        with_space(f"{name} = [1, 2]")
    )


def test_all_other_settings_can_be_searched() -> None:
    for name, row in SETTINGS.items():
        if name in NOT_SEARCHED:
            continue
        if row.choices:
            values = str(list(row.choices[:2]))
        elif row.kind is bool:
            values = "[true, false]"
        elif name == "channels":
            values = "[1, 3]"
        else:
            low = max(1, int(row.within[0])) if row.within else 1
            values = f"{{ low = {low}, high = {low + 1} }}" if row.kind is int else "[0.1, 0.2]"
        assert list(parse_sweep(with_space(f"{name} = {values}"), "").space) == [name]


def test_combinations_that_exclude_each_other_are_left_to_their_trials() -> None:
    spec = parse_sweep(with_space("momentum = [0.0, 0.9]\nnesterov = [true, false]"), "")
    assert config_of(spec, {"momentum": 0.0, "nesterov": False}, 3).seed == 3
    with pytest.raises(InputError, match="nesterov"):
        config_of(spec, {"momentum": 0.0, "nesterov": True}, 0)


def test_a_run_never_reads_the_test_set() -> None:
    spec = parse_sweep(GOOD, "")
    assert not config_of(spec, {"lr": 0.1}, 0).test
