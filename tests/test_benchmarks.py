"""The parts of the benchmarks that need no measuring: arithmetic, names, reading a screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from tests.benchmarks import attach, attached, keys, memory, screen, speed
from tests.benchmarks.comparisons import COMPARISONS, Comparison, Entry, select
from tests.benchmarks.contender_runner import ContenderRunner
from tests.benchmarks.measure import Pair, paired, percentile, slope, write_figures, write_json
from tests.benchmarks.meter import Meter
from tests.benchmarks.processes import ROOT, ContenderError, SkippedError, child, finish, tail
from tests.benchmarks.terminal import terminal


def test_a_figure_is_the_median_of_paired_ratios() -> None:
    figure = paired("a/b", [(1.0, 2.0), (30.0, 10.0), (4.0, 4.0)], "s")
    assert (figure.ratio, figure.low, figure.high) == (1.0, 0.5, 3.0)
    assert (figure.a, figure.b, figure.unit) == (4.0, 4.0, "s")


@pytest.mark.parametrize("pairs", [[], [(1.0, 0.0)], [(float("nan"), 1.0)], [(1.0, float("inf"))]])
def test_what_is_no_ratio_is_refused(pairs: list[Pair]) -> None:
    with pytest.raises(ValueError, match="a/b"):
        paired("a/b", pairs, "s")


def test_percentiles_lie_between_two_values() -> None:
    values = [float(value) for value in range(101)]
    assert [percentile(values, share) for share in (0, 0.5, 0.95, 1)] == [0, 50, 95, 100]
    assert percentile([1.0, 2.0], 0.25) == 1.25
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_growth_is_the_slope_of_the_second_half() -> None:
    assert slope([(0.0, 5.0)]) == 0.0
    samples = [(0.0, 100.0), (30.0, 900.0), *((60.0 + x, 500.0 + x / 36) for x in (0.0, 36.0))]
    result = memory.growth(samples)
    assert (result.first_mb, result.last_mb, result.peak_mb) == (500.0, 501.0, 900.0)
    assert result.mb_per_hour == pytest.approx(100.0)
    assert "+100.0 MB per hour" in memory.table(samples, result)[-1]


def test_comparisons_are_chosen_by_name_family_or_entry() -> None:
    def chosen(*names: str) -> list[str]:
        return [entry.name for comparison in select([*names]) for entry in comparison.entries]

    assert chosen("app/bare") == ["app/bare", "app-numbers/target", "app-curves/target"]
    assert chosen("app-curves") == ["app-curves/target"]
    assert chosen("key-screen") == [f"key-screen-p{p}/paused" for p in (50, 95, 99)]
    assert chosen("key-effect-p95/batch", "memory") == ["memory/bare", "key-effect-p95/batch"]
    assert select([]) == list(COMPARISONS)
    names = [entry.name for comparison in COMPARISONS for entry in comparison.entries]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nothing"],
        ["--seconds", "0"],
        ["--seconds", "soon"],
        ["--seconds", "nan"],
        ["--rounds", "-1"],
        ["--rounds", "2.5"],
        ["--threads", "0"],
        ["--json", "no/such/folder/figures.json"],
    ],
)
def test_unusable_input_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        speed.main(arguments)
    out, err = capsys.readouterr()
    assert left.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert arguments[0] in err
    if arguments[0] == "--only":
        assert all(comparison.name in err for comparison in COMPARISONS)


@pytest.mark.parametrize("how", [["tests/benchmarks/speed.py"], ["-m", "tests.benchmarks.speed"]])
def test_it_runs_as_a_file_and_as_a_module(how: list[str]) -> None:
    command = [sys.executable, *how, "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [c.name for c in COMPARISONS]


def test_json_has_the_fields_and_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write_figures(path, [paired("a/b", [(1.0, 2.0)], "MB")])
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content == [
        {"name": "a/b", "ratio": 0.5, "low": 0.5, "high": 0.5, "a": 1.0, "b": 2.0, "unit": "MB"}
    ]
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, [float("nan")])
    assert json.loads(path.read_text(encoding="utf-8")) == content
    assert os.listdir(tmp_path) == ["figures.json"]


def test_a_crash_costs_only_that_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
        raise ContenderError("exit code 1\nlast words")

    def skip(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
        raise SkippedError("not installed")

    def work(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
        return {"quick/slow": (1.0, 2.0 + number)}

    goal = Entry("quick/slow", "s", "ratio ≤ 0.4", lambda figure: figure.ratio <= 0.4)
    chosen = [
        Comparison("crash", "crashes", (Entry("crash", "s"),), crash),
        Comparison("skip", "is left out", (Entry("skip", "s"),), skip),
        Comparison("work", "works", (goal, Entry("unmeasured", "s")), work),
    ]
    path = tmp_path / "figures.json"
    assert (
        speed.measure(ContenderRunner(1.0, tmp_path, speed.report_progress, 1), chosen, 3, path)
        == 1
    )
    out, err = capsys.readouterr()
    assert "last words" in err
    assert "skipped: not installed" in err
    assert "quick/slow" in out
    assert "0.250–0.500" in out
    assert "met" in out
    assert [figure["ratio"] for figure in json.loads(path.read_text())] == [pytest.approx(1 / 3)]


def test_the_meter_leaves_the_warm_up_out(tmp_path: Path) -> None:
    # Steps end at 10, 11, 12: then a second and a half and three steps are over.
    times = iter([10.0, 11.0, 12.0, 12.5, 13.5, 14.0])
    marker = tmp_path / "warm"
    meter = Meter(2.0, marker, lambda: next(times))
    assert [meter.step(100) for _ in range(2)] == [False, False]
    assert not marker.exists()
    assert [meter.step(100) for _ in range(3)] == [False, False, False]
    assert marker.exists()
    with pytest.raises(RuntimeError, match="before"):
        meter.report()
    assert meter.step(40)
    report = meter.report()
    assert (report.first_step, report.began, report.ended) == (10.0, 12.0, 14.0)
    assert report.images_per_second == 120.0
    assert report.step_seconds == 0.5
    assert report.epoch_seconds == 500.0
    assert report.rss_mb > 1
    meter.changes.append((13.0, 0.2))
    meter.write(tmp_path / "report.json")
    assert report.read(tmp_path / "report.json") == meter.report()


def test_the_meter_waits_for_its_gate(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    times = iter([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    meter = Meter(1.0, clock=lambda: next(times), gate=gate)
    assert [meter.step(100) for _ in range(4)] == [False] * 4
    gate.touch()
    assert [meter.step(100) for _ in range(2)] == [False, True]
    assert meter.report().began == 4.0


def test_keys_return_to_the_first_lr_and_repeat_none_too_soon() -> None:
    planned = keys.plan(3)
    rates = [keys.FIRST_LR, *(key.lr for key in planned)]
    assert len(planned) >= 40
    assert rates[-1] == keys.FIRST_LR
    assert all(a != b for a, b in pairwise(rates))
    assert {key.key for key in planned} == {"+", "-"}
    assert all(0.1 <= key.pause <= 0.4 for key in planned)
    assert keys.plan(3) == planned != keys.plan(4)


def test_each_key_is_matched_with_its_answer() -> None:
    pressed = [keys.Press(1.0, 0.05), keys.Press(2.0, 0.02), keys.Press(3.0, 0.05)]
    changes = [(0.5, 0.05), (1.25, 0.05), (2.5, 0.02), (3.125, 0.05)]
    assert keys.answer_seconds(pressed, changes) == [0.25, 0.5, 0.125]
    assert keys.answer_seconds(pressed, changes[:2]) == [0.25]


def test_the_keys_of_an_attached_window_end_at_the_first_settings() -> None:
    planned = attach.plan(20, 128)
    assert [setting for _, setting, _ in planned].count("batch_size") == 4
    assert [value for _, setting, value in planned if setting == "batch_size"] == [64, 128] * 2
    assert [value for _, setting, value in planned if setting == "base_lr"][-1] == attach.FIRST_LR


def test_each_event_is_matched_with_its_key_and_with_the_screen() -> None:
    press, key = attach.Press, attach.Press(1.0, "base_lr", 0.05)
    other = press(2.0, "batch_size", 64.0)
    changes = [press(0.5, "base_lr", 0.05), press(1.25, "base_lr", 0.05)]
    assert attach.matched([key, other], changes) == [(key, changes[1])]
    story = screen.ScreenHistory(
        [
            screen.Change(1.1, 9, "lr 0.1 → 0.05   batch 128"),
            screen.Change(1.5, 9, "lr 0.05   batch 128"),
            screen.Change(2.5, 9, "lr 0.05   batch 64"),
        ],
        [*[""] * 9, "lr 0.05   batch 64"],
    )
    assert attach.to_screen([changes[1], other], story) == [0.25, 0.5]


def test_steps_are_split_by_what_the_window_did() -> None:
    marks = [(0.0, True), (2.0, False), (4.0, True), (5.0, False)]
    steps = [(at, at / 100) for at in (0.25, 1.0, 1.75, 2.25, 3.0, 3.5, 4.75, 6.0)]
    assert attach.split(steps, marks) == ([0.01, 0.0175, 0.0475], [0.03, 0.035])


def test_a_row_is_judged_by_its_95th_percentile() -> None:
    made = attach.row("wait", [float(value) for value in range(101)], "ms", 95.0)
    assert attach.cells(made) == ("wait", "101", "50", "95", "ms", "≤ 95", "met", "")
    late = attach.row("wait", [96.0], "ms", 95.0)
    assert "missed" in attach.table([made, late])[2]
    with pytest.raises(ContenderError, match="nothing"):
        attach.row("wait", [], "ms")


def test_a_record_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    steps = [
        {"event": "StepDone", "step": number, "seconds": seconds, "batch_size": 64, "images": 1}
        for number, seconds in enumerate([0.0, 0.25, 0.5, 1.5])
    ]
    path.write_text("".join(f"{json.dumps(step)}\n" for step in steps[:2]))
    with attached.RecordReader(tmp_path) as record:
        assert record.wait_for("StepDone", 0.0) > 0
        with path.open("a") as file:
            file.write("".join(f"{json.dumps(step)}\n" for step in steps[2:]) + '{"event": "Ru')
            file.write('nFinished"}\n')
        record.wait_for("RunFinished", 0.0)
    read = [step for _, step in record.events("StepDone")]
    assert read == steps
    assert attached.batch_seconds(read, 64) == 0.25
    assert [took for _, took in record.step_times()] == [0.25, 0.25, 1.0]
    with pytest.raises(ContenderError, match="no batches"):
        attached.batch_seconds(read, 128)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_cost_of_a_process_is_read() -> None:
    number = os.getpid()
    assert attached.cpu_seconds(number) > 0
    assert next(iter(attached.thread_seconds(number))) == number
    assert attached.memory_mb(number, "VmHWM") >= attached.memory_mb(number) > 1


def test_the_first_thread_of_a_process_has_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (90, 700, 12):
        (tmp_path / "700" / "task" / str(number)).mkdir(parents=True)
    monkeypatch.setattr(attached, "Path", lambda path: tmp_path / path.removeprefix("/proc/"))
    monkeypatch.setattr(attached, "_ticks", lambda path: float(path.parent.name))
    assert list(attached.thread_seconds(700)) == [700, 12, 90]


def test_a_key_is_seen_by_its_lr_or_a_later_one() -> None:
    pressed = [(1.0, "0.05"), (1.25, "0.02"), (1.5, "0.05"), (9.0, "0.1")]
    shown = [(0.5, "0.1"), (1.125, "0.05"), (1.375, "0.02"), (2.0, "0.05")]
    assert screen.effect_seconds(pressed, shown) == [0.125, 0.125, 0.5]
    # The first key's own learning rate never was on the screen; the second's shows that it arrived.
    assert screen.effect_seconds(pressed[:2], [(1.5, "0.02")]) == [0.5, 0.25]


def status(words: str, row: int = 39) -> bytes:
    return f"\x1b[{row};1H\x1b[38;2;9;9;9m{words}\x1b[0m\x1b[K".encode()


def test_a_screen_is_read_from_what_was_written() -> None:
    pytest.importorskip("pyte")
    curve = "\x1b[5;1H┤⢕⠹⣄  lr 0.1 → 0.05".encode()
    chunks = [
        (0.0, b"\x1b[?1049h\x1b[>1u\x1b[?2026$p\x1b[2J" + curve[:9]),
        (0.01, curve[9:] + b"\x1b[40;1H+- lr  >< batch"),
        (1.0, status("━━ 1/469  lr 0.1   batch 128")),
        (2.0, status("━━ 2/469  lr 0.1 ×0.04 → 0.05   batch 128")[:20]),
        (2.01, status("━━ 2/469  lr 0.1 ×0.04 → 0.05   batch 128")[20:]),
        (3.0, status("━━ 3/469  lr 0.05 ×0.04   batch 128") + b"\x1b[5;2H\x1b["),
        (4.0, "31m⣄".encode()),
        (5.0, status("━━ 3/469  lr 0.05 ×0.04   batch 128")),
    ]
    story = screen.read_screen(chunks)
    assert story.rows[39] == "+- lr  >< batch"
    assert story.rows[4] == "┤⣄⠹⣄  lr 0.1 → 0.05"
    assert screen.status_row(story) == 38
    assert screen.curve_rows(story) == {4}
    assert screen.lrs_shown(story) == [(1.0, "0.1"), (2.01, "0.05")]
    assert screen.confirmed_shown(story, "base_lr") == [(1.0, "0.1"), (3.0, "0.05")]
    assert screen.confirmed_shown(story, "batch_size") == [(1.0, "128")]
    assert screen.number_frames(story, 1.0, 5.0) == 0.75
    assert screen.curve_frames(story, 1.0, 5.0) == 0.25


def test_pieces_of_one_frame_are_counted_once() -> None:
    assert screen.frames([0.0, 1.0, 1.01, 1.02, 2.0, 9.0], 0.5, 4.5) == 0.5


def test_leaving_the_block_ends_the_process_and_a_failure_shows_its_last_words(
    tmp_path: Path,
) -> None:
    with child([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        assert process.poll() is None
    assert process.poll() == -9
    code = "import sys; print('\\n'.join(map(str, range(99)))); sys.exit('last words')"
    with pytest.raises(ContenderError, match=r"(?s)exit code 1.*last words"):
        finish([sys.executable, "-c", code], 1.0, tmp_path)
    assert tail(b"a\nb\xff").splitlines() == ["a", "b\ufffd"]


def test_a_program_in_the_terminal_has_its_size_and_gets_keys() -> None:
    code = (
        "import os; print(*os.get_terminal_size(), os.tcgetpgrp(0) == os.getpgrp()); "
        "print('got', input())"
    )
    with terminal([sys.executable, "-c", code]) as view:
        view.wait_for([b"120 40 True"], 30.0)
        view.press("key\n")
        view.wait_for([b"got key"], 30.0)
        with pytest.raises(ContenderError, match="got key"):
            view.wait_for([b"never"], 0.1)
    assert view.process.poll() is not None
