"""``mnist-tui evaluate``, called in this process on a run of a dataset of two hundred images."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset
from tests.headless.test_html_report import Page
from tests.test_import_hygiene import HEAVY, loaded_by
from tui_trainer import cli
from tui_trainer.protocol.events import EpochDone, RunFinished, TestEvaluated
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.inspection import VIEWS
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.stats.intervals import wilson

BRIEF = ("--no-ui", "--threads", 1, "--epochs", 2, "--batch-size", 20, "--val-size", 40)
ALL = [view.name for view in VIEWS if not view.takes_drawing]
CONFUSION = ("--view", "confusion")

PRINTING = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, image_size, classes):
        super().__init__(nn.Flatten(), nn.Linear(image_size**2, classes))

    def forward(self, x):
        print("forward!")
        return super().forward(x)
"""


def train(folder: Path, *options: object) -> RunFolder:
    """Train a run below a folder, and return the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = (*BRIEF, *options, "--out", "runs/mine")
        patch.setattr(sys, "argv", ["mnist-tui", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert caught.value.code == 0
    return RunFolder(folder / "runs" / "mine")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=200, gzip=False)


@pytest.fixture(scope="module")
def once(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run, trained once for all tests."""
    return train(tmp_path_factory.mktemp("once"), "--model", "tiny", "--data-dir", data)


@pytest.fixture
def trained(once: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunFolder:
    """A finished run below ``runs``: a copy that a test may change."""
    monkeypatch.chdir(tmp_path)
    return RunFolder(shutil.copytree(once.path, Path("runs") / "mine"))


def record(run: Cli, *arguments: object) -> dict[str, Any]:
    """Return the printed JSON, the only output."""
    code, out, err = run("evaluate", *arguments, "--json")
    assert code == 0, err
    output: dict[str, Any] = json.loads(out, parse_constant=pytest.fail)
    return output


def contents(folder: RunFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


# --- text


def test_a_view_is_printed_and_the_run_is_unchanged(run: Cli, trained: RunFolder) -> None:
    before = contents(trained)
    code, out, err = run("evaluate", *CONFUSION)

    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["run mine", "========"]
    assert "tiny, 4,714 parameters, on data" in lines[2]
    assert "step 16, epoch 2" in " ".join(lines[2:4])
    (judged,) = [line for line in lines if line.endswith(" on 40 validation images")]
    assert judged.startswith("accuracy ")
    assert lines[lines.index("CONFUSION MATRIX") + 1] == "  true class by predicted class"
    assert "    numbers = counts  (counts, shares)" in lines
    assert not any("images = " in line for line in lines)
    assert max(map(len, lines)) <= 76
    assert contents(trained) == before


def test_a_choice_applies_to_the_views_that_have_it(run: Cli, trained: RunFolder) -> None:
    code, out, _ = run("evaluate", *CONFUSION, "--set", "numbers=shares", "--set", "true=3")
    assert code == 0
    assert "% of the true class" in out
    assert "    true = 3  (0" in out


def test_output_of_a_custom_model_is_not_in_it(run: Cli, data: Path) -> None:
    Path("net.py").write_text(PRINTING, encoding="utf-8")
    assert run(*BRIEF, "--model", "net.py:Net", "--data-dir", data)[0] == 0
    code, out, err = run("evaluate", *CONFUSION, "--json")
    assert code == 0
    assert json.loads(out)["model"] == "net.py:Net"
    assert "forward!" in err


# --- JSON


def test_json_has_the_images_and_every_figure(run: Cli, trained: RunFolder) -> None:
    output = record(run, "mine", *CONFUSION, "--checkpoint", "best")
    summary = trained.read_summary()

    assert output["run"] == {"name": "mine", "folder": str(Path("runs") / "mine")}
    assert (output["checkpoint"], output["model"], output["parameters"]) == ("best", "tiny", 4_714)
    assert (output["split"], output["images"], output["test_evaluations"]) == ("validation", 40, 1)
    assert output["epoch"] == summary.best_epoch
    assert output["step"] == 8 * output["epoch"]
    assert output["accuracy"] == summary.best_val_accuracy
    assert output["interval"] == list(wilson(output["correct"], 40))
    figures = output["views"]["confusion"]
    assert sum(map(sum, figures["confusion"])) == 40
    assert sum(figures["confusion"][each][each] for each in range(10)) == output["correct"]


def test_each_view_is_printed_once_by_any_name(run: Cli, trained: RunFolder) -> None:
    output = record(run, "mine", "--view", "conf", "--view", "confusion")
    assert list(output["views"]) == ["confusion"]


@pytest.mark.slow
def test_every_view_has_every_form(run: Cli, trained: RunFolder) -> None:
    output = record(run, "mine", "--report", "all.html")
    code, out, _ = run("evaluate", "--test")

    assert list(output["views"]) == ALL
    assert all(output["views"].values())
    sections = Page(Path("all.html").read_text(encoding="utf-8")).values("section", "id")
    assert sections == ["findings", *ALL]
    assert code == 0
    for view in VIEWS:
        assert (view.title.upper() in out) != view.takes_drawing
    assert max(map(len, out.splitlines())) <= 80
    assert trained.read_events().test_evaluations == 2


# --- the test set


def test_a_test_evaluation_is_counted_in_the_run(run: Cli, trained: RunFolder) -> None:
    before = trained.read_summary()
    code, out, err = run("evaluate", *CONFUSION, "--test")

    assert (code, err) == (0, "")
    assert " on 20 test images" in out
    words = " ".join(out.split())
    assert "test evaluations: 2, counted in the run: this result is no longer independent" in words
    recorded = trained.read_events()
    last = recorded.events[-1]
    assert isinstance(last, TestEvaluated)
    assert (recorded.test_evaluations, last.evaluation, last.step) == (2, 2, 16)
    after = trained.read_summary()
    assert (after.test_evaluations, after.state, after.epochs_done) == (2, "completed", 2)
    assert after.test_accuracy == before.test_accuracy, "the same weights say the same"

    output = record(run, "mine", *CONFUSION, "--test", "--checkpoint", "best")
    assert (output["split"], output["images"], output["test_evaluations"]) == ("test", 20, 3)
    assert trained.read_summary().test_correct == output["correct"]


def test_a_resumed_run_counts_its_test_evaluations_on(run: Cli, trained: RunFolder) -> None:
    run("evaluate", *CONFUSION, "--test")
    code, out, err = run("resume", "--no-ui", "--epochs", 3)

    assert code == 0, err
    assert "evaluations: 3" in out
    recorded = trained.read_events()
    assert recorded.test_evaluations == 3
    assert [e.evaluation for e in recorded.events if isinstance(e, TestEvaluated)] == [1, 3]
    assert [e.epoch for e in recorded.events if isinstance(e, EpochDone)] == [1, 2, 3]
    assert sum(isinstance(event, RunFinished) for event in recorded.events) == 1
    assert trained.read_summary().test_evaluations == 3
    assert run("replay", "--no-ui")[0] == 0
    assert run("diagnose")[0] == 0
    assert "3 evaluations" in run("runs")[1]


def test_an_invalid_choice_costs_no_test_evaluation(
    data_refused: Refused, trained: RunFolder
) -> None:
    output = data_refused("evaluate", "mine", *CONFUSION, "--test", "--set", "color=red")
    assert output.startswith("--set color=red: confusion has no such control; it has images, num")
    assert trained.read_events().test_evaluations == 1


def test_a_run_in_use_is_not_evaluated_on_the_test_set(
    run: Cli, data_refused: Refused, trained: RunFolder
) -> None:
    before = contents(trained)
    lock = Lock(trained.lock)
    output = data_refused("evaluate", "mine", *CONFUSION, "--test")
    assert output.endswith(
        f"in use: process {os.getpid()} is writing this run; wait for it, or stop it"
    )
    assert run("evaluate", "mine", *CONFUSION)[0] == 0, "validation can be evaluated freely"
    lock.release()
    assert {**contents(trained), trained.lock: b""} == {**before, trained.lock: b""}


# --- the report


def test_the_report_is_one_file_with_its_command(
    run: Cli, trained: RunFolder, tmp_path: Path
) -> None:
    path = tmp_path / "out of class.html"
    path.write_text("an older one", encoding="utf-8")
    code, out, err = run("evaluate", trained.path, *CONFUSION, "--test", "--report", path)
    text = path.read_text(encoding="utf-8")
    read = Page(text)

    assert (code, err) == (0, "")
    assert out == f"{path}: 1 view, {len(text.encode()) / 1000:.1f} kB\n"
    again = "mnist-tui evaluate mine --test --view confusion --report 'out of class.html'"
    assert again in read.text
    assert str(tmp_path) not in text
    assert "test evaluations: 2" in read.text
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == [path.name]


@pytest.mark.slow
def test_the_report_shows_the_kernels_of_every_layer(run: Cli, trained: RunFolder) -> None:
    run("evaluate", "--view", "kernels", "--report", "all.html")
    run("evaluate", "--view", "kernels", "--report", "one.html", "--set", "layer=point2")
    every, one = (Page(Path(name).read_text("utf-8")) for name in ("all.html", "one.html"))

    assert every.names.count("table") == 1, "what all layers share is shown once"
    assert _layers(every) == every.names.count("tr") - 1 > 2
    assert {"layer conv1", "layer point2", "layer depth4"} <= set(every.words)
    assert _layers(one) == 0
    assert "layer point2" in one.text


def _layers(page: Page) -> int:
    """Return the number of headings without a class: those of findings have their severity."""
    return page.names.count("h3") - len(page.values("h3", "class"))


def test_the_same_run_makes_the_same_report(run: Cli, trained: RunFolder) -> None:
    run("evaluate", *CONFUSION, "--report", "r.html")
    first = Path("r.html").read_bytes()
    code, out, err = run("evaluate", *CONFUSION, "--report", "r.html", "--json")
    assert code == 0
    assert json.loads(out)["run"]["name"] == "mine"
    assert err.startswith("r.html: 1 view, ")
    assert Path("r.html").read_bytes() == first


def test_a_report_that_cannot_be_written_is_known_before_anything_is_judged(
    data_refused: Refused, trained: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for path, output in (
        (tmp_path, "is not an ordinary file; choose another name"),
        (tmp_path / "nowhere" / "r.html", " does not exist; create it"),
        (tmp_path / "file" / "r.html", ""),
        ("x" * 300, "cannot be written: "),
    ):
        line = data_refused("evaluate", "mine", "--test", "--report", path)
        assert line.startswith(f"--report {path}: ")
        assert output in line
    assert trained.read_events().test_evaluations == 1


# --- invalid input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--view", "roc"], "--view 'roc': no such view; choose confusion, misclassified"),
        (["--view", "c"], "--view 'c': several views start with this; choose confusion, classes"),
        (["--view", "draw"], "--view draw: needs a digit drawn by hand; open it"),
        (["--set", "numbers"], "--set numbers: write NAME=VALUE"),
        (["--set", "images=test"], "--set images: not available; evaluate uses"),
        ([*CONFUSION, "--set", "numbers=percent"], "--set numbers=percent: choose counts, shares"),
        ([*CONFUSION, "--set", "a=1", "--set", "numbers=shares"], "--set a=1: confusion has no"),
        (["--checkpoint", "worst"], "--checkpoint worst: not in mine; choose best, last"),
        (["--threads", "0"], "--threads: threads must be"),
        (["mine", "more"], "more"),
    ],
)
def test_unusable_input_is_one_line(
    data_refused: Refused, trained: RunFolder, arguments: list[str], words: str
) -> None:
    assert words in data_refused("evaluate", *arguments)


def test_no_such_run(data_refused: Refused) -> None:
    assert "contains no runs" in data_refused("evaluate")
    assert data_refused("evaluate", "nothing").startswith("nothing: no such run")


def test_weights_that_are_damaged_are_not_judged(data_refused: Refused, trained: RunFolder) -> None:
    content = bytearray(trained.checkpoint("last").read_bytes())
    content[-1] ^= 1
    trained.checkpoint("last").write_bytes(content)
    assert "is corrupted" in data_refused("evaluate", "--test")
    assert trained.read_events().test_evaluations == 1


def test_an_interruption_leaves_nothing_behind(
    run: Cli, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tui_trainer.lab.views.confusion.show", interrupted)
    code, out, err = run("evaluate", *CONFUSION, "--test", "--report", "r.html")
    assert (code, out, err) == (ExitCode.INTERRUPTED, "", "")
    assert not Path("r.html").exists()
    assert not Lock.is_held(trained.lock)
    assert trained.read_events().test_evaluations == 2, "the test set was read"


def test_an_input_error_does_not_load_torch() -> None:
    argv = ["mnist-tui", "evaluate", "--view", "roc"]
    code = f"import tui_trainer.cli as c; sys.argv = {argv!r}; sys.stderr = io.StringIO(); c.main()"
    assert not HEAVY & loaded_by(code)
