"""The suite of user loops: its cases, its arithmetic, and some of its loops as they are."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

import tui_trainer
from tests.benchmarks.findings.__main__ import main
from tests.benchmarks.findings.files import recorded_events
from tests.benchmarks.findings.judge import Judged, judge_events
from tests.benchmarks.findings.loops import tuning_losses, tuning_updates
from tests.benchmarks.findings.loops.command import compare
from tests.benchmarks.findings.loops.job import Job
from tests.benchmarks.findings.loops.kinds import JUDGING, KINDS
from tests.benchmarks.findings.loops.record import Cost
from tests.benchmarks.findings.loops.styles import styles
from tests.benchmarks.findings.loops.suite import (
    JUDGING_RUNS,
    Loop,
    LoopCase,
    faulty_cases,
    healthy_cases,
)


def test_the_judging_half_has_enough_loops_and_shares_no_run_with_tuning() -> None:
    tuning, judging = (faulty_cases(seeds, KINDS, JUDGING) for seeds in ("tuning", "judging"))
    assert len(KINDS) >= 22
    assert len(judging) == JUDGING_RUNS * len(KINDS)
    assert not {case.seed for case in tuning} & {case.seed for case in judging}
    assert not {case.loop for case in tuning} & {loop for some in JUDGING.values() for loop in some}
    for kind in KINDS:
        cases = [case for case in judging if case.kind == kind]
        assert len({case.loop for case in cases}) >= 2
        assert len({case.architecture for case in cases}) >= 3


def test_each_healthy_style_is_judged_over_three_seeds() -> None:
    cases = healthy_cases("judging", styles("judging"))
    assert len(styles("judging")) >= 40
    assert len({case.stem for case in cases}) == len(cases) == 3 * len(styles("judging"))


def test_the_command_lists_its_loops(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loops", "list", "--only", "leak.*"]) == 0
    assert capsys.readouterr().out.startswith("leak.overlapping_subsets-")


@pytest.mark.parametrize(
    ("kind", "faulty", "twin", "effect"),
    [
        ("maximized", Cost(test_accuracy=0.1), Cost(test_accuracy=0.9), 80.0),
        ("leak", Cost(0, 0, 0, 0.8, 1.0), Cost(0, 0, 0, 0.8, 0.8), 20.0),
        ("loader-waits", Cost(waiting=3.0), Cost(waiting=1.5), 100.0),
        ("double-precision", Cost(cpu_seconds=3.0), Cost(cpu_seconds=2.0), 50.0),
        ("kept-graph", Cost(memory_mb=90.0), Cost(memory_mb=60.0), 30.0),
    ],
)
def test_an_effect_is_the_difference_to_the_clean_twin(
    tmp_path: Path, kind: str, faulty: Cost, twin: Cost, effect: float
) -> None:
    case = LoopCase(kind, KINDS[kind].tuning[0], "cnn", "sgd", 1)
    for some, cost in ((case, faulty), (replace(case, faulty=False), twin)):
        (tmp_path / f"{some.stem}.json").write_text(json.dumps(asdict(cost)), encoding="utf-8")
    compared, left_out = compare([case], KINDS, tmp_path, tmp_path)
    assert left_out == []
    assert compared[0].effect == pytest.approx(effect)
    assert compared[0].has_effect


def _judged(loop: Loop, folder: Path, *, faulty: bool) -> Judged:
    watch = partial(tui_trainer.watch, out=folder, progress=False)
    loop(Job(101, "mlp", "momentum", faulty, watch, train_size=3_000))
    events = recorded_events(folder / "events")
    return judge_events(events, name=loop.__name__, kind="", sane=0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loop", "cause"),
    [
        (tuning_losses.softmax_in_loop, "softmax_before_loss"),
        (tuning_updates.cleared_after_backward, "cleared_gradients"),
        (tuning_updates.head_replaced, "other_parameters"),
        (tuning_losses.loss_wrapped_again, "loss_detached"),
    ],
)
def test_a_faulty_loop_is_named_and_its_clean_twin_is_not(
    tmp_path: Path, loop: Loop, cause: str
) -> None:
    leading = _judged(loop, tmp_path / "faulty", faulty=True).leading()
    assert leading is not None
    assert leading.causes[0] == cause
    assert _judged(loop, tmp_path / "twin", faulty=False).warnings() == []
