"""``mnist-tui verify``."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused
from tests.color_files import write_arrays
from tests.data.idx_files import write_dataset
from tests.faults.forked_programs import FORKING, ForkedProgram
from tests.sweeps.processes import exists, until
from tui_trainer.grading.outcome import Outcome, Status
from tui_trainer.grading.requirements import Requirements
from tui_trainer.headless.streams import DataOut
from tui_trainer.headless.verify_text import print_outcomes
from tui_trainer.models.custom.loading import models_in
from tui_trainer.protocol.errors import InputError

NET = """
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Block(1, 8), Block(8, 16)
        self.drop = nn.Dropout(0.05)
        self.out = nn.Conv2d(16, 10, 1)

    def forward(self, x):
        x = self.second(F.max_pool2d(self.first(x), 2))
        return F.adaptive_avg_pool2d(self.out(x), 1).flatten(1)
"""
VERIFY = [sys.executable, "-P", "-m", "tui_trainer", "verify"]
PARAMETERS = 72 + 16 + 1_152 + 32 + 170
DROPPING = NET.replace("self.out(x)", "self.out(self.drop(x))")


def verified(run: Cli, *arguments: object, code: int) -> list[dict[str, Any]]:
    ended, out, err = run("verify", *arguments, "--json")
    assert ended == code, out + err
    record = json.loads(out)
    assert record["exit_code"] == code
    found: list[dict[str, Any]] = record["submissions"]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of submissions, good and bad ones."""
    found = tmp_path_factory.mktemp("submissions")
    submissions = {
        "b-unused.py": NET,
        "=cmd().py": DROPPING,
        "memory.py": "import torch\ntorch.ones(20_000_000_000)\n",
        "quits.py": "import os\nos._exit(0)\n",
        "patches.py": f"import json\njson.dumps = None\n{NET}",
        "prints.py": f"print('x' * 3_000_000)\nopen('made', 'w').write('x')\n{DROPPING}",
        "missing.py": "import no_such_package\n",
        "two.py": NET + NET.replace("Net", "Other"),
        # Its thread does not keep its process alive.
        "carol/net.py": "import threading, time\n"
        f"threading.Thread(target=time.sleep, args=(600,)).start()\n{DROPPING}",
        "none/readme.md": "",
    }
    for name, text in submissions.items():
        (found / name).parent.mkdir(exist_ok=True)
        (found / name).write_text(text)
    return found


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Submissions run in forked processes."""
    monkeypatch.setattr("tui_trainer.grading.process.subprocess", FORKING)


@pytest.fixture(scope="module", params=["forked", pytest.param("new", marks=pytest.mark.slow)])
def graded(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder with what verifying the submissions has written and printed."""
    here = tmp_path_factory.mktemp("graded")
    command = [
        *(*VERIFY, str(folder), "--params", "1500"),
        *("--has", "batch-norm,dropout", "--no", "linear", "--workers", "2", "--memory-limit", "8"),
        *("--json", "--junit", "verify.xml", "--csv", "verify.csv", "--markdown", "verify.md"),
    ]
    start = {"forked": ForkedProgram, "new": subprocess.Popen}[request.param]
    pipe = subprocess.PIPE
    with pytest.MonkeyPatch.context() as patch:
        if start is ForkedProgram:
            patch.setattr("tui_trainer.grading.process.subprocess", FORKING)
        with start(command, cwd=here, stdout=pipe, stderr=pipe, text=True) as process:
            out, err = process.communicate(timeout=120)
    assert process.returncode == 15, err
    (here / "out.json").write_text(out)
    return here


def test_every_submission_is_one_line_and_stops_no_other(graded: Path) -> None:
    record = json.loads((graded / "out.json").read_text())
    found = {each["name"]: each for each in record["submissions"]}

    assert {name: each["status"] for name, each in found.items()} == {
        "=cmd().py": "met",
        "b-unused.py": "not met",
        "carol/net.py": "met",
        "memory.py": "memory limit",
        "missing.py": "error",
        "none": "error",
        "patches.py": "error",
        "prints.py": "met",
        "quits.py": "error",
        "two.py": "error",
    }
    assert found["=cmd().py"]["model"] == "Net"
    assert found["=cmd().py"]["parameters"] == PARAMETERS
    assert [each["met"] for each in found["=cmd().py"]["requirements"]] == [True] * 4
    missed = [each for each in found["b-unused.py"]["requirements"] if not each["met"]]
    assert [(each["name"], each["figure"]) for each in missed] == [("has dropout", "none")]
    problems = {name: each["problem"] for name, each in found.items() if each["problem"]}
    assert problems["missing.py"].startswith("missing.py:1: ModuleNotFoundError: No module named")
    assert problems["two.py"] == (
        "two.py: has 2 models (Net, Other); name one of them, as two.py:Net, or add --every-model"
    )
    assert problems["quits.py"] == "its process ended with exit code 0 before it had a result"
    assert problems["memory.py"].endswith("the memory limit is 8 GB")
    assert all(problem.isprintable() for problem in problems.values())


def test_nothing_is_left_behind(folder: Path, graded: Path) -> None:
    assert sorted(path.name for path in graded.iterdir()) == [
        *("out.json", "verify.csv", "verify.md", "verify.xml")
    ]
    assert not [*folder.rglob("__pycache__"), *folder.rglob("made")]


def test_the_files_agree_with_the_json(graded: Path) -> None:
    record = json.loads((graded / "out.json").read_text())["submissions"]
    suites = ET.parse(graded / "verify.xml").getroot().findall("testsuite")
    rows = [*csv.DictReader((graded / "verify.csv").open())]

    assert [suite.get("name") for suite in suites] == [each["name"] for each in record]
    for suite, row, each in zip(suites, rows, record, strict=True):
        met = sum(check["met"] for check in each["requirements"])
        assert row["status"] == each["status"]
        assert row["met"] == str(met)
        assert int(suite.get("failures", "")) == len(each["requirements"]) - met
        is_error = each["status"] not in ("met", "not met")
        assert int(suite.get("errors", "")) == is_error
    assert rows[0]["submission"] == "'=cmd().py"


@pytest.mark.usefixtures("_forked")
def test_figures_equal_those_of_model(run: Cli) -> None:
    Path("net.py").write_text(DROPPING)
    (found,) = verified(
        run,
        "net.py:Net",
        *("--params", PARAMETERS, "--multiply-adds", 10**9, "--receptive-field", 10**3),
        "--review",
        code=14,
    )
    _, out, _ = run("model", "net.py:Net", "--json")
    totals = json.loads(out)["totals"]

    assert found["parameters"] == totals["parameters"] == PARAMETERS
    assert found["multiply_adds"] == totals["multiply_adds"]
    side = totals["receptive_field"]
    assert found["receptive_field"] == [side, side]
    assert found["last_receptive_field"] == [8, 8]
    missed = [each["name"] for each in found["requirements"] if not each["met"]]
    assert missed == ["receptive-field"]


def test_one_model_is_a_line_per_requirement(run: Cli) -> None:
    Path("net.py").write_text(NET)
    code, out, _ = run("verify", "net.py", "--params", 10, "--has", "dropout", "--no", "linear")

    assert code == 14
    assert out.splitlines()[1:] == [
        f"✗ params at most 10: {PARAMETERS:,}",
        "✗ has dropout: none (drop: defined, but no logit depends on it)",
        "✓ no linear: none",
        "✗ 1 of 3 requirements met",
    ]


@pytest.mark.usefixtures("_forked")
def test_a_model_that_fails_has_another_code(run: Cli) -> None:
    Path("net.py").write_text("raise ValueError('\\x1b[31mred')")
    code, out, err = run("verify", "net.py", "--params", 10)

    assert (code, err) == (15, "")
    assert out.startswith(
        "net.py\n✗ error: net.py:1: ValueError: [31mred; it could not be imported"
    )


@pytest.mark.usefixtures("_forked")
def test_a_training_is_judged_and_recorded(run: Cli, tmp_path: Path) -> None:
    Path("net.py").write_text(DROPPING)
    data = write_dataset(tmp_path / "data", train=300, test=60, size=28)
    (found,) = verified(
        run,
        *("net.py", "--target-accuracy", 1.0, "--last", 1, "--epochs", 1, "--seeds", 2),
        *("--data-dir", data, "--val-size", 60, "--threads", 1, "--out", "here", "--seed", 3),
        code=14,
    )
    names = [each["name"] for each in found["requirements"]]
    assert names == ["accuracy of seed 3", "accuracy of seed 4"]
    seeds = found["training"]["seeds"]
    assert [each["state"] for each in seeds] == ["completed"] * 2
    values = [each["value"] for each in found["requirements"]]
    assert values == [each["val_accuracy"] for each in seeds]
    assert all("95 % interval" in each["note"] for each in found["requirements"])
    assert found["folder"] == str(Path("here").absolute())
    code, out, _ = run("compare-runs", "here/seed-3", "here/seed-4")
    assert code == 0, out


@pytest.mark.usefixtures("_forked")
def test_a_training_that_cannot_start_is_a_failure(run: Cli) -> None:
    Path("net.py").write_text(DROPPING)
    (found,) = verified(
        run, "net.py", "--target-accuracy", 0.5, "--data-dir", "none", "--epochs", 1, code=15
    )
    assert found["status"] == "error"
    assert "none" in found["problem"]
    assert found["parameters"] == PARAMETERS
    assert not [*Path("runs").glob("*")]
    Path("net.py").write_text("1 / 0")
    verified(run, "net.py", "--target-accuracy", 0.5, "--epochs", 1, code=15)
    assert not [*Path("runs").glob("*")]


def test_a_narrow_terminal_has_the_reasons_below_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [
        Outcome(name="a.py", model="Net", status=Status.MET),
        Outcome(name="b.py", status=Status.ERROR, problem="b.py:1: " + "words " * 30),
    ]
    print_outcomes(outcomes, Requirements(), 15, is_folder=True, as_json=False)
    wide = capsys.readouterr().out.splitlines()
    monkeypatch.setattr(DataOut, "width", 79)
    print_outcomes(outcomes, Requirements(), 15, is_folder=True, as_json=False)
    narrow = capsys.readouterr().out.splitlines()

    assert wide[2].endswith("words")
    assert len(wide) == 5
    assert max(map(len, narrow)) <= 79
    assert narrow[2].split() == ["b.py", "-", "✗", "error", "-", "-", "-", "0:00"]
    assert " ".join(narrow[4:-2]).split() == [*["b.py:", "b.py:1:"], *["words"] * 30]
    assert narrow[-1] == wide[-1] == "2 submissions: 1 met, 1 error"


def test_help_names_the_exit_code_of_a_missed_accuracy(run: Cli) -> None:
    words = " ".join(run("verify", "--help")[1].split())
    assert "exit with code 14 if test accuracy is below this" in words
    assert "xit with code 3" not in words


@pytest.mark.usefixtures("_forked")
def test_every_model_of_a_file(run: Cli, tmp_path: Path) -> None:
    (tmp_path / "both.py").write_text(NET + DROPPING.replace("Net", "Other"))
    (tmp_path / "bad.py").write_text("1 / 0")
    words = ("--every-model", "--has", "dropout", "--csv", "found.csv")
    code, out, _ = run("verify", tmp_path, *words)

    assert code == 15
    rows = [*csv.DictReader(Path("found.csv").read_text().splitlines())]
    assert [(row["submission"], row["model"], row["status"]) for row in rows] == [
        ("bad.py", "", "error"),
        ("both.py:Net", "Net", "not met"),
        ("both.py:Other", "Other", "met"),
    ]
    assert [line.split()[:2] for line in out.splitlines()[2:4]] == [
        ["both.py:Net", "Net"],
        ["both.py:Other", "Other"],
    ]


@pytest.mark.usefixtures("_forked")
def test_the_time_limit_is_a_line_of_the_table(run: Cli, tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text("while True:\n    pass\n")
    (tmp_path / "sub").mkdir()
    code, out, err = run("verify", tmp_path, "--time-limit", 1)

    assert (code, err) == (15, "")
    head, loop, sub, _, tally = out.splitlines()
    assert " ".join(head.split()) == "submission model result met parameters field time"
    assert "✗ time limit" in loop
    assert loop.endswith("took longer than 1 s")
    assert sub.endswith("contains no Python file")
    assert tally == "2 submissions: 1 error, 1 time limit"


@pytest.mark.usefixtures("_forked")
def test_ctrl_c_prints_what_is_done(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    loop = f"import os\nopen({str(begun)!r}, 'w').write(f'{{os.getpid()}}.')\nwhile True: pass"
    for name, text in (("a.py", DROPPING), ("b.py", loop), ("c.py", NET)):
        (tmp_path / name).write_text(text)
    with ForkedProgram(
        [*VERIFY, str(tmp_path)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: begun.exists() and begun.read_text().endswith("."), "b.py does not begin")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert process.returncode == 130, err
    assert "✓ met" in lines["a.py"]
    assert "not verified" in lines["b.py"]
    assert "not verified" in lines["c.py"]
    assert not exists(int(begun.read_text().rstrip(".")))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "verify: needs FILE.py"),
        (("none.py",), "there is no such file"),
        (("nonsense",), "unknown model 'nonsense'"),
        (("notes.txt",), "notes.txt: is no Python file; give FILE.py"),
        (("empty",), "empty: contains no submission"),
        (("run",), "run: is a recorded run"),
        (("net.py:Net", "--model", "Other"), "--model Other: the model is already given"),
        (("era-s6", "--model", "Net"), "--model Net: the model is already given"),
        (("net.py", "--model", "a b"), "--model a b: is not the name of a class"),
        (("net.py", "--params", 0), "--params 0: choose from 1"),
        (("net.py", "--has", "batchnorm"), "--has batchnorm: choose from batch-norm"),
        (("net.py", "--has", "gap", "--no", "gap"), "--no gap: is also given with --has"),
        (("net.py", "--time-limit", 0), "--time-limit 0: choose from 0.1 to 604,800"),
        (("net.py", "--time-limit", "nan"), "--time-limit nan: choose from"),
        (("net.py", "--memory-limit", 0.1), "--memory-limit 0.1: choose from 0.5"),
        (("net.py", "--workers", 0), "--workers 0: choose from 1"),
        (("net.py", "--image-size", 0), "--image-size 0: choose"),
        (("net.py", "--classes", 0), "--classes 0: choose"),
        (("net.py", "--epochs", 3), "--epochs: needs --target-accuracy"),
        (("net.py", "--seeds", 3), "--seeds: needs --target-accuracy"),
        (("net.py", "--last", 3), "--last: needs a target"),
        (("net.py", "--out", "x"), "--out: needs --target-accuracy"),
        (("net.py", "--preset", "nano"), "--preset: needs --target-accuracy"),
        (("net.py", "--target-accuracy", 2), "--target-accuracy"),
        (("net.py", "--target-accuracy", 0.9, "--seeds", 0), "--seeds 0: choose from 1"),
        (("net.py", "--target-accuracy", 0.9, "--last", 9, "--epochs", 3), "--last: needs as many"),
        (("net.py", "--junit", "no/such.xml"), "--junit no/such.xml: folder no does not exist"),
        (("net.py", "--csv", "empty"), "--csv empty: is not an ordinary file"),
    ],
)
def test_bad_input_is_one_line(
    data_refused: Refused, arguments: tuple[object, ...], problem: str
) -> None:
    Path("net.py").write_text(NET)
    Path("notes.txt").write_text("")
    Path("empty").mkdir()
    Path("run").mkdir()
    for name in ("config.toml", "events.jsonl"):
        Path("run", name).write_text("")

    assert problem in data_refused("verify", *arguments)


PART = """
from torch import nn
class A(nn.Module):
    def part(self): return [B() for _ in "x"]
class B(nn.Module): pass
"""


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (NET, "Net"),
        ("from torch import nn\nclass _Hidden(nn.Module): pass\nclass A(nn.Module): pass", "A"),
        (PART, "A"),
        (PART.replace("A(nn", "C(nn"), "C"),
        ("from torch import nn\nclass A(nn.Module): pass\nclass B(A): pass", "A B"),
    ],
)
def test_the_models_of_a_file(code: str, names: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(code)
    assert models_in(str(tmp_path / "net.py")) == names.split()


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("from torch.nn import Linear", "has no class of nn.Module"),
        ("def net(): pass", "has no class of nn.Module; it has net"),
    ],
)
def test_a_file_without_a_model_is_one_line(code: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(code)
    with pytest.raises(InputError, match=problem):
        models_in(str(tmp_path / "net.py"))


COLORED = """
from torch import nn


class Net(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, 3)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


class Gray(Net):
    def __init__(self):
        super().__init__(1, 9)
"""


@pytest.mark.usefixtures("_forked")
def test_a_model_trained_on_color_images_is_measured_on_them(run: Cli, tmp_path: Path) -> None:
    data = write_arrays(tmp_path / "shapes.npz")
    (tmp_path / "net.py").write_text(COLORED)
    options = ("--data-dir", data, "--target-accuracy", 0, "--epochs", 1, "--threads", 1)

    (found,) = verified(run, tmp_path / "net.py:Net", *options, code=0)
    (gray,) = verified(run, tmp_path / "net.py:Gray", *options, code=15)

    assert found["parameters"] == 3 * 9 * 8 + 8 + 8 * 9 + 9
    assert "its input is 32×32 images with 3 channels" in gray["problem"]
