"""The preflight check as it is printed."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator

import pytest

from tests.headless.fakes import started
from tests.protocol.questions import CHECK
from tui_trainer.headless.check_report import print_check, summary
from tui_trainer.headless.event_text import diagnosis_lines
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.diagnosis import SIGNS, Diagnosis, Severity, counts
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.exit_codes import ExitCode


def item(severity: Severity, **fields: object) -> Diagnosis:
    values: dict[str, object] = {
        "code": "one-batch",
        "severity": severity,
        "title": "one batch is learned",
        "evidence": "32 of 32",
        "lesson": 19,
        "value": 1.0,
        **fields,
    }
    return Diagnosis(**values)  # type: ignore[arg-type]


def events(*items: Diagnosis) -> Iterator[Event]:
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    yield started()
    for place, each in enumerate(items, start=1):
        yield Answered(question=CHECK, content=each, step=0, done=place, total=len(items))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("ok", "ok"), ExitCode.FINISHED),
        (("ok", "warning"), ExitCode.FINISHED),
        (("ok", "warning", "error"), ExitCode.CHECK_FAILED),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_only_a_failure_changes_the_code(
    verdicts: tuple[Severity, ...], code: ExitCode, as_json: bool
) -> None:
    assert print_check(events(*map(item, verdicts)), as_json=as_json) == code


def test_an_item_has_its_verdict_numbers_and_advice() -> None:
    good, bad = item("ok"), item("error", advice="a tenth of the rate")

    assert diagnosis_lines(good) == [
        "✓ one batch is learned  [lesson 19: seeing early that a network fails]",
        "  32 of 32",
    ]
    assert diagnosis_lines(bad)[0].startswith("✗")
    assert diagnosis_lines(bad)[2] == "  try: a tenth of the rate"


def test_items_are_printed_as_they_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def watched() -> Iterator[Event]:
        for event in events(item("ok", title="the first"), item("warning", title="the second")):
            yield event
            seen.append(capsys.readouterr().out)

    print_check(watched(), as_json=False)
    end = capsys.readouterr().out

    assert "era-s6" in "".join(seen[:2])
    assert "the first" in seen[2]
    assert "the second" in seen[3]
    assert end.strip().startswith("0 errors, 1 warning, 1 ok")


def test_json_is_one_strict_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(events(item("ok"), item("error", value=math.nan)), as_json=True)
    out, err = capsys.readouterr()

    def no_constant(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    record = json.loads(out, parse_constant=no_constant)
    assert err == ""
    assert [entry["value"] for entry in record["items"]] == [1.0, None]
    assert record["counts"] == {"error": 1, "warning": 0, "note": 0, "ok": 1}


def test_model_output_is_printed_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def talking() -> Iterator[Event]:
        print("forward!")
        yield from events(item("ok"))

    print_check(talking(), as_json=True)
    out, err = capsys.readouterr()

    assert "forward!" in err
    assert json.loads(out)["items"]


class Terminal(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_live_line_shows_the_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    print_check(events(item("ok"), item("ok")), as_json=False)

    assert "checking: 1 of 2 done" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "checking" not in capsys.readouterr().out


def test_counts_have_every_severity_the_worst_first() -> None:
    number = counts([item("ok"), item("error"), item("ok")])

    assert number == {"error": 1, "warning": 0, "note": 0, "ok": 2}
    assert list(number) == list(SIGNS)
    assert summary([item("ok")], 12.6) == "0 errors, 0 warnings, 1 ok, in 13 s"
