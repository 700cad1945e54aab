"""The check of the first steps as it is printed."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator

import pytest

from tests.headless.fakes import started
from tui_trainer.headless.check_report import item_lines, print_check, summary
from tui_trainer.protocol.answers import ItemChecked
from tui_trainer.protocol.checked import CHECK_SIGNS, Checked, CheckItem, counts
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.exit_codes import ExitCode


def item(verdict: Checked, **fields: object) -> CheckItem:
    values: dict[str, object] = {
        "name": "one-batch",
        "verdict": verdict,
        "title": "one batch is learned",
        "evidence": "32 of 32",
        "lesson": 19,
        "value": 1.0,
        **fields,
    }
    return CheckItem(**values)  # type: ignore[arg-type]


def events(*items: CheckItem) -> Iterator[Event]:
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    yield started()
    for place, each in enumerate(items, start=1):
        yield ItemChecked(item=each, done=place, total=len(items))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("pass", "pass"), ExitCode.FINISHED),
        (("pass", "look"), ExitCode.FINISHED),
        (("pass", "look", "fail"), ExitCode.CHECK_FAILED),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_only_a_failure_changes_the_code(
    verdicts: tuple[Checked, ...], code: ExitCode, as_json: bool
) -> None:
    assert print_check(events(*map(item, verdicts)), as_json=as_json) == code


def test_an_item_is_its_judgement_its_numbers_and_what_to_try() -> None:
    good, bad = item("pass"), item("fail", advice="a tenth of the rate")

    assert item_lines(good) == [
        "✓ one batch is learned  [topic 19: seeing early that a network fails]",
        "  32 of 32",
    ]
    assert item_lines(bad)[0].startswith("✗")
    assert item_lines(bad)[2] == "  try: a tenth of the rate"


def test_items_are_printed_as_they_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def watched() -> Iterator[Event]:
        for event in events(item("pass", title="the first"), item("look", title="the second")):
            yield event
            seen.append(capsys.readouterr().out)

    print_check(watched(), as_json=False)
    end = capsys.readouterr().out

    assert "era-s6" in "".join(seen[:2])
    assert "the first" in seen[2]
    assert "the second" in seen[3]
    assert end.strip().startswith("0 fail, 1 to look at, 1 pass")


def test_json_is_one_strict_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(events(item("pass"), item("fail", value=math.nan)), as_json=True)
    out, err = capsys.readouterr()

    def no_constant(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    record = json.loads(out, parse_constant=no_constant)
    assert err == ""
    assert [entry["value"] for entry in record["items"]] == [1.0, None]
    assert record["counts"] == {"fail": 1, "look": 0, "pass": 1}


def test_what_is_printed_on_the_way_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def talking() -> Iterator[Event]:
        print("forward!")
        yield from events(item("pass"))

    print_check(talking(), as_json=True)
    out, err = capsys.readouterr()

    assert "forward!" in err
    assert json.loads(out)["items"]


class Terminal(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_live_line_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    print_check(events(item("pass"), item("pass")), as_json=False)

    assert "checking: 1 of 2 done" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "checking" not in capsys.readouterr().out


def test_counts_have_every_verdict_in_the_order_of_its_gravity() -> None:
    number = counts([item("pass"), item("fail"), item("pass")])

    assert number == {"fail": 1, "look": 0, "pass": 2}
    assert list(number) == list(CHECK_SIGNS)
    assert summary([item("pass")], 12.6) == "0 fail, 0 to look at, 1 pass, in 13 s"
