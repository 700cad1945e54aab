from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Iterable

import pytest

from tests.headless.fakes import Engine, epoch_done, finished, started, whole_run
from tests.protocol import facts
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.events import (
    CheckpointSaved,
    CommandRejected,
    DecodeProgress,
    DownloadProgress,
    Event,
    FindingCleared,
    FindingRaised,
    RecordingFailed,
    SettingChanged,
    StateChanged,
    TestEvaluated,
    to_json,
)
from tui_trainer.stats.intervals import wilson


def run(events: Iterable[Event], *, json_lines: bool = False) -> tuple[str, str]:
    """Return the output of a run to two pipes."""
    out, err = io.StringIO(), io.StringIO()
    run_headless(Engine(events), Inbox(), json_lines=json_lines, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_whole_run_into_pipes() -> None:
    out, err = run(whole_run())
    assert out.splitlines() == [
        "epoch 1/2  train 0.2341  92.81 %  val 0.0712  96.00 % [93.90, 97.40]"
        "     0.8 s  2,000 img/s",
        "epoch 2/2  train 0.2341  92.81 %  val 0.0712  96.00 % [93.90, 97.40]"
        "     0.8 s  2,000 img/s",
        "test 99.31 % [99.13, 99.45] — 9,931 of 10,000, evaluations: 1",
        "validation 96.00 % [93.90, 97.40]",
        "completed: 2 epochs, 20 steps, 5:12, 19,568 parameters",
    ]
    assert err == (
        "era-s6 · 19,568 parameters · mnist 1,000+500 · 2 epochs · batch 100 · "
        "sgd lr 0.1 one-cycle · augmented · seed 0 · cpu ×2\n"
    )


def test_pipes_get_no_carriage_return_and_no_escape_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    downloads = [
        DownloadProgress(dataset="kmnist", file="a.gz", done_bytes=done, total_bytes=10)
        for done in range(11)
    ]
    for text in run([*downloads, *whole_run(), finding()]):
        assert "\r" not in text
        assert "\x1b" not in text


def test_epoch_lines_stay_aligned() -> None:
    events: list[Event] = [started(epochs=10)]
    events += [dataclasses.replace(epoch_done(1, correct=500, seconds=123.4), train_loss=12.3)]
    events += [dataclasses.replace(epoch_done(10, correct=9), images_per_second=12.0)]
    first, second, *_ = run([*events, finished()])[0].splitlines()
    assert first.startswith("epoch  1/10  train 12.300  92.81 %  val 0.0712 100.00 % [99.2")
    assert second.startswith("epoch 10/10  train 0.2341  92.81 %  val 0.0712   1.80 % [0.9")
    assert len(first) == len(second)
    assert [i for i, c in enumerate(first) if c == "%"] == [
        i for i, c in enumerate(second) if c == "%"
    ]


def test_without_a_validation_split_none_is_mentioned() -> None:
    out, err = run(whole_run(val_size=0))
    assert re.search(r"\bval", out + err) is None
    assert "mnist 1,000 ·" in err
    assert out.startswith("epoch 1/2  train 0.2341  92.81 %    0.8 s  2,000 img/s\n")


def test_a_validation_of_another_moment_borrows_no_interval() -> None:
    out, _ = run([started(), epoch_done(1), finished(val_accuracy=0.9)])
    assert "validation 90.00 %\n" in out


@pytest.mark.parametrize("test_evaluations", [2, 3])
def test_several_test_evaluations_are_counted(test_evaluations: int) -> None:
    out, _ = run([started(), finished(test_evaluations=test_evaluations)])
    assert out.splitlines()[:2] == [
        f"test 99.31 % [99.13, 99.45] — 9,931 of 10,000, evaluations: {test_evaluations}",
        f"after {test_evaluations} test evaluations, this result is no longer "
        "independent of your choices",
    ]


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("interrupted", "the run was interrupted"),
        ("stopped", "the run was stopped without a test evaluation"),
        ("diverged", "the training diverged"),
        ("completed", "--no-test keeps it sealed"),
    ],
)
def test_an_unread_test_set_has_a_reason(reason: str, why: str) -> None:
    out, _ = run([started(), finished(reason, correct=None)])
    assert out.splitlines()[0] == f"test not evaluated: {why}"


def test_json_lines_are_the_events_and_nothing_else() -> None:
    events = [*whole_run()[:-1], finding(), whole_run()[-1]]
    out, err = run(events, json_lines=True)
    assert out.splitlines() == [to_json(event) for event in events]
    records = [json.loads(line) for line in out.splitlines()]
    assert records[-1]["event"] == "RunFinished"
    assert records[-1]["test_correct"] == 9_931
    assert "▲ overfitting" in err
    assert "validation 96" not in err


class CountingStream(io.StringIO):
    flushed_lines = 0

    def flush(self) -> None:
        self.flushed_lines = self.getvalue().count("\n")


def test_every_json_line_is_flushed_before_the_next_event() -> None:
    out = CountingStream()

    def engine() -> Iterable[Event]:
        for number, event in enumerate(whole_run()):
            assert out.flushed_lines == number
            yield event

    code = run_headless(iter(engine()), Inbox(), json_lines=True, stdout=out, stderr=io.StringIO())
    assert code == 0
    assert out.flushed_lines == len(whole_run())


def finding(severity: str = "warning") -> FindingRaised:
    return FindingRaised(
        code="overfit",
        severity="error" if severity == "error" else "warning",
        title="overfitting",
        evidence="validation loss up 0.012, 3.1 standard errors",
        advice="dropout 0.1",
        step=1_240,
        lesson=15,
    )


def evaluation(number: int) -> TestEvaluated:
    correct, total = 9_871, 10_000
    return facts.evaluated(
        evaluation=number,
        step=860,
        test_accuracy=correct / total,
        test_correct=correct,
        test_total=total,
        test_interval=wilson(correct, total),
    )


def setting(name: str, old: float, new: float) -> SettingChanged:
    return SettingChanged(setting=name, old=old, new=new, step=1_240, epoch=2, images=9)


EVIDENCE = "validation loss up 0.012, 3.1 standard errors\n  try: dropout 0.1"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (finding(), f"▲ overfitting, since step 1,240: {EVIDENCE}"),
        (finding("error"), f"✗ overfitting, since step 1,240: {EVIDENCE}"),
        (setting("base_lr", 0.1, 0.05), "▼ learning rate 0.1 → 0.05 after step 1,240"),
        (setting("batch_size", 128, 1_024), "▼ batch size 128 → 1,024 after step 1,240"),
        (setting("augmentation", 1, 0), "▼ augmentation on → off after step 1,240"),
        (setting("dropout", 0, 0.1), "▼ dropout 0 → 0.1 after step 1,240"),
        (
            CommandRejected(command="SetDropout", reason="no dropout\nlayer", step=3),
            "▲ SetDropout rejected: no dropout layer",
        ),
        (
            RecordingFailed(path="runs/1", message="No space left on device"),
            "▲ not saved: runs/1: No space left on device; "
            "training continues; saving will be retried",
        ),
        (StateChanged(state="preparing", step=0, detail="mnist"), "preparing: mnist"),
        (StateChanged(state="paused", step=1_240), "paused at step 1,240"),
    ],
)
def test_each_event_is_a_line_of_prose_and_its_advice_another(event: Event, line: str) -> None:
    out, err = run([event, finished()])
    assert err == f"{line}\n"
    assert out == run([finished()])[0]


def test_a_cleared_finding_is_reported_by_its_title() -> None:
    cleared = FindingCleared(code="overfit", step=2_000)
    _, err = run([finding(), cleared])
    assert err.splitlines()[2] == "✓ cleared at step 2,000: overfitting"


def test_only_a_pause_makes_training_go_on() -> None:
    training = StateChanged(state="training", step=5)
    _, err = run([training, StateChanged(state="paused", step=5), training, training, finished()])
    assert err.splitlines() == ["paused at step 5", "training continues"]


def test_a_test_evaluation_is_reported_and_the_last_one_only_in_the_summary() -> None:
    testing = StateChanged(state="testing", step=860)
    _, err = run(
        [
            evaluation(1),
            testing,
            epoch_done(1),
            evaluation(2),
            testing,
            CheckpointSaved(step=860, epoch=1, files=("last",)),
            finished(test_evaluations=2),
        ]
    )
    assert err == ("◆ test 98.71 % [98.47, 98.91] — 9,871 of 10,000, evaluations: 1, step 860\n")


def test_with_json_the_last_test_evaluation_is_the_result_shown() -> None:
    _, err = run([evaluation(1), finished()], json_lines=True)
    assert "test 98.71 %" in err


def test_downloads_have_a_line_at_either_end() -> None:
    def part(file: str, done: int, total: int) -> DownloadProgress:
        return DownloadProgress(
            dataset="kmnist", file=file, done_bytes=done * 100_000, total_bytes=total * 100_000
        )

    events: list[Event] = [part("a.gz", done, 99) for done in (0, 50, 99, 99)]
    events += [part("b.gz", done, 0) for done in (0, 5)]
    events += [part("c.gz", done, 0) for done in (0, 7)]
    _, err = run([*events, started()])
    assert err.splitlines()[:-2] == [
        "downloading kmnist a.gz, 9.9 MB",
        "downloaded kmnist a.gz, 9.9 MB",
        "downloading kmnist b.gz",
        "downloaded kmnist b.gz, 0.5 MB",
        "downloading kmnist c.gz",
        "downloaded kmnist c.gz, 0.7 MB",
    ]


def test_an_interrupted_download_is_not_called_downloaded() -> None:
    half = DownloadProgress(dataset="kmnist", file="a.gz", done_bytes=5, total_bytes=10)
    unknown = DownloadProgress(dataset="kmnist", file="b.gz", done_bytes=5, total_bytes=0)
    assert "downloaded" not in run([half, unknown])[1]


def test_decoding_has_one_line() -> None:
    steps = [(0, 0), (900, 0), (0, 750), (400, 750), (750, 750)]
    events: list[Event] = [DecodeProgress(folder="cats", done=a, total=b) for a, b in steps]
    _, err = run([*events, started()])
    assert err.splitlines()[:-2] == ["decoding 750 pictures in cats"]
