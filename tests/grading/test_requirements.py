"""Requirements against figures; outcomes as text in several formats."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.grading.figures import FiguresError, ModelFigures
from tui_trainer.grading.junit import junit_xml
from tui_trainer.grading.outcome import Outcome, Status, exit_code_of, tally
from tui_trainer.grading.requirements import Check, Requirements, kinds_of
from tui_trainer.grading.submissions import submissions_in
from tui_trainer.headless.verify_text import csv_text, markdown_text
from tui_trainer.history.seed_results import SeedResult
from tui_trainer.history.target import Target, Verdict
from tui_trainer.protocol.errors import InputError

FIGURES = ModelFigures(
    parameters=8_000,
    multiply_adds=100_000,
    receptive_field=(30, 28),
    last_receptive_field=None,
    undefined="after fft2: no field",
    components={"batch-norm": ("a", "b"), "linear": ("",)},
    defined={"dropout": ("drop",)},
    review_errors=("softmax is applied twice",),
)


def check_of(figures: ModelFigures = FIGURES, **wanted: Any) -> Check:
    (found,) = Requirements(**wanted).checks(figures)
    return found


@pytest.mark.parametrize(
    ("wanted", "is_met", "line"),
    [
        ({"params": 8_000}, True, "params at most 8,000: 8,000"),
        ({"params": 7_999}, False, "params at most 7,999: 8,000"),
        ({"multiply_adds": 99_999}, False, "multiply-adds at most 99,999: 100,000"),
        ({"receptive_field": 28}, True, "receptive-field at least 28×28: 30×28"),
        ({"receptive_field": 29}, False, "receptive-field at least 29×29: 30×28"),
        (
            {"last_receptive_field": 5},
            False,
            "last-receptive-field at least 5×5: undefined (after fft2: no field)",
        ),
        ({"has": ("batch-norm",)}, True, "has batch-norm: 2, a, b"),
        (
            {"has": ("dropout",)},
            False,
            "has dropout: none (drop: defined, but no logit depends on it)",
        ),
        ({"no": ("linear",)}, False, "no linear: 1, forward"),
        ({"no": ("gap",)}, True, "no gap: none"),
        ({"review": True}, False, "review no error: 1 error: softmax is applied twice"),
    ],
)
def test_each_requirement_has_its_figure(wanted: dict[str, Any], is_met: bool, line: str) -> None:
    found = check_of(**wanted)

    assert (found.is_met, found.line) == (is_met, line)


def test_what_cannot_be_checked_is_not_met() -> None:
    unknown = ModelFigures(parameters=1, multiply_adds=1, undefined="no trace")
    wanted = Requirements(has=("gap",), no=("linear",), receptive_field=1, review=True)

    checks = wanted.checks(unknown)
    assert not any(check.is_met for check in checks)
    assert all("no trace" in check.line for check in checks)
    assert wanted.checks(None) == ()


def test_a_measured_field_has_a_note() -> None:
    figures = ModelFigures(
        parameters=1,
        multiply_adds=1,
        receptive_field=(28, 28),
        measured=("receptive_field",),
        undefined="after fft2",
    )
    assert check_of(figures, receptive_field=28).line.endswith("28×28 (measured: after fft2)")


def seed(accuracy: float, interval: tuple[float, float], last: int | None = 1) -> SeedResult:
    verdict = Verdict(Target(0.994, last), ((1, accuracy),))
    return SeedResult(seed=0, state="completed", verdict=verdict, interval=interval)


@pytest.mark.parametrize(
    ("accuracy", "interval", "is_met", "note"),
    [
        (0.9938, (0.992, 0.995), False, "includes the target: not clearly missed"),
        (0.9942, (0.992, 0.996), True, "includes the target: not clearly reached"),
        (0.98, (0.975, 0.985), False, "95 % interval [97.50, 98.50]"),
        (0.999, (0.998, 0.9995), True, "95 % interval [99.80, 99.95]"),
    ],
)
def test_the_verdict_on_accuracy_shows_its_noise(
    accuracy: float, interval: tuple[float, float], is_met: bool, note: str
) -> None:
    wanted = Requirements(target=Target(0.994, 1))
    (found,) = wanted.checks(FIGURES, [seed(accuracy, interval)])

    assert found.is_met is is_met
    assert found.note.endswith(note)
    assert f"{100 * accuracy:.2f} %" in found.figure
    assert found.value == accuracy


def test_a_training_without_a_verdict_is_not_met() -> None:
    wanted = Requirements(target=Target(0.5))
    (found,) = wanted.checks(FIGURES, [SeedResult(seed=3, state="interrupted")])

    assert (found.is_met, found.line) == (False, "accuracy of seed 3: the training is interrupted")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"params": 0}, "--params 0: choose from 1 to"),
        ({"multiply_adds": -1}, "--multiply-adds -1: choose"),
        ({"receptive_field": 10**13}, "--receptive-field 10000000000000: choose"),
        ({"has": ("gap",), "no": ("gap",)}, "--no gap: is also given with --has"),
    ],
)
def test_bad_requirements(wanted: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Requirements(**wanted)


def test_kinds_are_separated_by_commas_or_repeated() -> None:
    assert kinds_of("--has", ["gap, Dropout", "gap"]) == ("gap", "dropout")
    for bad in ("", "gap,", "batchnorm", "\x1b[31m"):
        with pytest.raises(InputError, match=r"^--has .*: choose from batch-norm, layer-norm"):
            kinds_of("--has", [bad])


# --- records of another process


def test_figures_survive_json() -> None:
    assert ModelFigures.of(json.loads(json.dumps(FIGURES.record()))) == FIGURES


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": -1},
        {"parameters": True},
        {"parameters": "1"},
        {"multiply_adds": None},
        {"receptive_field": 3},
        {"receptive_field": [1, 2, 3]},
        {"receptive_field": [1, "2"]},
        {"components": 3},
        {"components": {"gap": 3}},
        {"review_errors": 1},
    ],
)
def test_invalid_figures_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FiguresError):
        ModelFigures.of({**FIGURES.record(), **change})
    others: list[Any] = [None, [], "x", {}]
    for other in others:
        with pytest.raises(FiguresError):
            ModelFigures.of(other)


def test_texts_of_a_submission_are_clipped_and_one_line() -> None:
    record = {**FIGURES.record(), "components": {"gap": ["a\n\x1b[31m" + "x" * 999], "none": ["b"]}}
    found = ModelFigures.of(record)

    assert found.components is not None
    assert [*found.components] == ["gap"]
    assert found.components["gap"][0].startswith("a [31mx")
    assert len(found.components["gap"][0]) == 80


# --- outcomes

HOSTILE = "=cmd()\x1b[31m\x00]]><b>&\"'\ud800"
OUTCOMES = [
    Outcome(
        name="ok.py",
        model="Net",
        status=Status.MET,
        checks=Requirements(params=8_000).checks(FIGURES),
        figures=FIGURES,
        seconds=1.5,
    ),
    Outcome(
        name=HOSTILE,
        model=HOSTILE,
        status=Status.NOT_MET,
        checks=(
            *Requirements(params=1).checks(FIGURES),
            Check(HOSTILE, HOSTILE, False, HOSTILE, None, HOSTILE),
        ),
        figures=FIGURES,
    ),
    Outcome(name="slow.py", status=Status.TIME_LIMIT, problem=HOSTILE),
    Outcome(name="later.py", status=Status.NOT_VERIFIED, problem="interrupted"),
]


def test_the_exit_code_of_the_worst() -> None:
    assert exit_code_of(OUTCOMES) == 15
    assert exit_code_of(OUTCOMES[:2]) == 14
    assert exit_code_of(OUTCOMES[:1]) == 0
    assert exit_code_of(OUTCOMES[3:]) == 14
    assert tally(OUTCOMES) == ("4 submissions: 1 met, 1 not met, 1 time limit, 1 not verified")


def test_junit_xml_has_what_its_schemas_ask_for() -> None:
    text = junit_xml(OUTCOMES, datetime(2026, 5, 4, 3, 2, 1))
    root = ET.fromstring(text.encode())

    assert (root.tag, root.attrib) == ("testsuites", {})
    for number, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert {*suite.attrib} == {
            *("name", "package", "id", "timestamp", "hostname", "time"),
            *("tests", "failures", "errors", "skipped"),
        }
        assert suite.get("id") == str(number)
        assert suite.get("timestamp") == "2026-05-04T03:02:01"
        tags = [child.tag for child in suite]
        cases = suite.findall("testcase")
        order = ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        assert tags == order
        assert suite.get("tests") == str(len(cases))
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(count) == str(len(suite.findall(f"testcase/{tag}")))
        for case in cases:
            assert {*case.attrib} == {"classname", "name", "time"}
            assert float(case.get("time", "")) >= 0
            assert len(case) <= 1
            assert all(child.get("message") for child in case)
    counts = [tuple(s.get(k) for k in ("tests", "failures", "errors", "skipped")) for s in root]
    assert counts == [
        ("2", "0", "0", "0"),
        ("3", "2", "0", "0"),
        ("1", "0", "1", "0"),
        ("1", "0", "0", "1"),
    ]
    assert root[1].get("name") == "=cmd()\ufffd[31m\ufffd]]><b>&\"'\ufffd"
    assert root[2].findtext("testcase/error") == root[1].get("name")


def test_csv_has_no_formula() -> None:
    rows = [*csv.DictReader(io.StringIO(csv_text(OUTCOMES)))]

    assert [row["status"] for row in rows] == ["met", "not met", "time limit", "not verified"]
    assert [row["params"] for row in rows] == ["true", "false", "", ""]
    assert [row["parameters"] for row in rows] == ["8000", "8000", "", ""]
    cells = [cell for row in rows for pair in row.items() for cell in pair if cell]
    assert not [cell for cell in cells if cell[0] in "=+-@"]


def test_markdown_shows_names_as_they_are() -> None:
    lines = markdown_text(OUTCOMES).splitlines()

    assert lines[0] == "| submission | model | result | met | parameters | field | time | problem |"
    assert lines[2].startswith("| ok.py | Net | ✓ met | 1 of 1 | 8,000 | 30×28 | 0:02 |")
    assert len({line.count(" | ") for line in lines[:6]}) == 1
    assert "<b>" not in "".join(lines)
    assert lines[-2].startswith("- =cmd() \\[31m \\]\\]&gt;&lt;b&gt;")
    assert lines[-2].endswith("params at most 1: 8,000")


# --- folders


def test_the_submissions_of_a_folder(tmp_path: Path) -> None:
    for name in (
        *("b.py", "a.py", "notes.txt", "test_a.py", "__init__.py", ".hidden.py"),
        *("one/net.py", "one/readme.md", "many/x.py", "many/y.py", "best/model.py", "best/z.py"),
        *("none/readme.md", "__pycache__/a.py", ".git/a.py", "deep/er/net.py", "new\nline.py"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = submissions_in(tmp_path, "Net")

    assert {each.name: each.model and Path(each.model).name for each in found} == {
        "a.py": "a.py:Net",
        "b.py": "b.py:Net",
        "best/model.py": "model.py:Net",
        "deep": "",
        "many": "",
        "'new\\nline.py'": "new\nline.py:Net",
        "none": "",
        "one/net.py": "net.py:Net",
    }
    problems = {each.name: each.problem for each in found if each.problem}
    assert problems["many"] == "2 Python files (x.py, y.py); call the model's model.py"
    assert problems["none"] == problems["deep"] == "contains no Python file"


def test_an_undecodable_name_is_a_line(tmp_path: Path) -> None:
    try:
        (tmp_path / "\udcff.py").write_text("")
    except OSError:
        pytest.skip("the file system refuses such names")
    (found,) = submissions_in(tmp_path)

    assert found.problem == "its name is not valid UTF-8; rename it"
    assert found.name.isprintable()


def test_a_folder_without_submissions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no submission"):
        submissions_in(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        submissions_in(tmp_path / "none")
