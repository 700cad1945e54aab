"""Runs and groups side by side: what differs, by how much, and whether that is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import to_toml
from tui_trainer.protocol.events import SettingChanged
from tui_trainer.protocol.exhibit import Table, Words
from tui_trainer.recording.compared_runs import ComparedGroup, ComparedRun
from tui_trainer.recording.comparison import RunComparison, compare
from tui_trainer.recording.comparison_text import (
    comparison_blocks,
    difference_text,
    p_text,
    seeds_text,
    verdict,
    without_folders,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.summary import Summary
from tui_trainer.stats.intervals import PairedAccuracy, wilson


def run(accuracy: float | None = 0.99, seed: int = 0, **more: Any) -> ComparedRun:
    settings = {name: more.pop(name) for name in ("lr", "batch_size") if name in more}
    interventions = more.pop("interventions", ())
    summary = Summary(
        state="completed",
        model="small",
        dataset="mnist",
        val_size=5_000,
        seed=seed,
        epochs=5,
        epochs_done=5,
        val_accuracy=accuracy,
        val_interval=None if accuracy is None else wilson(round(5_000 * accuracy), 5_000),
        best_val_accuracy=accuracy,
        seconds=60.0,
    )
    return ComparedRun(
        name=f"seed-{seed}",
        settings=RunConfig(seed=seed, **settings).resolved().as_dict(),
        summary=replace(summary, **more),
        interventions=interventions,
    )


def single(name: str, *arguments: Any, **more: Any) -> ComparedGroup:
    return ComparedGroup(name, (run(*arguments, **more),))


def group(
    name: str, accuracies: Sequence[float | None], first: int = 0, **more: Any
) -> ComparedGroup:
    return ComparedGroup(
        name, tuple(run(each, first + n, **more) for n, each in enumerate(accuracies))
    )


def text_of(found: RunComparison) -> str:
    return "\n".join(
        block.text if isinstance(block, Words) else str(block.rows)
        for block in comparison_blocks(found)
        if isinstance(block, Words | Table)
    )


def row(found: RunComparison, metric: str) -> tuple[Any, ...]:
    return next(figures for each, figures in found.results if each.name == metric)


FIRST = [0.990, 0.991, 0.989, 0.992, 0.990]
SECOND = [0.992, 0.992, 0.991, 0.993, 0.993]


def test_only_the_settings_and_results_that_differ_are_there() -> None:
    found = compare([single("a", lr=0.1), single("b", 0.98, lr=0.2)])
    assert found.settings == (("lr", ((0.1,), (0.2,))),)
    assert [metric.name for metric, _ in found.results] == ["val_accuracy", "best_val_accuracy"]
    same = compare([single("a"), single("b")])
    assert same.settings == ()
    assert same.results == ()
    assert "They have the same settings." in text_of(same)
    assert "They have the same results." in text_of(same)


def test_a_changed_setting_is_a_difference() -> None:
    change = SettingChanged(setting="base_lr", old=0.1, new=0.05, step=9, epoch=1, images=1_152)
    found = compare([single("a"), single("b", interventions=(change,))])
    assert found.settings == (("changed in training", ((), ("lr 0.1 → 0.05",))),)


def test_a_single_run_has_its_wilson_interval_and_a_group_students() -> None:
    found = compare([single("a", 0.98), group("b", FIRST)])
    alone, mean = row(found, "val_accuracy")
    assert (alone.low, alone.high) == wilson(4_900, 5_000)
    expected = scipy_stats.t.interval(0.95, 4, 0.9904, scipy_stats.sem(FIRST))
    assert (mean.low, mean.high) == pytest.approx(expected)
    assert mean.count == 5


def test_groups_of_the_same_seeds_are_paired() -> None:
    (difference,) = compare([group("a", FIRST), group("b", SECOND)]).differences
    expected = scipy_stats.ttest_rel(SECOND, FIRST)
    assert difference.test == "paired t test"
    assert difference.seeds == (0, 1, 2, 3, 4)
    assert difference.p == pytest.approx(expected.pvalue)
    assert difference.is_significant
    found = difference.difference
    assert found is not None
    assert found.mean == pytest.approx(0.0018)
    assert found.low == pytest.approx(expected.confidence_interval().low)


def test_pairs_follow_the_seeds_not_the_order() -> None:
    reversed_group = ComparedGroup("b", group("b", SECOND).runs[::-1])
    found = compare([group("a", FIRST), reversed_group])
    assert found.differences[0].p == pytest.approx(scipy_stats.ttest_rel(SECOND, FIRST).pvalue)


def test_groups_of_other_seeds_are_independent() -> None:
    found = compare([group("a", FIRST), group("b", SECOND, first=10)])
    (difference,) = found.differences
    assert difference.test == "Welch's t test"
    expected = scipy_stats.ttest_ind(SECOND, FIRST, equal_var=False)
    assert difference.p == pytest.approx(expected.pvalue)
    assert found.settings[0][0] == "seed"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_run_is_compared_with_the_spread_of_a_group(is_first: bool) -> None:
    alone, many = single("a", 0.985, seed=30), group("b", FIRST)
    found = compare([alone, many] if is_first else [many, alone])
    (difference,) = found.differences
    assert difference.test == "t test"
    assert difference.p == pytest.approx(scipy_stats.ttest_ind([0.985], FIRST).pvalue)
    assert difference.difference is not None
    assert difference.difference.mean == pytest.approx(0.0054 * (1 if is_first else -1))
    assert difference.difference.low < difference.difference.mean < difference.difference.high


def test_two_runs_are_tested_on_the_same_images() -> None:
    pair = PairedAccuracy(both=4_900, only_first=30, only_second=12, neither=58)
    found = compare([single("a", 0.9824), single("b", 0.986)], same_images={1: pair})
    (difference,) = found.differences
    assert difference.test == "McNemar's test"
    assert difference.p == pair.p
    assert verdict(found, difference) == (
        "b: +0.36 points [+0.10, +0.62] on the same 5,000 validation images: 30 that only b "
        "classifies correctly, 12 that only a does. More than chance (McNemar's test, p = 0.008)."
    )
    assert "with another seed" in text_of(found)
    assert found.notes == ()


def test_a_checkpoint_after_the_last_validation_is_reported() -> None:
    pair = PairedAccuracy(both=4_900, only_first=30, only_second=12, neither=58)
    found = compare([single("a", 0.9824), single("b", 0.97)], same_images={1: pair})
    assert found.notes == (
        "b: its checkpoint, which is tested, has an accuracy of 98.60 %: it is not that of the "
        "validation in the results.",
    )


def test_two_runs_without_the_images_have_no_test() -> None:
    found = compare([single("a", 0.98), single("b", 0.99)])
    (difference,) = found.differences
    assert difference.is_significant is None
    assert verdict(found, difference) == (
        "b: +1.00 points. No test: one run each, not compared on the same images."
    )
    found = compare([single("a"), single("b")], same_images={1: "b has no checkpoint best"})
    assert "No test: b has no checkpoint best." in verdict(found, found.differences[0])


def test_several_tests_are_corrected_for_their_number() -> None:
    third = [0.9905, 0.9908, 0.9892, 0.9921, 0.9898]
    found = compare([group("a", FIRST), group("b", SECOND), group("c", third)])
    alone = compare([group("a", FIRST), group("b", SECOND)]).differences[0].p
    assert found.differences[0].p == pytest.approx(2 * alone)
    assert "Holm-corrected for 2 comparisons" in verdict(found, found.differences[0])
    assert "Not more than chance" in verdict(found, found.differences[1])


def test_the_best_accuracy_is_tested_where_it_is_asked_for() -> None:
    groups = [single("a", 0.98, best_val_accuracy=0.99), single("b", 0.99)]
    found = compare(groups, checkpoint="best").differences[0].difference
    assert found is not None
    assert found.mean == 0


def test_runs_of_other_data_are_not_compared() -> None:
    found = compare([single("a"), single("b", dataset="kmnist")])
    (difference,) = found.differences
    assert difference.difference is None
    assert verdict(found, difference) == "b is on kmnist, a on mnist: not comparable."


def test_runs_without_validation_give_the_reason() -> None:
    found = compare([single("a"), single("b", None, val_size=0), single("c", None)])
    assert [each.reason for each in found.differences] == [
        "b has no validation accuracy: it has no validation split",
        "c has no validation accuracy: no epoch is done",
    ]


def on_test(name: str, accuracies: Sequence[float], **more: Any) -> ComparedGroup:
    """Return a group without validation images, with these test accuracies."""
    runs = [run(None, n, val_size=0, test_accuracy=each) for n, each in enumerate(accuracies)]
    return ComparedGroup(name, tuple(runs))


def test_without_validation_the_recorded_test_accuracies_are_compared() -> None:
    old, new = on_test("old", (0.9912, 0.9904, 0.99)), on_test("new", (0.9916, 0.9929, 0.9924))
    found = compare([old, new])
    assert found.metric.name == "test_accuracy"
    (difference,) = found.differences
    assert difference.test == "paired t test"
    assert difference.difference is not None
    assert difference.difference.mean == pytest.approx(0.0053 / 3 + 0.0)
    assert "recorded test accuracies" in text_of(found)


def test_one_run_with_validation_keeps_the_test_accuracies_out() -> None:
    found = compare([on_test("old", (0.99, 0.98)), group("new", (0.99, 0.98))])
    assert found.metric.name == "val_accuracy"
    assert (
        found.differences[0].reason == "old has no validation accuracy: it has no validation split"
    )
    assert "recorded test accuracies" not in text_of(found)


def test_what_a_group_leaves_out_is_reported() -> None:
    runs = (
        run(0.990, 0),
        run(0.992, 1),
        run(0.1, 2, state="diverged"),
        run(0.5, 3, state="killed", epochs_done=1),
        run(0.4, 4, state="killed", epochs_done=1),
        run(0.9, 5, dataset="kmnist"),
        run(None, 6),
        run(0.991, 7, epochs_done=10),
        run(0.991, 7),
    )
    found = compare([ComparedGroup("a", runs), group("b", FIRST)])
    mean, _ = row(found, "val_accuracy")
    assert mean.mean == pytest.approx(0.991)
    assert found.notes == (
        "a: not all of its runs are on mnist; left out: seed-5.",
        "a: 1 of 9 runs diverged; left out of its means, so the means are too favorable: seed-2.",
        "a: 2 of 9 runs were killed; left out of its means: seed-3, seed-4.",
        "a: without validation accuracy, and not in its mean: seed-6.",
        "a: its runs have different lengths, 5, 10 epochs.",
        "a: several of its runs have the same seed; pairs use the first of each seed.",
    )


def test_other_numbers_of_validation_images_are_reported() -> None:
    groups = [group("a", FIRST), group("b", FIRST, val_size=2_000), single("c", val_size=2_000)]
    assert compare([*groups, single("d", None, val_size=0)]).notes == (
        "b, c: validated on 2,000 images, a on 5,000; part of the difference may be due to the "
        "images.",
    )


def test_a_group_that_is_still_trained_has_means_so_far() -> None:
    living = group("a", FIRST, state="running", epochs_done=2)
    found = compare([living, single("b", state="running", epochs_done=3)])
    assert row(found, "val_accuracy")[0].mean == pytest.approx(0.9904)
    assert found.notes == (
        "a: no run is finished (5 running); its means are over the epochs so far.",
        "b is running: 3 of 5 epochs are done.",
    )


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([0.98, 0.99], [0.97, 0.98], "the difference is the same for every seed"),
        ([0.98, 0.98], [0.97, 0.97, 0.97], "the difference is the same for every seed"),
        ([0.98], [0.97, 0.97], "the results of the seeds do not vary"),
    ],
)
def test_results_that_do_not_vary_have_no_test(
    first: list[float], second: list[float], reason: str
) -> None:
    found = compare([group("a", first), group("b", second)])
    assert found.differences[0].reason == reason
    assert math.isnan(found.differences[0].p)


def test_a_group_with_different_settings_lists_them() -> None:
    mixed = ComparedGroup("a", (run(seed=0, lr=0.1), run(seed=1, lr=0.2)))
    found = compare([mixed, group("b", FIRST[:2], lr=0.1)])
    assert found.settings == (("lr", ((0.1, 0.2), (0.1,))),)
    assert "('lr', '0.1, 0.2', '0.1')" in text_of(found)


def test_long_names_get_letters_and_many_runs_are_rows() -> None:
    names = [f"2026-11-29-05{n:02}-small" for n in range(30)]
    found = compare([single(name, 0.9 + n / 1_000) for n, name in enumerate(names)])
    assert found.labels[:2] == ("A", "B")
    assert found.labels[26:28] == ("A2", "B2")
    assert len({*found.labels}) == 30
    table = next(b for b in comparison_blocks(found) if isinstance(b, Table) and b.caption)
    assert len(table.rows) == 30


def test_numbers_as_text() -> None:
    assert seeds_text((3,)) == "3"
    assert seeds_text((0, 1)) == "0, 1"
    assert seeds_text((2, 3, 4)) == "2–4"
    assert seeds_text((2, 4, 5)) == "2, 4, 5"
    assert p_text(0.0004) == "p < 0.001"
    assert p_text(0.0312) == "p = 0.031"
    assert p_text(1.0) == "p = 1.00"
    assert difference_text(-0.00001) == "0.00 points"
    assert difference_text(-0.0012, -0.0030, 0.0001) == "−0.12 points [−0.30, +0.01]"


def test_paths_are_shown_by_name_where_the_names_differ() -> None:
    paths = [("/a/one.py:Net",), ("/a/two.py:Net",), ("small",)]
    assert without_folders(paths) == [("one.py:Net",), ("two.py:Net",), ("small",)]
    same = [("/a/net.py:Net",), ("/b/net.py:Net",)]
    assert without_folders(same) == same


def test_the_files_in_the_folder_of_a_run_are_no_setting(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        config = RunConfig(model=f"{folder.path}/network.py:Net", data_dir=f"{folder.path}/inputs")
        folder.config.write_text(to_toml(config))
        summary = replace(run().summary, recorded_in=str(folder.path))
        folder.summary.write_text(summary.to_json())
        found.append(ComparedGroup(name, (ComparedRun.read(folder),)))
    assert found[0].runs[0].name == "one"
    assert compare(found).settings == ()
