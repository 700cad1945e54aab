"""The arithmetic of the findings suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.benchmarks.findings import cause_table, effects, judge, table
from tests.benchmarks.findings.__main__ import cases, main
from tests.benchmarks.findings.effects import Compared, Named, compare
from tests.benchmarks.findings.files import recorded_events, recorded_runs
from tests.benchmarks.findings.healthy import ANY_HEALTHY, family_cases, preset_cases
from tests.benchmarks.findings.judge import Judged, Reported, detection, judge_events
from tests.benchmarks.findings.public.faults import FAULTS, public_cases
from tests.benchmarks.findings.record import (
    config_of,
    count_test_images,
    read_recorded,
    record,
    record_all,
    renew_start,
)
from tests.benchmarks.findings.sabotage import CAUSES, EXPECTED, KINDS, sabotage_of
from tests.benchmarks.findings.suite import EPOCHS, HEALTHY, Case
from tests.benchmarks.findings.truth import Truth, truth_of
from tests.benchmarks.findings.values import FIGURES, figures
from tests.benchmarks.findings.variants import VARIANTS, folder_of
from tests.data.idx_files import write_dataset
from tests.models import any_models
from tests.protocol.facts import TRAIN, started
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import EpochDone, Event, FindingCleared, FindingRaised, StepDone

BATCH = 100


def _reported(
    code: str, step: int, severity: str = "warning", *, causes: tuple[str, ...] = ()
) -> Reported:
    listed = causes or (code,)
    place = step, step * BATCH / TRAIN
    return Reported(code, severity, "title", "evidence", *place, causes=listed, first_causes=listed)


def _judged(*reported: Reported, kind: str = HEALTHY, **more: Any) -> Judged:
    values: dict[str, Any] = {"name": "run", "onset": 0, "onset_step": 0, "steps": 40, **more}
    return Judged(kind=kind, reported=reported, val_accuracy=0.98, sane=0.95, **values)


def _steps(first: int, last: int) -> list[StepDone]:
    return [
        StepDone(
            step=step,
            epoch=1 + (step - 1) // 10,
            epoch_images=BATCH * (1 + (step - 1) % 10),
            images=BATCH * step,
            batch_size=BATCH,
            loss=1.0,
            accuracy=0.5,
            lr=0.1,
            seconds=0.1 * step,
        )
        for step in range(first, last + 1)
    ]


def _raised(code: str, severity: Any = "warning", title: str = "a title") -> FindingRaised:
    return FindingRaised(
        code=code, severity=severity, title=title, evidence="", advice="", step=1, lesson=7
    )


# --- the judge's arithmetic


def test_a_finding_counts_from_the_step_at_which_it_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[Event] = [
        started(),
        *_steps(1, 5),
        _raised("a", "note"),
        *_steps(6, 10),
        _raised("a", "warning"),
        _raised("a", "warning", "other words"),
        *_steps(11, 20),
        FindingCleared(code="a", step=20),
        *_steps(21, 30),
        _raised("a", "error"),
    ]
    monkeypatch.setattr(judge, "with_findings", lambda events: events)

    judged = judge_events(events, name="run", kind="sorted")

    found = [
        (reported.severity, reported.step, reported.epochs, reported.cleared)
        for reported in judged.reported
    ]
    assert found == [("note", 5, 0.5, None), ("warning", 10, 1.0, 20), ("error", 30, 3.0, None)]
    first = judged.first_right({"a"})
    assert first is not None
    assert first.step == 10
    assert judged.is_early(first)


def test_a_finding_from_before_the_sabotage_is_no_detection() -> None:
    run = _judged(
        _reported("uphill", 10), _reported("uphill", 17), kind="x", onset=1, onset_step=10
    )
    first = run.first_right({"uphill"})
    assert first is not None
    steps, epochs = run.delay(first)
    assert steps == 7
    assert epochs == pytest.approx(0.7)
    assert not run.is_early(_reported("uphill", 21))


def test_a_note_is_no_warning() -> None:
    assert _judged(_reported("a", 3, "note"), _reported("b", 4)).false_codes() == {"b"}
    assert _judged(_reported("a", 3, "note"), kind="x").first_right({"a"}) is None


def test_overfitting_on_a_healthy_run_is_judged_by_the_test_images() -> None:
    run = _judged(
        _reported("overfitting", 20), _reported("memorizing", 25), _reported("plateau", 30)
    )
    assert run.false_codes() == {"overfitting", "memorizing", "plateau"}
    assert replace(run, true_codes=frozenset()).false_codes() == run.false_codes()
    right = frozenset({"overfitting", "memorizing"})
    assert replace(run, true_codes=right).false_codes() == {"plateau"}


@pytest.mark.parametrize(
    ("train", "test", "is_memorized"),
    [(1.0, 0.97, True), (1.0, 0.98, False), (0.99, 0.95, True), (0.98, 0.95, False)],
)
def test_memorizing_is_a_gap_of_two_points_beyond_the_interval(
    train: float, test: float, is_memorized: bool
) -> None:
    truth = Truth((0.1, 0.1), (0.5, test), 0.0, 0.01)
    assert truth.is_memorized(2, train) is is_memorized
    run = replace(_judged(_reported("memorizing", 20)), train_accuracies=(0.5, train))
    assert truth.codes(run) == (frozenset({"memorizing"}) if is_memorized else frozenset())


@pytest.mark.parametrize(("rise", "overfitted"), [(0.0, False), (0.02, False), (0.021, True)])
def test_the_test_loss_must_have_risen_by_two_standard_errors(
    rise: float, overfitted: bool
) -> None:
    assert Truth((0.1, 0.1 + rise), (0.9, 0.9), rise, 0.01).overfitted is overfitted


def test_detection_counts_runs_delays_and_other_warnings() -> None:
    seen = detection(
        [
            _judged(_reported("other", 1), _reported("a", 4), _reported("b", 2)),
            _judged(_reported("a", 30), _reported("other", 31), _reported("other", 35)),
            _judged(_reported("c", 1)),
        ],
        {"a"},
    )
    assert (seen.total, seen.found, seen.early) == (3, 2, 1)
    assert seen.steps == (4, 30)
    assert seen.median() == (17.0, 1.7)
    assert dict(seen.others) == {"other": 2, "b": 1, "c": 1}
    assert detection([_judged()], {"a"}).median() is None


def test_a_finding_with_the_cause_first_names_the_sabotage_too() -> None:
    run = _judged(
        _reported("x", 4, causes=("other", "true")), _reported("y", 6, causes=("true",)), kind="k"
    )
    first = run.first_right({"a"}, {"true"})
    assert first is not None
    assert first.step == 6
    assert run.first_right({"a"}) is None
    assert detection([run], {"a"}, {"true"}).steps == (6,)


def test_the_tables_give_each_rule_and_each_kind_its_rates() -> None:
    runs = [
        *[_judged() for _ in range(48)],
        _judged(_reported("a", 3)),
        _judged(_reported("overfitting", 30), true_codes=frozenset({"overfitting"})),
        *[_judged(_reported("a", 4), kind="broken") for _ in range(4)],
        _judged(_reported("b", 4), kind="broken"),
    ]
    expected = {"broken": frozenset({"a"})}

    lines = table.summary(runs, expected)
    assert lines[0].startswith("✓ healthy runs with a false alarm: 1/50 2.0 % [0.4, 10.5]")
    assert lines[1].startswith("✗ sabotaged runs that are detected: 4/5 80.0 %")
    assert lines[2].startswith("✓")
    assert lines[3].startswith("✓ sabotaged runs detected within the first epoch: 4/5")
    rows = {row[0]: row for row in table.rules(runs, expected)}
    assert rows["a"][1].startswith("1/50 ")
    assert rows["a"][4].startswith("4/5 ")
    assert rows["overfitting"][1:3] == (table.with_interval(0, 50), "1")
    assert rows["b"][6] == "broken 1"
    assert table.kinds(runs, expected) == [("broken", "4/5", "4", "0.40", "4/5", "a 4", "b 1")]
    for drawn in (table.markdown, table.lined_up):
        assert "80.0 %" in "\n".join(drawn(table.RULES_HEAD, list(rows.values())))


def test_a_run_that_was_not_healthy_after_all_is_reported() -> None:
    runs = [
        _judged(name="fine"),
        replace(_judged(name="poor"), val_accuracy=0.9),
        _judged(name="broken", kind="x", error="ValueError: no"),
    ]
    assert [line.partition(":")[0] for line in table.broken_runs(runs)] == ["broken", "poor"]


# --- causes and effects


def _named(code: str, *causes: str, severity: Any = "warning") -> FindingRaised:
    listed = tuple(Cause(code=cause, title=cause) for cause in causes)
    return replace(_raised(code, severity), causes=listed)


@pytest.mark.parametrize(
    ("reported", "verdict"),
    [
        ((), None),
        ((_reported("x", 3, "note", causes=("true",)),), None),
        ((_reported("x", 3, causes=("true", "other")),), "right"),
        ((_reported("x", 3, causes=("other", "true")),), "partly"),
        ((_reported("x", 3, causes=("other",)), _reported("y", 5, causes=("true",))), "partly"),
        ((_reported("x", 3, causes=("other",)), _reported("y", 5, causes=("z", "true"))), "wrong"),
        (
            (
                _reported("x", 3, causes=("other",)),
                _reported("y", 5, "error", causes=("true",)),
                _reported("z", 7, "error", causes=("other",)),
            ),
            "right",
        ),
    ],
)
def test_the_first_cause_of_the_most_severe_then_earliest_finding_is_judged(
    reported: tuple[Reported, ...], verdict: str | None
) -> None:
    assert _judged(*reported, kind="broken").verdict(("true", "also")) == verdict


def test_a_warning_from_before_the_sabotage_gives_no_cause() -> None:
    before = _reported("x", 3, causes=("other",))
    run = _judged(before, _reported("y", 12, causes=("true",)), kind="b", onset=1, onset_step=10)
    assert run.verdict(("true",)) == "right"
    assert replace(run, reported=(before,)).verdict(("true",)) is None


def test_a_finding_is_judged_by_the_causes_it_ends_with_and_those_it_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[Event] = [
        started(),
        *_steps(1, 5),
        _named("a", "other"),
        *_steps(6, 10),
        _named("a", "true", "other"),
        _raised("b"),
    ]
    monkeypatch.setattr(judge, "with_findings", lambda events: events)

    run = judge_events(events, name="run", kind="broken")

    assert [(r.code, r.step, r.causes) for r in run.reported] == [
        ("a", 5, ("true", "other")),
        ("b", 10, ("b",)),
    ]
    assert run.reported[0].first_causes == ("other",)
    assert run.verdict(("true",)) == "right"
    assert run.verdict(("true",), at_first=True) == "wrong"
    naming = run.first_naming(("b",))
    assert naming is not None
    assert naming.step == 10


def _faulty(kind: str, val: float | None, test: float | None, *reported: Reported) -> Judged:
    run = _judged(*reported, kind=kind, name=f"{kind}-1")
    return replace(run, val_accuracy=val, test_accuracy=test)


@pytest.mark.parametrize(
    ("val", "test", "points"),
    [
        (0.97, 0.97, 0.0),
        (0.90, 0.90, 7.0),
        (0.50, 0.97, 47.0),  # the validation images are other ones
        (0.995, 0.97, 2.5),  # the training images contain the validation images
        (0.98, 0.98, -1.0),
        (0.1, None, None),
    ],
)
def test_the_effect_is_the_drop_of_test_accuracy_or_how_false_validation_is(
    val: float, test: float | None, points: float | None
) -> None:
    found = effects.effect(_faulty("a.b", val, test), _faulty("twin.c", 0.97, 0.97))
    assert found == (None if points is None else pytest.approx(max(points, abs(points) - 1)))


def test_broken_runs_are_compared_with_their_twin_of_the_same_seed() -> None:
    known = {
        "a.big": Named("clean", ("true",)),
        "a.small": Named("clean", ("true",)),
        "a.none": Named("clean", ()),
        "b.lost": Named("clean", ("true",)),
        "b.alone": Named("missing", ("true",)),
    }
    right, wrong = _reported("x", 4, causes=("true",)), _reported("x", 8, causes=("other",))
    runs = [
        _faulty("b.lost", None, None, wrong),
        _faulty("a.none", 0.97, 0.97),
        _faulty("b.alone", 0.1, 0.1),
        _faulty("a.small", 0.93, 0.93, _reported("x", 2, "note")),
        _faulty("a.big", 0.1, 0.1, right),
        _faulty("twin.clean", 0.97, 0.97),
    ]

    compared, left_out = compare(runs, known)

    assert [one.run.kind for one in compared] == ["a.big", "a.small", "a.none", "b.lost"]
    assert [one.has_effect for one in compared] == [True, True, False, True]
    assert [one.is_small for one in compared] == [False, True, False, False]
    assert left_out == ["b.alone-1: its clean twin has no number"]
    found = effects.score(one for one in compared if one.has_effect)
    assert (found.detected, found.small, found.noted) == ((2, 3), (0, 1), (1, 3))
    assert found.of_detected("right") == found.of_detected("wrong") == (1, 2)
    assert (found.delay, found.naming) == (6, 4)
    rows = {row[0]: row[1] for row in cause_table.summary(compared)}
    assert rows["detected"] == "2/3 66.7 % [20.8, 93.9]"
    assert rows["right cause, of those detected"] == "1/2 50.0 % [9.5, 90.5]"
    sets = cause_table.by_set(compared)
    assert [row[0] for row in sets] == ["a", "b"]
    assert sets[0][4:] == ("1", "0", "0", "4")
    verdicts = [row[4] for row in cause_table.by_fault(compared)]
    assert verdicts == ["right", "not detected", "not detected", "wrong"]


def test_a_run_without_a_known_cause_is_detected_and_not_judged() -> None:
    one = Compared(_faulty("a.b", 0.5, 0.5, _reported("x", 3)), (), 40.0)
    found = effects.score([one])
    assert found.detected == (1, 1)
    assert sum(found.verdicts.values()) == 0


def test_the_tables_of_causes_and_of_healthy_runs_count_each_run_once() -> None:
    right, wrong = _reported("x", 4, causes=("true",)), _reported("x", 8, causes=("other",))
    broken = [_judged(right, wrong, kind="k"), _judged(wrong, kind="k"), _judged(kind="k")]
    rows = cause_table.by_sabotage(broken, {"k": ("true",), "absent": ()})
    assert rows[0] == ("k", "2/3", "1", "0", "1", "true 1, other 1")
    assert rows[1][:3] == ("all", table.with_interval(2, 3), table.with_interval(1, 2))

    healthy = [
        _judged(name="fine"),
        _judged(_reported("x", 4), _reported("y", 5, "note"), name="w", kind="healthy.student-a"),
        replace(_judged(_reported("x", 4), kind="twin.lenet"), test_accuracy=0.2, val_accuracy=0.3),
    ]
    table_of = {row[0]: row[1:] for row in cause_table.by_family(healthy)}
    assert table_of["all"] == (table.with_interval(1, 2), table.with_interval(1, 2))
    assert set(table_of) == {"the suite's own", "student networks", "all"}
    (line,) = cause_table.false_warnings(healthy)
    assert line.startswith("w: warning x at step 4 (x)")
    assert cause_table.notes(healthy) == "y 1"


# --- the suite


def test_every_sabotage_has_a_cause() -> None:
    assert set(CAUSES) == set(KINDS)
    assert all(CAUSES.values())


def test_the_short_judging_set_has_two_runs_of_each_sabotage() -> None:
    every = cases("judging-2")
    sabotaged = [case for case in every if case.kind != HEALTHY]
    assert len(sabotaged) == 2 * len(KINDS)
    assert len(every) - len(sabotaged) >= 40
    assert all(sabotage_of(case) for case in sabotaged)
    assert not {case.seed for case in every} & {case.seed for case in cases("judging")}


def test_the_families_of_healthy_runs_have_enough_runs() -> None:
    every = [*family_cases(), *preset_cases()]
    assert len(every) + sum(case.kind == HEALTHY for case in cases("judging-2")) >= 200
    assert len({case.name for case in every}) == len(every)
    families = {cause_table.family_of(_judged(kind=case.kind)) for case in every}
    assert families == set(cause_table.FAMILIES) - {"", "short", "loop"}
    assert all(case.sane >= 0.7 for case in every)
    assert set(ANY_HEALTHY) == {kind.__name__ for kind in any_models.HEALTHY}


def test_runs_on_images_that_are_not_there_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--seeds", "healthy", "--only", "healthy.fashion-*", "--folder", str(tmp_path)]
    assert main(["train", *chosen]) == 0
    left_out, trained = capsys.readouterr().err.splitlines()
    assert left_out.endswith(f"no folder {tmp_path / 'data' / 'fashion'}")
    assert trained.startswith("0 of 0 runs")


@pytest.mark.parametrize("seeds", ["public-tuning", "public-judging", "healthy", "judging-2"])
def test_every_run_has_valid_settings(seeds: str, tmp_path: Path) -> None:
    for case in cases(seeds):
        config_of(replace(case, data="mnist"), tmp_path)


def test_compared_runs_evaluate_every_test_image() -> None:
    for case in public_cases("public-tuning"):
        assert count_test_images(case) == 10_000
        assert case.kind.replace(".", "/", 1) in FAULTS or case.sane >= 0.8
    assert {count_test_images(case) for case in cases("tuning")} == {500}


def test_there_are_enough_runs_and_the_judging_seeds_are_separate() -> None:
    sets = {seeds: cases(seeds) for seeds in ("tuning", "judging")}
    for every in sets.values():
        healthy = [case for case in every if case.kind == HEALTHY]
        assert len(healthy) >= 64
        assert {case.settings["epochs"] for case in healthy} == {EPOCHS}
        assert len({case.name for case in every}) == len(every)
        assert len(KINDS) >= 21
        assert len(every) == len(healthy) + 5 * len(KINDS)
        for setting, least in (("model", 9), ("optimizer", 3), ("schedule", 4), ("augment", 3)):
            assert len({case.settings[setting] for case in healthy}) >= least
    tuning, judging = sets.values()
    assert not {case.seed for case in tuning} & {case.seed for case in judging}
    drawn = [
        [{**case.settings, "seed": 0} for case in every if case.kind == HEALTHY]
        for every in (tuning, judging)
    ]
    assert sum(one == other for one, other in zip(*drawn, strict=True)) < len(drawn[0]) / 10


def test_every_kind_has_a_finding_that_names_it() -> None:
    assert all(EXPECTED[kind] for kind in KINDS)
    with pytest.raises(KeyError):
        sabotage_of(Case("no-such-kind", 1, {}))


def test_a_variant_is_a_separate_dataset(tmp_path: Path) -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(13)[: 4 * 28 * 28].view(4, 28, 28)
    labels = torch.tensor([3, 7, 4, 9], dtype=torch.uint8)
    made = {name: variant.change(images, labels) for name, variant in VARIANTS.items()}

    assert made["mnist-14"][0].shape == (4, 14, 14)
    block = images[0, :2, :2].float().mean().round()
    assert made["mnist-14"][0][0, 0, 0] == block
    assert torch.equal(made["mnist-inverted"][0], 255 - images)
    assert made["mnist-five"][1].tolist() == [3, 4]
    assert torch.equal(made["mnist-turned"][0][0], torch.rot90(images[0]))
    assert folder_of("mnist", tmp_path) is None


# --- a whole run


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 300 training images of 8×8 pixels."""
    return write_dataset(tmp_path_factory.mktemp("small"), size=8, train=330, test=40)


@pytest.mark.slow
def test_a_run_is_recorded_judged_and_not_trained_again(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"model": "mlp", "epochs": 3, "batch_size": 32, "lr": 0.05, "augment": "none"}
    case = Case(HEALTHY, 7, {**settings, "seed": 7, "val_size": 30}, data="small", sane=0.0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small").symlink_to(small_data)
    folder = tmp_path / "tuning"
    folder.mkdir()

    done = record(case, folder, tmp_path)

    assert not done.error
    (path,) = recorded_runs(folder)
    assert read_recorded(path) == done
    events = recorded_events(path)
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 2, 3]
    truth = truth_of(path, tmp_path)
    assert len(truth.losses) == 3
    assert truth.rise == pytest.approx(truth.losses[-1] - min(truth.losses))
    assert figures(path, ["steps", "val_acc"])[:2] == ("healthy-7", "30")
    assert len(figures(path, list(FIGURES))) == len(FIGURES) + 1

    lines = path.with_suffix(".jsonl")
    before = lines.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(before) if "StepDone" in line)
    lines.write_text("\n".join(["{}", *before[first:], ""]), encoding="utf-8")
    renew_start(path, tmp_path)
    after = lines.read_text(encoding="utf-8").splitlines()
    assert after[first:] == before[first:]
    assert [line[:30] for line in after[:first]] == [line[:30] for line in before[:first]]

    reported: list[str] = []
    assert record_all([case], folder, tmp_path, 1, reported.append) == 0
    assert reported[0].startswith("0 of 1 runs")
    other = replace(case, settings={**case.settings, "lr": 0.06, "epochs": 1})
    assert record_all([other], folder, tmp_path, 1, reported.append) == 0
    assert reported[1].startswith("1 of 1 runs")
    assert read_recorded(path).case == other
    assert main(["judge", "--folder", str(tmp_path), "--workers", "1"]) == 0
    assert "1 healthy runs and 0 sabotaged" in capsys.readouterr().out
    assert main(["judge", "--folder", str(tmp_path), "--show", "no-*"]) == 2
