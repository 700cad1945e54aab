"""``mnist-tui export --as assignment``: its figures are those of the other commands."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbclient import NotebookClient

from tests.cli.conftest import Cli, Refused, main_in
from tests.cli.test_script_runs import trained
from tests.data.idx_files import write_dataset
from tests.faults.forks import call, program
from tests.headless.test_html_report import Page
from tests.render.documents import HOSTILE
from tui_trainer.cli import notebook_program
from tui_trainer.recording.about import About, write_about
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.text import fmt

EPOCHS = 6
COMMON = ["--no-ui", "--model", "pico", "--threads", "1", "--device", "cpu", "--batch-size", "32"]
RUNS: dict[str, list[str]] = {
    "first": [
        "--epochs",
        str(EPOCHS),
        "--val-size",
        "60",
        "--target-accuracy",
        "0.5",
        "--last",
        "5",
    ],
    "second": ["--epochs", "2", "--val-size", "60", "--lr", "0.05", "--no-test"],
    "blind": ["--epochs", "1", "--val-size", "0"],
}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: with a target, without a test evaluation, without validation images."""
    here = tmp_path_factory.mktemp("handed-in") / "begun"
    here.mkdir()
    write_dataset(here / "digits", train=300, test=40, gzip=False)
    for name, words in RUNS.items():
        options = [*COMMON, *words, "--data-dir", "digits", "--out", f"runs/{name}"]
        assert main_in(here, *options) in (0, 3)
    return here.rename(here.with_name("trained"))


@pytest.fixture(scope="module")
def first(once: Path) -> Path:
    """The document of the first run."""
    words = ["first", "--as", "assignment", "--to", "../first"]
    assert main_in(once, "export", *words) == 0
    return once.with_name("first") / "assignment.md"


@pytest.fixture(scope="module")
def both(once: Path) -> Path:
    """The document of the first two runs."""
    words = ["first", "second", "--as", "assignment", "--to", "../both"]
    assert main_in(once, "export", *words) == 0
    return once.with_name("both") / "assignment.md"


def written(run: Cli, *words: str, kind: str = "assignment") -> str:
    code, out, err = run("export", *words, "--as", kind, "--to", "out")
    assert code == 0, err
    return Path(out.partition(":")[0]).read_text(encoding="utf-8")


def record_of(run: Cli, *words: str) -> dict[str, Any]:
    code, out, _ = run(*words, "--json")
    assert code == 0
    record: dict[str, Any] = json.loads(out)
    return record


def evaluated(run: Cli, *words: str) -> dict[str, Any]:
    """Return what evaluate says about a run, with one view instead of all."""
    return record_of(run, "evaluate", *words, "--view", "confusion")


def section(text: str, title: str) -> str:
    """Return a section of a Markdown document, up to the next one."""
    return re.split(r"^#+ ", text.partition(f" {title}\n")[2], flags=re.MULTILINE)[0]


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the tables in Markdown, as its parser reads them."""
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for token, after in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("th_open", "td_open"):
            rows[-1].append("".join(child.content for child in after.children or []))
    return rows


def accuracy_cells(record: dict[str, Any]) -> list[str]:
    """Return the cells of an accuracy in the result's table."""
    return [
        fmt.percent(record["accuracy"]),
        fmt.interval(tuple(record["interval"])),
        f"{fmt.count(record['correct'])} of {fmt.count(record['images'])}",
    ]


# --- the figures


@pytest.mark.usefixtures("here")
def test_the_accuracies_are_those_of_evaluate(run: Cli, first: Path) -> None:
    text = first.read_text()

    last = evaluated(run, "first")
    best = evaluated(run, "first", "--checkpoint", "best")
    test = evaluated(run, "first", "--test")
    rows = {row[0]: row for row in rows_of(section(text, "Result"))}
    validation = [row for row in rows_of(section(text, "Result")) if row[0] == "validation"]
    assert last["split"] == best["split"] == "validation"
    assert validation[0][1:4] == accuracy_cells(last)
    assert validation[0][4] == f"last checkpoint, epoch {EPOCHS}, step {last['step']}"
    assert validation[1][1:4] == accuracy_cells(best)
    assert validation[1][4] == f"best epoch, {best['epoch']} of {EPOCHS}, picked by these images"
    assert rows["test"][1:4] == accuracy_cells(test)
    assert rows["test"][4].startswith("last checkpoint, ")


@pytest.mark.usefixtures("here")
def test_the_confusion_matrix_is_that_of_evaluate(run: Cli, first: Path) -> None:
    text = first.read_text()

    view = evaluated(run, "first")["views"]["confusion"]
    (picture,) = re.findall(r"\(([^)]+)\)", section(text, "Confusion matrix, validation images"))
    svg = (first.parent / picture).read_text()
    numbers = [int(number) for number in re.findall(r">(\d+)</text>", svg)]
    cells = [number for row in view["confusion"] for number in row if number]
    assert sorted(numbers) == sorted([*cells, *range(10), *range(10)])
    pairs = rows_of(section(text, "Confusion matrix, validation images"))[1:]
    assert [row[:3] for row in pairs] == [
        [str(pair["true"]), str(pair["predicted"]), str(pair["count"])]
        for pair in view["worst_pairs"][: len(pairs)]
    ]


def test_the_misclassified_images_are_those_of_evaluate(run: Cli, here: Path) -> None:
    text = written(run, "second")

    gallery = ["--view", "misclassified", "--set", "true=all", "--set", "count=10"]
    view = record_of(run, "evaluate", "second", *gallery)["views"]["misclassified"]
    wrong = view["digits"]
    assert len(wrong) == 10
    rows = rows_of(section(text, "Misclassified validation images"))[1:]
    assert [row[:2] + row[3:4] for row in rows] == [
        [str(each["image"]), str(each["true"]), str(each["predicted"])] for each in wrong
    ]
    for row, each in zip(rows, wrong, strict=True):
        shares = [each["probabilities"][each[name]] for name in ("true", "predicted")]
        for cell, share in zip((row[2], row[4]), shares, strict=True):
            assert cell == (fmt.percent(share, 1) if share >= 0.0005 else "below 0.1 %")
        assert row[-1] == fmt.loss(each["loss"]).strip()
    svg = here / "out/assignment_files/step-1-mistakes-2.svg"
    assert svg.read_text().count("<image ") == 10 + 1, "the images and the color key"


def test_the_layer_table_is_that_of_model_and_its_fields_are_the_measured_ones(
    run: Cli, first: Path
) -> None:
    text = first.read_text()

    record = record_of(run, "model", "pico", "--measure")
    head, *rows = rows_of(section(text, "Network"))
    layers, total = [dict(zip(head, row, strict=True)) for row in rows[:-1]], rows[-1]
    assert len(layers) == len(record["layers"])
    for row, layer in zip(layers, record["layers"], strict=True):
        assert row["layer"] == layer["name"]
        assert row["output"] == "×".join(map(str, layer["output_shape"]))
        assert row["parameters"] == fmt.count(layer["parameters"])
        assert (row["Rout"], row["Jout"]) == (str(layer["receptive_field"]), str(layer["jump"]))
        assert row["measured"] == layer["measured"]
        field = min(28, layer["receptive_field"])
        assert row["measured"] == f"{field}×{field}", "the fields of pico lie within the image"
        for column, name in (("K", "kernel_size"), ("S", "stride"), ("P", "padding")):
            assert row[column] == (str(layer[name][0]) if layer[name] else "—")
        if layer["inputs"]:
            before = next(one for one in layers if one["layer"] == layer["inputs"][0])
            assert (row["Rin"], row["Jin"]) == (before["Rout"], before["Jout"])
    parameters = fmt.count(record["totals"]["parameters"])
    assert total[head.index("parameters")] == parameters
    costs = {row[0]: row[1:] for row in rows_of(section(text, "Result"))}
    assert costs["parameters"][0] == parameters
    assert costs["multiply-adds"][0] == fmt.count(record["totals"]["multiply_adds"])
    field = record["totals"]["receptive_field"]
    assert costs["receptive field"][0] == f"{field}×{field}"


def test_the_log_is_the_record(once: Path, first: Path) -> None:
    text = first.read_text()
    rows = rows_of(section(text, "Training log"))[1:]

    events = (once / "runs/first/events.jsonl").read_text().splitlines()
    epochs = [each for each in map(json.loads, events) if each["event"] == "EpochDone"]
    assert [row[0] for row in rows] == [str(epoch["epoch"]) for epoch in epochs]
    assert [row[5] for row in rows] == [fmt.percent(epoch["val_accuracy"]) for epoch in epochs]
    assert [row[6] for row in rows] == [fmt.interval(epoch["val_interval"]) for epoch in epochs]
    target = section(text, "Result")
    reached = sum(epoch["val_accuracy"] >= 0.5 for epoch in epochs[-5:])
    held = "in each of the last 5 epochs" if reached == 5 else f"in {reached} of the last 5 epochs"
    assert held in target


# --- the test set, and what there is without validation images


@pytest.mark.usefixtures("forked_programs")
def test_writing_costs_no_test_evaluation(run: Cli, here: Path) -> None:
    before = {name: RunFolder(here / "runs" / name).read_events() for name in RUNS}

    written(run, *RUNS, kind="assignment,html")

    for name, recorded in before.items():
        after = RunFolder(here / "runs" / name).read_events()
        assert after.events == recorded.events
        assert after.test_evaluations == recorded.test_evaluations


def test_an_evaluation_of_the_best_checkpoint_is_not_the_result(run: Cli, here: Path) -> None:
    """The best epoch on the test set is no result; it is counted, and named."""
    best = evaluated(run, "second", "--checkpoint", "best")
    last = evaluated(run, "second")
    assert best["step"] < last["step"], "this test needs an epoch that is better than the last one"
    evaluated(run, "second", "--checkpoint", "best", "--test")

    text = section(written(run, "second"), "Result")
    assert not [row for row in rows_of(text) if row[0] == "test"]
    assert "the test set was evaluated 1 time, but not with the last checkpoint" in text


def test_a_sealed_test_set_is_called_so(run: Cli, here: Path) -> None:
    text = written(run, "second")

    assert "No test accuracy: the test set is sealed: it was never evaluated." in text
    evaluated(run, "second", "--test")
    evaluated(run, "second", "--test")
    assert "The test set was evaluated 2 times in this run" in written(run, "second")


def test_without_validation_images_the_test_accuracy_is_the_result(run: Cli, here: Path) -> None:
    text = written(run, "blind")

    assert "Its result is the test accuracy alone." in text
    rows = rows_of(section(text, "Result"))
    assert [row[0] for row in rows[1:3]] == ["test", "training (no result)"]
    assert "## Confusion matrix, training images" in text
    assert "best epoch" not in section(text, "Result")


# --- the notebook

RUN_CELLS = """
import builtins, json, sys
allowed = builtins.__import__

def guarded(name, scope=None, *rest):
    inside = (scope or {}).get("__name__") == "__main__"
    if inside and name.partition(".")[0] not in {*sys.stdlib_module_names, "torch", "torchvision"}:
        raise ImportError(f"the notebook imports {name}")
    return allowed(name, scope, *rest)

builtins.__import__ = guarded
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), globals())
"""


def run_cells(notebook: Path) -> list[str]:
    """Run the code cells of a notebook without mnist-tui, and return what they print."""
    path = notebook.parent / "run_cells.py"
    path.write_text(RUN_CELLS)
    done = call(program(path, notebook.name), notebook.parent.with_name("output"))
    assert done.code == 0, done.err
    return done.out.splitlines()


def correct_text(record: dict[str, Any]) -> str:
    return f"{fmt.count(record['correct'])} of {fmt.count(record['images'])} correct, "


@pytest.mark.usefixtures("forked_programs")
def test_the_notebook_reaches_the_accuracy_of_the_run_without_mnist_tui(
    run: Cli, here: Path
) -> None:
    records = [
        evaluated(run, "first"),
        evaluated(run, "first", "--test"),
        evaluated(run, "second"),
    ]
    written(run, "first", "second", kind="notebook")
    shutil.copytree(here / "digits", here / "out" / "digits")

    lines = run_cells(here / "out" / "assignment.ipynb")

    assert len(lines) == 3, "the test set of the second run is sealed"
    names = ("validation", "test", "validation")
    for line, name, record in zip(lines, names, records, strict=True):
        assert line.startswith(f"{name}: {correct_text(record)}")


@pytest.mark.slow
def test_large_weights_lie_next_to_the_notebook(
    run: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook_program, "MOST_EMBEDDED", 100)
    record = evaluated(run, "second")
    written(run, "second", kind="notebook")
    assert (here / "out" / "assignment-step-1-weights.pt").is_file()
    shutil.copytree(here / "digits", here / "out" / "digits")

    (line,) = run_cells(here / "out" / "assignment.ipynb")

    assert correct_text(record) in line


@pytest.mark.usefixtures("forked_programs")
def test_the_notebook_is_valid_and_is_replaced_only_if_nobody_ran_it(run: Cli, here: Path) -> None:
    written(run, "second", kind="notebook")
    text = written(run, "second", kind="notebook")
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    pictures = [name for cell in notebook.cells for name in cell.get("attachments", {})]
    assert len(pictures) == 4
    assert all(name.endswith(".png") for name in pictures)
    output = nbformat.v4.new_output("stream", text="1")  # type: ignore[no-untyped-call]
    notebook.cells[-1].outputs = [output]
    path = here / "out" / "assignment.ipynb"
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]

    code, _, err = run("export", "second", "--as", "notebook", "--to", "out")

    assert code == 2
    assert "assignment.ipynb: not written: was edited since" in err


@pytest.mark.slow
def test_jupyter_runs_the_notebook(run: Cli, here: Path) -> None:
    written(run, "first", kind="notebook")
    record = evaluated(run, "first")
    shutil.copytree(here / "digits", here / "out" / "digits")
    notebook = nbformat.read(  # type: ignore[no-untyped-call]
        here / "out" / "assignment.ipynb", as_version=4
    )

    resources = {"metadata": {"path": str(here / "out")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()

    printed = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    assert any(correct_text(record) in text for text in printed)


# --- several steps


@pytest.mark.usefixtures("here")
def test_a_series_has_an_overview_and_paired_differences(run: Cli, both: Path) -> None:
    text = both.read_text()

    _, *rows = rows_of(section(text, "Overview"))
    assert [row[:2] for row in rows] == [["1", "first"], ["2", "second"]]
    found = json.loads(run("compare-runs", "first", "second", "--json")[1])["differences"][0]
    images = found["images"]
    analysis = text.partition("## Step 2: second")[2]
    assert (
        f"on the same 60 validation images: {images['only_first']} that only step 2 classifies "
        f"correctly, {images['only_second']} that only step 1 does" in analysis
    )
    assert "lr 0.1 → 0.05" in analysis
    assert "epochs 6 → 2" in analysis
    assert text.count("### Analysis (draft)") == text.count("> ▲ Draft, ") == 2


@pytest.mark.slow
def test_targets_are_given_once_for_all_or_once_for_each(
    run: Cli, here: Path, refused: Refused
) -> None:
    common = written(run, "first", "second", "--target", "40 %")
    assert common.count("Validation accuracy ≥ 40.00 % in each of the last 5 epochs.") == 2
    each = written(run, "first", "second", "--target", "0.3", "--target", "under *8k*")
    assert "Validation accuracy ≥ 30.00 % in each of the last 5 epochs." in each
    assert r"under \*8k\*" in each
    words = ["--target", "1", "--target", "2", "--as", "assignment"]
    assert refused("export", "first", "second", "blind", *words) == (
        "--target: given 2 times for 3 runs; give it once for all, or once for each"
    )


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["first", "second", "--as", "csv"],
            "--as csv: takes one run, not 2; export each by itself",
        ),
        (
            ["first", "--as", "csv", "--target", "9"],
            "--target: belongs to an assignment; add --as ",
        ),
        (
            ["first", "--as", "html", "--checkpoint", "best"],
            "--checkpoint best: --as html reports the last one; the best epoch is picked",
        ),
        (
            ["first", "--as", "html", "--target", "640 %"],
            "--target 640 %: an accuracy is above 0 and at most 100 %",
        ),
        (
            ["first", "second", "--as", "html", "--data-dir", "x"],
            "--data-dir: takes one run, not 2",
        ),
        (["nothing", "--as", "html"], "nothing: no such run; `mnist-tui runs` lists all runs"),
    ],
)
def test_what_cannot_be_is_one_line(
    here: Path, refused: Refused, words: list[str], problem: str
) -> None:
    assert refused("export", *words).startswith(problem)


def test_a_group_is_one_line(run: Cli, here: Path, refused: Refused) -> None:
    (here / "runs" / "group").mkdir()
    (here / "runs" / "group" / "seeds.toml").write_text("")
    shutil.move(here / "runs" / "first", here / "runs" / "group" / "seed-0")

    message = refused("export", "group", "--as", "assignment")
    assert message.endswith("is a group of runs; name one of its runs, as group/seed-0")
    text = written(run, "group/seed-0", "--data-dir", "digits")
    assert text.startswith("# digits: group/seed-0\n")


# --- the files


@pytest.mark.slow
def test_an_edited_document_is_not_replaced(run: Cli, here: Path) -> None:
    for kind, file in (("assignment", "assignment.md"), ("html", "assignment.html")):
        written(run, "second", kind=kind)
        written(run, "second", kind=kind)  # its own is
        path = here / "out" / file
        edited = path.read_text().replace("Draft", "My analysis", 1)
        path.write_text(edited)

        code, out, err = run("export", "second", "--as", kind, "--to", "out")

        assert (code, out) == (2, "")
        assert f"{file}: not written: was edited since mnist-tui wrote it" in err
        assert path.read_text() == edited


def test_every_picture_is_a_file_next_to_the_document(both: Path) -> None:
    links = re.findall(r"!\[[^\n]*\]\(([^)]+)\)", both.read_text())
    files = sorted(str(path.relative_to(both.parent)) for path in both.parent.glob("*/*"))
    assert sorted(links) == files
    assert len(files) == 2 * 4


@pytest.mark.parametrize(
    "texts", [HOSTILE[::2][:2], pytest.param(HOSTILE[1::2][:2], marks=pytest.mark.slow)]
)
def test_names_notes_tags_and_targets_are_texts(
    run: Cli, here: Path, texts: tuple[str, ...]
) -> None:
    names = [re.sub("[/\x00]", "", text) for text in texts]
    for run_name, name, text in zip(("blind", "second"), names, texts, strict=True):
        shutil.move(here / "runs" / run_name, here / "runs" / name)
        write_about(here / "runs" / name, About(text, (text, text)))
    targets = [word for text in texts for word in ("--target", text)]

    written(run, *names, *targets, kind="assignment,html")
    markdown = (here / "out" / "assignment.md").read_text()
    html = Page((here / "out" / "assignment.html").read_text())

    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    kinds = [child.type for token in tokens for child in token.children or []]
    assert {"link_open", "code_inline"}.isdisjoint(kinds)
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert len(blocks) == 1
    assert blocks[0].startswith("<!-- mnist-tui, unedited: sha256 ")
    assert not {"script", "iframe"} & set(html.names)
    assert not any(attribute.startswith("on") for _, attribute, _ in html.attributes)
    assert all(fmt.one_line(name) in html.text for name in names)


def test_a_run_that_diverged_is_reported_as_such(run: Cli, here: Path) -> None:
    run(*COMMON, "--epochs", "3", "--data-dir", "digits", "--out", "runs/wild", "--lr", "1e3")
    summary = RunFolder(here / "runs/wild").read_summary()
    assert summary.state == "diverged"

    text = written(run, "wild")

    assert f"> ▲ This run diverged: {summary.epochs_done} of 3 epochs are done; the check" in text
    assert "diverged" in section(text, "Analysis (draft)").lower()


CUSTOM = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, image_size, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, stride=2)
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        print("a custom model can print")
        return self.head(self.conv(x).relu().mean((2, 3)))
"""


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.slow
def test_a_custom_model_is_described_without_its_folder(run: Cli, here: Path) -> None:
    (here / "net.py").write_text(CUSTOM)
    words = ["--no-ui", "--model", "net.py:Net", "--epochs", "1", "--val-size", "60"]
    assert run(*words, "--data-dir", "digits", "--threads", "1", "--out", "runs/custom")[0] == 0

    text = written(run, "custom")
    notebook = written(run, "custom", kind="notebook")

    assert "| model | net.py:Net | era-s6 |" in text
    assert "mnist-tui --no-ui --model net.py:Net --data-dir digits --val-size 60 --epochs 1" in text
    for document in (text, notebook):
        assert str(here) not in document
    record = evaluated(run, "custom")
    assert accuracy_cells(record)[2] in text
    shutil.copytree(here / "digits", here / "out" / "digits")
    lines = run_cells(here / "out" / "assignment.ipynb")
    assert any(correct_text(record) in line for line in lines)


@pytest.mark.parametrize("kind", ["color", "tokens"])
def test_the_run_of_a_script_is_a_step_but_no_notebook(run: Cli, tmp_path: Path, kind: str) -> None:
    folder, _ = trained(tmp_path, kind)
    record = evaluated(run, str(folder.path))
    out = tmp_path / "out"

    code, _, err = run("export", folder.path, "--as", "assignment,html,notebook", "--to", out)

    assert code == 2
    assert "assignment.ipynb: not written: the run is of a script" in err
    text = (out / "assignment.md").read_text()
    rows = rows_of(section(text, "Result"))
    assert next(row[1:4] for row in rows if row[0] == "validation") == accuracy_cells(record)
    assert rows_of(section(text, "Network"))
    assert "python train.py" in section(text, "How to reproduce it")
    assert (out / "assignment.html").is_file()


def test_a_run_without_a_checkpoint_is_one_line(here: Path, refused: Refused) -> None:
    for path in (here / "runs" / "first" / "checkpoints").iterdir():
        path.unlink()
    assert refused("export", "first", "--as", "assignment").startswith(
        "first: has no checkpoint yet; start it again with"
    )


def test_a_run_that_another_process_trains_is_written_with_what_is_done(
    run: Cli, here: Path
) -> None:
    folder = RunFolder(here / "runs" / "second")
    summary = json.loads(folder.summary.read_text())
    folder.summary.write_text(json.dumps({**summary, "state": "running", "epochs": 9}))
    lock = Lock(folder.lock)
    text = written(run, "second")
    lock.release()
    assert "This run is running: 2 of 9 epochs are done" in text
