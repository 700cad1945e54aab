"""``mnist-tui learn``."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Generator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused, main_in
from tests.data.idx_files import write_dataset
from tests.test_import_hygiene import HEAVY, loaded_by
from tests.training import prepare
from tui_trainer.course.lesson import SLUGS, lesson
from tui_trainer.course.placeholders import observations
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.run import Run
from tui_trainer.headless.lesson_page import lesson_lines
from tui_trainer.headless.questions import LessonQuestions, run_questions
from tui_trainer.history.history import History
from tui_trainer.lab.standalone import answers
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.render.plain_exhibit import WIDTH

COLUMNS = (
    "iteration w1 w2 w3 w4 w5 w6 w7 w8 h1 a_h1 h2 a_h2 o1 a_o1 o2 a_o2 E1 E2 E_total "
    "dE_dw1 dE_dw2 dE_dw3 dE_dw4 dE_dw5 dE_dw6 dE_dw7 dE_dw8"
)

MODEL_FILE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, image_size, classes):
        super().__init__()
        self.logits = nn.Linear(image_size**2, classes)

    def forward(self, x):
        print("forward!")
        return self.logits(x.flatten(1))
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on few images: all of MNIST takes half a second to read and compare."""
    here = tmp_path_factory.mktemp("kept")
    write_dataset(here / "digits", train=400, gzip=False)
    words = ("--train-size", 300, "--val-size", 60, "--epochs", 1, "--batch-size", 50)
    more = ("--data-dir", "digits", "--threads", 1, "--out", "kept")
    assert main_in(here, "--no-ui", "--model", "tiny", *words, *more) == 0
    return here / "kept"


def test_without_a_topic_all_are_listed(run: Cli) -> None:
    code, out, err = run("learn")

    assert (code, err) == (0, "")
    lines = out.splitlines()[1:]
    assert [line.split()[:2] for line in lines[: len(SLUGS)]] == [
        [str(number), slug] for number, slug in enumerate(SLUGS)
    ]
    assert lesson("softmax").title in out


def test_a_lesson_is_shown_on_an_untrained_model(run: Cli) -> None:
    code, out, err = run("learn", "6", "--model", "tiny", "--set", "temperature=2")

    assert (code, err) == (0, "")
    assert out.startswith("Softmax\n=======\n")
    assert "Shown on tiny, 4,714 parameters, untrained" in out
    assert "temperature = 2  (" in out
    assert "tiny outputs 10 logits for each image" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= WIDTH
    assert all(line.isprintable() for line in out.splitlines())


def test_a_lesson_is_shown_on_a_recorded_run(run: Cli, kept: Path) -> None:
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    code, out, err = run("learn", "softmax", "--run", kept)
    after = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}

    assert (code, err) == (0, "")
    assert "Shown on run kept (tiny, 4,714 parameters), step 6." in out
    text = " ".join(out.split())
    assert "After step 6 the network misclassifies" in text
    assert "of 60 validation images" in text
    assert "Its training loss is " in out
    assert after == before != {}


def test_output_of_a_custom_model_is_not_in_it(run: Cli, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(MODEL_FILE, encoding="utf-8")
    code, out, err = run("learn", "softmax", "--model", f"{path}:Net")

    assert code == 0
    assert "forward!" in err
    assert "forward!" not in out
    assert "Shown on net.py:Net, 7,850 parameters" in out


@pytest.mark.slow
def test_what_trains_is_trained_if_asked(run: Cli) -> None:
    untrained = run("learn", "learning-rate", "--model", "mlp")
    trained = run("learn", "learning-rate", "--model", "mlp", "--try", "--threads", 1)

    assert (untrained[0], trained[0], untrained[2], trained[2]) == (0, 0, "", "")
    assert "mnist-tui learn learning-rate --model mlp --try" in untrained[1]
    assert "--try" not in trained[1]
    assert "result: " in trained[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet"], "no lesson lenet; choose backpropagation, layers,"),
        (["99"], "no lesson 99"),
        ([" "], "no lesson (nothing); choose"),
        (["max"], "max-pooling-position"),
        (["softmax", "--model", "lenet"], "--model: unknown model 'lenet'"),
        (["softmax", "--run", "nowhere"], "nowhere: no such run"),
        (["softmax", "--run", "a", "--model", "tiny"], "--model: cannot be used with --run"),
        (["softmax", "--threads", "0"], "--threads: threads must be"),
        (["softmax", "--set", "temperature"], "--set temperature: write NAME=VALUE"),
        (["--try"], "--try: needs a lesson; list them"),
        (["--model", ""], "--model: needs a lesson; list them"),
        (["softmax", "--as", "csv"], "--as: only for the lesson backpropagation"),
        (["--eta", "1"], "--eta: only for the lesson backpropagation"),
        (["backprop", "--eta", "1"], "--eta: add --as csv"),
        (["backprop", "--as", "csv", "--try"], "--try: cannot be used with --as"),
        (["backprop", "--as", "csv", "--run", "a"], "--run: cannot be used with --as"),
        (["backprop", "--as", "csv", "--eta", "nan"], "--eta nan: must be a finite number"),
        (["backprop", "--as", "csv", "--eta", "inf"], "--eta inf"),
        (["backprop", "--as", "csv", "--eta", "-1"], "--eta -1"),
        (["backprop", "--as", "csv", "--eta", "much"], "--eta"),
        (["backprop", "--as", "csv", "--iterations", "-1"], "--iterations -1: choose from 0 to"),
        (["backprop", "--as", "csv", "--iterations", "1.5"], "--iterations"),
        (["softmax", "kernels"], "kernels"),
    ],
)
def test_unusable_input_is_one_line(
    data_refused: Refused, arguments: list[str], words: str
) -> None:
    assert words in data_refused("learn", *arguments)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("tempo=1", "softmax has no such control; it has digits, digit, temperature"),
        ("temperature=0", "--set temperature=0: choose 0.01 to 100"),
        ("digits=most", "--set digits=most: choose all, misclassified"),
    ],
)
def test_choices_that_cannot_be_made_name_those_that_can(
    data_refused: Refused, kept: Path, setting: str, words: str
) -> None:
    assert words in data_refused("learn", "softmax", "--run", kept, "--set", setting)


# --- the table of iterations


def test_the_table_has_these_columns_and_begins_at_the_start(run: Cli) -> None:
    code, out, err = run("learn", "backpropagation", "--eta", 1, "--iterations", 68, "--as", "csv")

    assert (code, err) == (0, "")
    head, *rows = csv.reader(io.StringIO(out))
    assert " ".join(head) == COLUMNS
    assert [row[0] for row in rows] == [str(number) for number in range(69)]
    start = dict(zip(head, map(float, rows[0]), strict=True))
    assert [start[f"w{n}"] for n in range(1, 9)] == [0.15, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.55]
    assert start["E_total"] == pytest.approx(0.014181, abs=1e-6)
    assert float(rows[-1][head.index("E_total")]) < start["E_total"] / 10


@pytest.mark.parametrize("eta", [0.1, 2.0])
def test_its_rows_follow_from_each_other(run: Cli, eta: float) -> None:
    _, out, _ = run("learn", "0", "--eta", eta, "--iterations", 5, "--as", "csv")
    rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(out))]

    for now, then in pairwise(rows):
        for number in range(1, 9):
            step = eta * now[f"dE_dw{number}"]
            assert then[f"w{number}"] == pytest.approx(now[f"w{number}"] - step, abs=1e-15)
        hidden = now["w1"] * 0.05 + now["w2"] * 0.1
        assert now["a_h1"] == pytest.approx(1 / (1 + math.exp(-hidden)), abs=1e-15)
        assert now["E_total"] == pytest.approx(
            ((0.5 - now["a_o1"]) ** 2 + (0.5 - now["a_o2"]) ** 2) / 2, abs=1e-15
        )


def test_no_iterations_are_the_start_alone(run: Cli) -> None:
    code, out, _ = run("learn", "backprop", "--iterations", 0, "--as", "csv")
    assert (code, len(out.splitlines())) == (0, 2)


def test_the_table_and_the_list_do_not_load_torch() -> None:
    calls = [
        f"with contextlib.suppress(SystemExit): sys.argv = {argv!r}; c.main()"
        for argv in (["mnist-tui", "learn", "backprop", "--as", "csv"], ["mnist-tui", "learn"])
    ]
    roots = loaded_by("import tui_trainer.cli as c\n    " + "\n    ".join(calls))
    assert "tui_trainer" in roots
    assert not roots & (HEAVY | {"textual", "plotext"})


# --- every lesson


@cache
def _session() -> tuple[Run, History]:
    config = RunConfig(model="tiny", train_size=600, val_size=200, threads=1, batch_size=32)
    preparing = prepare(config, Inbox(), CheckpointStore(), time.perf_counter)
    while True:
        try:
            next(preparing)
        except StopIteration as prepared:
            run: Run = prepared.value
            break
    history = History()
    history.apply(run.started())
    return run, history


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.sampled(2)
def test_every_lesson_reads_well_in_plain_text(slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, history = _session()

    def prepared(*arguments: Any) -> Generator[Event, None, Run]:
        yield from ()
        arguments[-1].begin(run)
        return run

    monkeypatch.setattr("tui_trainer.lab.standalone.prepare", prepared)
    sequence = LessonQuestions(slug, {}, "interactive")
    run_questions(answers(run.config, sequence.questions()), sequence)
    assert sequence.exhibit is not None
    each = lesson(slug)
    lines = lesson_lines(
        each, sequence.exhibit, observations(each, history), "tiny", "mnist-tui learn --try"
    )

    assert sequence.exhibit.blocks
    for line in lines:
        assert len(line) <= 80, line
        assert line.isprintable(), line
        assert "nan" not in line.split(), line
    assert "EXPERIMENT" in lines
    assert any(
        printed in " ".join(" ".join(lines).split()) for printed in observations(each, history)
    )
