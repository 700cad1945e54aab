"""``mnist-tui predict``, on a run of one epoch over some hundred real digits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset
from tests.data.strokes import GLYPHS, painted
from tests.test_import_hygiene import HEAVY, loaded_by
from tui_trainer import cli
from tui_trainer.cli.predict import INKS
from tui_trainer.data import paper
from tui_trainer.recording.folder import RunFolder

BRIEF = ("--no-ui", "--threads", 1, "--epochs", 1, "--train-size", 300, "--val-size", 50)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = write_dataset(folder / "digits", train=400, gzip=False)
        arguments = (*BRIEF, "--model", "tiny", "--data-dir", data, "--out", "runs/mine")
        patch.setattr(sys, "argv", ["mnist-tui", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert caught.value.code == 0
    return RunFolder(folder / "runs" / "mine")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    two = painted(GLYPHS[2], (20, 60, 60), 3, pad=150)
    Image.frombytes("L", (150, 150), two.ink).save(folder / "two.png")
    (folder / "bad.png").write_text("no picture")
    return folder


def test_a_picture_is_a_line(run: Cli, trained: RunFolder, pictures: Path) -> None:
    code, out, err = run("predict", pictures / "two.png", "--run", trained.path)

    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    assert line.split()[0].endswith("/two.png")
    guess, share, sign, then, second, *_ = line.split()[1:]
    assert guess.isdigit()
    assert second.isdigit()
    assert 0 < float(share) <= 100
    assert (sign, then) == ("%", "then")


def test_a_bad_file_is_reported_and_the_others_are_predicted(
    run: Cli, trained: RunFolder, pictures: Path
) -> None:
    code, out, err = run("predict", pictures, "nowhere.png", pictures, "--run", trained.path)

    assert code == 2
    assert [line.split()[0].rpartition("/")[2] for line in out.splitlines()] == ["two.png"] * 2
    output = err.splitlines()
    assert len(output) == 3
    assert output[0] == (
        f"mnist-tui: error: {pictures / 'bad.png'}: is not a picture in a known "
        "format; convert it to PNG or JPEG"
    )
    assert output[1] == ("mnist-tui: error: nowhere.png: cannot be read: No such file or directory")


def test_json_is_a_line_a_picture(run: Cli, trained: RunFolder, pictures: Path) -> None:
    options = ("--checkpoint", "best", "--checkpoint", "last", "--json")
    code, out, _ = run("predict", pictures, "--run", trained.path, *options)

    (record,) = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert record["path"] == str(pictures / "two.png")
    assert record["checkpoint"] == "best"
    assert list(record["checkpoints"]) == ["best", "last"]
    probabilities = record["probabilities"]
    assert sum(probabilities) == pytest.approx(1)
    assert record["class"] == probabilities.index(max(probabilities))
    assert record["probability"] == max(probabilities)
    assert probabilities[record["runner_up"]] == sorted(probabilities)[-2]
    assert record["checkpoints"]["best"]["probabilities"] == probabilities


def test_a_warning_gives_its_reason(
    run: Cli, trained: RunFolder, pictures: Path, tmp_path: Path
) -> None:
    Image.open(pictures / "two.png").crop((27, 0, 150, 150)).save(tmp_path / "cut.png")
    why = "the ink touches the left edge: part of it may be missing"

    code, out, err = run("predict", tmp_path / "cut.png", "--run", trained.path)
    _, record, _ = run("predict", tmp_path / "cut.png", "--run", trained.path, "--json")

    assert (code, err) == (0, "")
    assert out.rstrip().endswith(f"  warning: {why}")
    assert json.loads(record)["warnings"] == [why]


def test_two_digits_are_refused_and_the_others_predicted(
    run: Cli, trained: RunFolder, pictures: Path, tmp_path: Path
) -> None:
    two = Image.open(pictures / "two.png")
    both = Image.new("L", (300, 150))
    both.paste(two, (0, 0))
    both.paste(two, (150, 0))
    both.save(tmp_path / "both.png")
    two.save(tmp_path / "two.png")

    code, out, err = run("predict", tmp_path, "--run", trained.path)
    raw_code, raw, _ = run("predict", tmp_path, "--run", trained.path, "--raw")

    assert code == 2
    assert err == (
        f"mnist-tui: error: {tmp_path / 'both.png'}: holds 2 separate shapes;"
        " crop it to one digit\n"
    )
    assert len(out.splitlines()) == 1
    assert (raw_code, len(raw.splitlines())) == (0, 2)


def test_several_checkpoints_stand_side_by_side(
    run: Cli, trained: RunFolder, pictures: Path
) -> None:
    options = ("--checkpoint", "best", "--checkpoint", "last", "--checkpoint", "best")
    _, out, _ = run("predict", pictures / "two.png", "--run", trained.path, *options)

    head, line = out.splitlines()
    assert head.split() == ["best", "last"]
    assert line.count("%") == 2


def test_a_digit_is_shown_as_the_model_gets_it(
    run: Cli, trained: RunFolder, pictures: Path
) -> None:
    shown = {}
    for options in ((), ("--raw",)):
        _, out, _ = run("predict", pictures / "two.png", "--run", trained.path, "--show", *options)
        rows = out.splitlines()[1:]
        shown[options] = [number for number, row in enumerate(rows) if row.strip()]

    # The two is 20 rows tall once it is centered; in the picture it is smaller and lower.
    centered, raw = shown.values()
    assert (centered[0], centered[-1]) == (2, 11)
    assert raw[0] > 4
    assert len(raw) < len(centered)


def test_its_models_are_those_of_the_run(
    run: Cli, trained: RunFolder, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.path.parents[1])
    last = run("predict", pictures / "two.png")
    named = run("predict", pictures / "two.png", "--run", "mine", "--checkpoint", "last")

    assert last == named


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "nowhere"], "nowhere: no such run"),
        (["--checkpoint", "epoch-7"], "--checkpoint epoch-7: not in mine; choose best, last"),
        (["--ink", "red"], "--ink red: choose auto, dark, light"),
    ],
)
def test_unusable_input_is_one_line(
    data_refused: Refused, trained: RunFolder, pictures: Path, arguments: list[str], words: str
) -> None:
    chosen = arguments if arguments[0] == "--run" else [*arguments, "--run", trained.path]
    assert words in data_refused("predict", pictures / "two.png", *chosen)


def test_a_damaged_checkpoint_is_one_line(
    data_refused: Refused, trained: RunFolder, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cut"
    (folder / "checkpoints").mkdir(parents=True)
    for path in (trained.config, trained.events):
        (folder / path.name).write_bytes(path.read_bytes())
    content = trained.checkpoint("last").read_bytes()
    (folder / "checkpoints" / "last.safetensors").write_bytes(content[:-50])

    assert "last.safetensors: is" in data_refused("predict", pictures / "two.png", "--run", folder)


def test_its_help_does_not_load_torch() -> None:
    roots = loaded_by(
        "import tui_trainer.cli as c; sys.argv = ['mnist-tui', 'predict', '--help']; c.main()"
    )

    assert not roots & (HEAVY | {"PIL"})


def test_what_can_be_ink_is_what_the_reader_knows() -> None:
    assert INKS == paper.INKS


MODELS = {
    "batch": ("torch.softmax(logits, dim=0)", 2, "predicts an image differently alone and in"),
    "random": (
        "functional.dropout(logits, 0.5)",
        0,
        "warning: last: its predictions are partly random",
    ),
    "constant": (
        "logits * 0 + torch.arange(10.0)",
        0,
        "warning: last: it predicts the same for every image",
    ),
    "own": ("logits", 0, ""),
}


@pytest.mark.parametrize(
    "kind", ["batch", *(pytest.param(k, marks=pytest.mark.slow) for k in MODELS if k != "batch")]
)
def test_a_prediction_that_a_model_cannot_make_is_reported(
    run: Cli, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    expression, expected, words = MODELS[kind]
    (tmp_path / "model.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "from torch.nn import functional\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.logits = nn.Linear(784, 10)\n"
        "    def forward(self, x):\n"
        "        logits = self.logits(x.flatten(1))\n"
        f"        return {expression}\n"
    )
    monkeypatch.chdir(tmp_path)
    trained, _, printed = run(
        *BRIEF, "--augment", "none", "--model", "model.py:Net", "--out", "run"
    )
    assert trained == 0, printed

    code, out, err = run("predict", pictures / "two.png", "--run", "run")

    assert code == expected
    assert bool(out) is (expected == 0)
    assert words in err if words else err == ""
