"""Filters, sort keys and groups of runs."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.about import About
from tui_trainer.recording.filter_parser import DEEPEST
from tui_trainer.recording.folder import ListedRun, RunFolder
from tui_trainer.recording.query_error import QueryError
from tui_trainer.recording.run_fields import FIELDS, SYNONYMS, Kind, field_named
from tui_trainer.recording.run_query import (
    group_runs,
    parse_fields,
    parse_filter,
    parse_sort,
    sort_key,
)
from tui_trainer.recording.summary import Summary


def listed(
    name: str,
    *,
    note: str = "",
    tags: tuple[str, ...] = (),
    group: str = "",
    settings: Mapping[str, Any] | None = None,
    **results: Any,
) -> ListedRun:
    given = RunConfig(**(settings or {})).as_dict()
    summary = Summary(settings=given, **{"dataset": "mnist", **results})
    return ListedRun(RunFolder(Path("runs", group, name)), summary, "", group, About(note, tags))


RUNS = [
    listed(
        *("2026-11-20-1200-small",),
        model="small",
        parameters=19_810,
        val_accuracy=0.9931,
        best_val_accuracy=0.9941,
        seconds=312.4,
        images=550_000,
        state="completed",
        started_at="2026-11-20T12:00:00.000+00:00",
        tags=("baseline", "paper"),
        settings={"model": "small", "lr": 0.1, "batch_size": 64},
    ),
    listed(
        *("2026-11-21-1200-tiny",),
        model="tiny",
        parameters=4_714,
        val_accuracy=0.9802,
        best_val_accuracy=0.9802,
        seconds=95.0,
        state="killed",
        note="first try, without nesterov",
        started_at="2026-11-21T12:00:00.000+00:00",
        settings={"model": "tiny", "lr": 0.05, "nesterov": False},
    ),
    listed("seed-0", group="fast", model="small", parameters=19_810, state="running", seed=1),
    ListedRun(RunFolder(Path("runs/broken")), None, "summary.json: not JSON"),
]
SMALL, TINY, SEED, BROKEN = range(4)


def found(text: str) -> list[int]:
    test = parse_filter(text)
    return [place for place, run in enumerate(RUNS) if test.matches(run)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [SMALL, TINY, SEED, BROKEN]),
        ("  ", [SMALL, TINY, SEED, BROKEN]),
        ("small", [SMALL, SEED]),
        ("SMALL", [SMALL, SEED]),
        ("fast/seed", [SEED]),
        ("first try", [TINY]),
        ("try first", [TINY]),
        ('"try first"', []),
        ("'first try'", [TINY]),
        ("'first try,'", [TINY]),
        ("baseline", [SMALL]),
        ("not small", [TINY, BROKEN]),
        ("small or tiny", [SMALL, TINY, SEED]),
        ("broken", [BROKEN]),
        ("2026-11-2 and not small", [TINY]),
        ("val_acc > 0.99", [SMALL]),
        ("val_acc>0.99", [SMALL]),
        ("val_accuracy > 99%", [SMALL]),
        ("val-acc > 99 %", [SMALL]),
        ("VAL_ACC ≥ 99.31%", [SMALL]),
        ("val_acc = 98.02%", [TINY]),
        ("val_acc == 0.9802", [TINY]),
        ("val_acc < 98.02%", []),
        ("val_acc <= 98.02%", [TINY]),
        ("val_acc != 98.02%", [SMALL, SEED, BROKEN]),
        ("val_acc <> 98.02%", [SMALL, SEED, BROKEN]),
        ("val_acc = none", [SEED, BROKEN]),
        ("val_acc != none", [SMALL, TINY]),
        ("val_acc > 0.99 and model = small", [SMALL]),
        ("val_acc > 0.99 or model = tiny and time < 1m", [SMALL]),
        ("(val_acc > 0.99 or model = tiny) and time < 2m", [TINY]),
        ("not (val_acc > 0.99)", [TINY, SEED, BROKEN]),
        ("not not val_acc > 0.99", [SMALL]),
        ("small and val_acc > 0.99", [SMALL]),
        ("params < 8k", [TINY]),
        ("parameters in (4714, 19810)", [SMALL, TINY, SEED]),
        ("parameters in 4714, 19810", [SMALL, TINY, SEED]),
        ("model in (tiny)", [TINY]),
        ("model not in (tiny, small)", [BROKEN]),
        ("lr = 0.1", [SMALL]),
        ("lr = 1e-1", [SMALL]),
        ("lr in (0.1, 0.05)", [SMALL, TINY]),
        ("nesterov = off", [TINY]),
        ("nesterov = true", [SMALL, SEED]),
        ("dropout = none", [SMALL, TINY, SEED, BROKEN]),
        ("schedule = one-cycle", [SMALL, TINY, SEED]),
        ("tag = paper", [SMALL]),
        ("tag != paper", [TINY, SEED, BROKEN]),
        ("tags ~ base", [SMALL]),
        ("tag in (paper, other)", [SMALL]),
        ("note ~ 'without nesterov'", [TINY]),
        ("note = none", [SMALL, SEED, BROKEN]),
        ("group = fast", [SEED]),
        ("state = killed", [TINY]),
        ("state = damaged", [BROKEN]),
        ("time = 312.4s", [SMALL]),
        ("time > 5m", [SMALL]),
        ("time > 0h5m12s", [SMALL]),
        ("time > 5:12", [SMALL]),
        ("time < 1:02:03", [SMALL, TINY, SEED]),
        ("speed > 1k", [SMALL]),
        ("started > 2026-11-21T00:00+00:00", [TINY]),
        ("name ~ seed", [SEED]),
        ("AND", None),
    ],
)
def test_a_filter_finds_runs(text: str, expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(QueryError):
            found(text)
    else:
        assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("val_acc >", 9, "a value is missing"),
        ("val_acc > and small", 10, "a value is missing"),
        ("val_ac > 0.9", 0, "did you mean val_acc?"),
        ("xyzzy = 1", 0, "--fields"),
        ("val_acc > 99", 10, "a fraction from 0 to 1"),
        ("val_acc > high", 10, "is a number, not high"),
        ("model > small", 6, "is a text, which > does not compare"),
        ("val_acc ~ 0.9", 8, "which ~ does not compare"),
        ("started = 2026-11-20", 8, "which = does not compare"),
        ("started > soon", 10, "is a time"),
        ("started in 2026-11-20", 8, "which in does not compare"),
        ("time < 5 min", 9, "and or or is missing before min"),
        ("time < 5x", 7, "is a duration"),
        ("nesterov = maybe", 11, "is true or false"),
        ("note = first try", 13, "quote a value of several words"),
        ("small val_acc > 0.9", 6, "and or or is missing before val_acc"),
        ("val_acc 0.99", 8, "an operator is missing"),
        ("(small", 6, "the closing ) is missing"),
        ("small)", 5, "closes nothing"),
        ("(small, tiny)", 6, "a field is missing before ,"),
        ("lr in (0.1", 10, "a comma or ) is missing"),
        ("lr in (0.1 0.2)", 11, "a comma or ) is missing"),
        ("lr in", 5, "a value is missing"),
        ("> 0.99", 0, "a field is missing"),
        ("small and", 9, "is missing here"),
        ("small or or tiny", 9, "is missing here"),
        ("not", 3, "is missing here"),
        ("()", 1, "closes nothing"),
        ("note = 'first", 7, "the closing ' is missing"),
        ("small && tiny", 6, "write and"),
        ("small || tiny", 6, "write or"),
        ("!small", 0, "write not"),
        ("lr < none", 5, "none is compared with = or !="),
        ("(" * 100 + "small", DEEPEST + 1, "nested"),
        ("x" * 3000, 2000, "shorten it"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, column: int, problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_filter(text)
    error = caught.value
    assert error.column == column, error
    assert problem in str(error)
    assert f"column {column + 1}" in str(error)
    assert "\n" not in str(error)
    assert isinstance(error, InputError)


def test_every_text_is_a_filter_or_a_mistake_in_it() -> None:
    rng = random.Random(0)
    parts = [*"()<>=~,!&%'\"", "and", "or", "not", "in", "none", "0.9", "5m", "99%", "2026-11-20"]
    parts += ["small", "a b", "≥", "!=", "é", "\n", "\0", *FIELDS]
    mistakes = []
    for _ in range(3_000):
        text = rng.choice(["", " "]).join(rng.choices(parts, k=rng.randint(1, 6)))
        try:
            found(text)
        except QueryError as error:
            mistakes.append(error)
    assert 100 < len(mistakes) < 2_900
    assert all(0 <= error.column <= len(error.text) for error in mistakes)
    assert all(str(error).isprintable() for error in mistakes)


def test_settings_are_read_only_when_a_setting_is_asked_for(tmp_path: Path) -> None:
    reads = []

    class Read(ListedRun):
        def _settings(self) -> Mapping[str, Any]:
            reads.append(self.name)
            return super()._settings()

    (tmp_path / "config.toml").write_text('lr = 0.25\nmodel = "tiny"\nmomentum = "much"\n')
    run = Read(RunFolder(tmp_path), Summary(model="tiny", val_accuracy=0.5))
    assert parse_filter("val_acc > 0.4 and tiny").matches(run)
    assert reads == []
    assert parse_filter("lr = 0.25 and batch_size = 128").matches(run)
    assert run.fields["momentum"] is None, "a value of the wrong kind counts as missing"
    assert len(reads) == 1


def test_every_setting_and_every_field_of_a_summary_has_a_name() -> None:
    assert {"lr", "batch_size", "val_acc", "best", "test_acc", "params"} <= set(FIELDS)
    assert SYNONYMS["val_accuracy"] == "val_acc"
    assert field_named("Batch-Size") is FIELDS["batch_size"]
    assert FIELDS["lr"].kind is Kind.NUMBER
    for run in RUNS:
        assert len({**run.fields}) == len(FIELDS)


def names(runs: list[ListedRun]) -> list[str]:
    return [run.name for run in runs]


def test_runs_without_a_value_are_last_in_either_direction() -> None:
    up, down = (parse_sort(text).apply(RUNS) for text in ("val_acc,name", "-val_acc,name"))
    assert names(up) == [RUNS[place].name for place in (TINY, SMALL, BROKEN, SEED)]
    assert names(down) == [RUNS[place].name for place in (SMALL, TINY, BROKEN, SEED)]


def test_names_are_sorted_by_their_numbers() -> None:
    texts = ["seed-10", "seed-2", "Seed-1", "7", "seed", "seed-2b"]
    assert sorted(texts, key=sort_key) == ["7", "seed", "Seed-1", "seed-2", "seed-2b", "seed-10"]


@pytest.mark.parametrize(
    ("text", "column"), [("", 0), (" , ", 0), ("val_acc, best_ac", 9), ("val_acc,-  ", 9)]
)
def test_a_mistake_in_sort_keys_has_its_place(text: str, column: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse_sort(text)
    assert caught.value.column == column


def test_groups_are_in_the_order_of_their_values() -> None:
    groups = group_runs(RUNS[:3], parse_fields("model,lr"))
    assert [(group.values, len(group.runs)) for group in groups] == [
        (("small", 0.1), 1),
        (("small", None), 1),
        (("tiny", 0.05), 1),
    ]


def test_runs_of_different_datasets_are_never_in_one_group() -> None:
    other = listed("fashion", model="small", dataset="fashion-mnist")
    groups = group_runs([*RUNS[:3], other], parse_fields("model"))
    assert [group.values for group in groups] == [
        ("small", "fashion-mnist"),
        ("small", "mnist"),
        ("tiny", "mnist"),
    ]
