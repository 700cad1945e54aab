from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from tests.headless.fakes import Engine, finished, started, whole_run
from tui_trainer.headless.runner import run_headless
from tui_trainer.history.target import Target
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Diverged, Event, RunFailed
from tui_trainer.protocol.exit_codes import ExitCode, exit_code_help


def run(
    events: Iterator[Event],
    *,
    target: float | None = None,
    json_lines: bool = False,
    debug: bool = False,
) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run_headless(
        events,
        Inbox(),
        target=None if target is None else Target(target),
        json_lines=json_lines,
        debug=debug,
        stdout=out,
        stderr=err,
    )
    return code, out.getvalue(), err.getvalue()


def test_the_numbers_are_the_promised_ones() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "FINISHED": 0,
        "FAILED": 1,
        "BAD_INPUT": 2,
        "TARGET_MISSED": 3,
        "DIVERGED": 4,
        "DESIGN_ERROR": 5,
        "CHECK_FAILED": 6,
        "UNSAVED": 7,
        "REPLAY_DIFFERS": 8,
        "REJECTED": 9,
        "NO_TRAINER": 10,
        "UNCONFIRMED": 11,
        "COMMAND_TOO_LATE": 12,
        "NO_SUGGESTION": 13,
        "REQUIREMENT_MISSED": 14,
        "SUBMISSION_FAILED": 15,
        "DISCONNECTED": 129,
        "INTERRUPTED": 130,
        "OUTPUT_CLOSED": 141,
        "TERMINATED": 143,
    }
    assert all(code.meaning for code in ExitCode)
    assert exit_code_help().splitlines()[17] == "130  interrupted (Ctrl+C)"


@pytest.mark.parametrize(
    ("reason", "code"), [("completed", 0), ("stopped", 0), ("interrupted", 130), ("diverged", 4)]
)
def test_the_reason_decides(reason: str, code: int) -> None:
    assert run(Engine([started(), finished(reason)]))[0] == code


@pytest.mark.parametrize(
    ("correct", "target", "code"),
    [
        (9_931, 0.9930, 0),
        (9_004, 90.04 / 100, 0),  # in floats a little more than 9004 / 10000
        (9_931, 0.9932, 3),
        (None, 0.5, 3),
        (None, None, 0),
    ],
)
def test_a_target_is_met_or_missed(correct: int | None, target: float | None, code: int) -> None:
    assert run(Engine([started(), finished(correct=correct)]), target=target)[0] == code


def test_a_missed_target_shows_both_figures() -> None:
    code, _, err = run(Engine([finished(correct=9_910)]), target=0.994)
    assert code == 3
    assert "✗ target missed: test 99.10 % is below the target of 99.40 %\n" in err


def test_figures_that_round_alike_get_more_digits() -> None:
    _, _, err = run(Engine([finished(correct=9_931)]), target=0.99314)
    assert "test 99.31000 % is below the target of 99.31400 %" in err


def test_a_target_without_a_test_evaluation_is_missed() -> None:
    code, _, err = run(Engine([finished(correct=None)]), target=0.994)
    assert code == 3
    assert "target missed: the test set was not evaluated; the target is 99.40 %" in err


@pytest.mark.parametrize("reason", ["interrupted", "diverged"])
def test_a_missed_target_does_not_hide_how_the_run_ended(reason: str) -> None:
    code, _, err = run(Engine([finished(reason, correct=None)]), target=0.99)
    assert code in (4, 130)
    assert "target" not in err


def test_a_divergence_is_reported_with_its_learning_rate() -> None:
    events: list[Event] = [started(), Diverged(step=1_234, epoch=3, lr=0.5)]
    code, out, err = run(Engine([*events, finished("diverged", correct=None)]))
    assert code == 4
    assert "✗ diverged at step 1,234, epoch 3" in err
    assert "learning rate 0.5" in err
    assert out.startswith("test not evaluated: the training diverged\n")


@pytest.mark.parametrize("json_lines", [False, True])
def test_bad_input_is_one_line_and_nothing_on_stdout(json_lines: bool) -> None:
    engine = Engine([], InputError("run.toml, line 3: lr needs a number"))
    code, out, err = run(engine, json_lines=json_lines)
    assert (code, out) == (2, "")
    assert err == "mnist-tui: error: run.toml, line 3: lr needs a number\n"
    assert engine.closed


def test_a_failure_is_one_line_and_a_hint() -> None:
    failed = RunFailed(message="RuntimeError: shapes\ndiffer", traceback="Traceback: the lot\n")
    code, _, err = run(Engine([failed]))
    assert code == 1
    assert err.splitlines() == [
        "mnist-tui: error: training failed: RuntimeError: shapes differ",
        "run it again with --debug for the traceback",
    ]


def test_debug_shows_the_traceback_and_no_hint() -> None:
    failed = RunFailed(message="oops", traceback="Traceback:\n  the lot\n")
    code, _, err = run(Engine([failed]), debug=True)
    assert code == 1
    assert err == "Traceback:\n  the lot\nmnist-tui: error: training failed: oops\n"


def test_an_exception_of_the_iterator_is_a_failure() -> None:
    engine = Engine([started()], ValueError("bad shape"))
    code, _, err = run(engine)
    assert code == 1
    assert "training failed: ValueError: bad shape\n" in err
    assert "Traceback" not in err
    assert engine.closed
    _, _, err = run(Engine([], ValueError("bad shape")), debug=True)
    assert "Traceback (most recent call last)" in err


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")]
)
def test_too_little_memory_has_an_advice(error: Exception) -> None:
    code, _, err = run(Engine([], error))
    assert code == 1
    assert "use a smaller batch size" in err


def test_other_failures_have_no_advice_about_memory() -> None:
    trace = "File x, in f\n  except MemoryError:  # out of memory\nValueError: 3\n"
    assert "batch size" not in run(Engine([RunFailed(message="3", traceback=trace)]))[2]


def test_a_very_long_message_is_clipped() -> None:
    _, _, err = run(Engine([], RuntimeError("word " * 1_000)))
    assert len(err.splitlines()[0]) < 450


def test_a_run_without_an_end_is_a_failure() -> None:
    code, _, err = run(Engine([started()]))
    assert code == 1
    assert "ended without a result" in err


def test_a_broken_pipe_inside_the_run_is_not_a_closed_output() -> None:
    code, _, err = run(Engine([started()], BrokenPipeError(32, "Broken pipe")))
    assert code == 1
    assert "training failed: BrokenPipeError" in err


def test_a_good_run_closes_the_engine() -> None:
    engine = Engine(whole_run())
    assert run(engine)[0] == 0
    assert engine.closed


@pytest.mark.parametrize(
    ("accuracy", "code", "line"),
    [
        (0.95, ExitCode.FINISHED, "✓ target reached: validation at least 95.00 % in each of the"),
        (0.97, ExitCode.TARGET_MISSED, "✗ target missed: validation at least 97.00 % in 0 of the"),
    ],
)
def test_the_last_epochs_decide(accuracy: float, code: ExitCode, line: str) -> None:
    err = io.StringIO()
    target = Target(accuracy, last=2)
    found = run_headless(
        iter(whole_run()), Inbox(), target=target, stdout=io.StringIO(), stderr=err
    )
    assert found == code
    assert line in err.getvalue()
