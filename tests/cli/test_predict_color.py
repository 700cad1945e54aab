"""``mnist-tui predict`` by models of color images and of pictures in folders of classes."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.conftest import Cli, Refused
from tests.color_files import write_class_folders
from tests.color_images import CLASS_NAMES, color_images
from tests.data.idx_files import write_dataset
from tui_trainer import cli
from tui_trainer.data.loading import load
from tui_trainer.lab.views.checkpoint_models import saved_model_of
from tui_trainer.protocol.config import RunConfig
from tui_trainer.recording.folder import RunFolder

BRIEF = ["--no-ui", "--threads", "1", "--device", "cpu", "--epochs", "1", "--batch-size", "16"]
SIZE = 24


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data in color and in gray, and a run on each."""
    folder = tmp_path_factory.mktemp("lab")
    write_class_folders(folder / "color")
    write_class_folders(folder / "gray", mode="L", suffix=".jpg")
    for kind in ("color", "gray"):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            options = ["--data-dir", kind, "--out", f"runs/{kind}", "--image-size", str(SIZE)]
            patch.setattr(sys, "argv", ["mnist-tui", *BRIEF, "--model", "pico", *options])
            with pytest.raises(SystemExit) as caught:
                cli.main()
        assert caught.value.code == 0
    return folder


@pytest.mark.parametrize("kind", ["color", "gray"])
def test_a_picture_is_predicted_as_its_image_in_the_dataset(
    run: Cli, lab: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(lab / kind / "test", tmp_path / "copy")
    config = RunConfig(data_dir=str(lab / kind), image_size=SIZE)
    loading = load(config, torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as done:
            data = done.value
            break
    model = saved_model_of(RunFolder(lab / "runs" / kind).checkpoint("last"))
    images = data.test.shown().images
    with torch.no_grad():
        expected = model.model(data.prepare(images)).softmax(dim=1)

    code, out, err = run("predict", tmp_path / "copy", "--run", lab / "runs" / kind, "--json")

    assert (code, err) == (0, "")
    *records, summary = [json.loads(line) for line in out.splitlines()]
    found = torch.tensor([record["probabilities"] for record in records])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    labels = data.test.shown().labels.tolist()
    assert [record["true_class"] for record in records] == labels
    correct = int((expected.argmax(dim=1) == torch.tensor(labels)).sum())
    assert summary["accuracy"]["last"]["correct"] == correct
    assert summary["accuracy"]["last"]["total"] == len(labels) == 45
    assert sum(record["correct"] for record in records) == correct
    first = records[0]
    assert first["class_name"] == sorted(CLASS_NAMES)[first["class"]]
    assert first["true_class_name"] == sorted(CLASS_NAMES)[first["true_class"]]


def test_classes_have_their_names_in_text_and_in_csv(run: Cli, lab: Path, tmp_path: Path) -> None:
    shutil.copytree(lab / "color" / "test" / "red disc", tmp_path / "any" / "red disc")
    shutil.copytree(lab / "color" / "test" / "blue disc", tmp_path / "any" / "unknown")

    code, out, _ = run("predict", tmp_path / "any", "--run", lab / "runs/color", "--csv", "all.csv")

    assert code == 0
    *lines, last = out.splitlines()
    assert len(lines) == 10
    assert all(any(f"  {name} " in line for name in CLASS_NAMES) for line in lines)
    assert all(
        line.endswith("true class: red disc") for line in lines[:5] if "  red disc" not in line
    )
    assert last.startswith("accuracy ")
    assert last.endswith(" of 5 pictures correct; 5 pictures of no known class")
    with Path("all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["true class"] for row in rows] == ["red disc"] * 5 + [""] * 5
    assert {row["class"] for row in rows} <= {*CLASS_NAMES}
    for row in rows:
        assert sum(float(row[f"p {name}"]) for name in CLASS_NAMES) == pytest.approx(1)


def test_a_folder_of_any_name_is_its_class(run: Cli, tmp_path: Path) -> None:
    names = ["a\nb", "=1+1", "\u202eab", "<script>", "Cafe\u0301", "猫" * 60]
    for split in ("train", "test"):
        for number, name in enumerate(names):
            (tmp_path / split / name).mkdir(parents=True)
            for shade in range(3):
                color = (40 * number, 80 * shade, 200)
                path = tmp_path / split / name / f"{shade}.png"
                Image.new("RGB", (16, 16), color).save(path)
    options = ("--model", "pico", "--data-dir", tmp_path, "--val-size", 0, "--out", "runs/r")
    code, _, err = run(*BRIEF, *options)
    assert code == 0, err
    shutil.copytree(tmp_path / "test", "copy")

    code, out, err = run("predict", "copy", "--run", "runs/r", "--csv", "all.csv")

    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(" of 18 pictures correct")
    assert all(line.isprintable() for line in out.splitlines())
    with Path("all.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith("=") for cell in cells)


def test_pictures_of_the_data_of_the_run_give_no_accuracy(run: Cli, lab: Path) -> None:
    """It would be a test evaluation that is not counted."""
    code, out, err = run("predict", lab / "color" / "test", "--run", lab / "runs/color")

    assert code == 0
    assert "accuracy" not in out
    assert "true class" not in out
    assert "with --test it counts as a test evaluation" in err


def test_pictures_of_any_form_are_read_and_bad_ones_are_a_line_each(
    run: Cli, lab: Path, tmp_path: Path
) -> None:
    pixels = color_images(1, 60).pixels[0]
    image = Image.fromarray(pixels)
    rotated = image.getexif()
    rotated[0x0112] = 6
    forms = {
        "rgb.png": image,
        "alpha.png": image.convert("RGBA"),
        "cmyk.jpg": image.convert("CMYK"),
        "palette.gif": image.convert("P"),
        "gray.png": image.convert("L"),
        "deep.png": Image.fromarray(pixels[..., 0].astype(np.uint16) * 257),
        "wide.webp": image.resize((200, 40)),
    }
    for name, each in forms.items():
        each.save(tmp_path / name)
    image.save(tmp_path / "turned.jpg", exif=rotated)
    (tmp_path / "text.png").write_text("no picture")
    whole = (tmp_path / "rgb.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])

    code, out, err = run("predict", tmp_path, "--run", lab / "runs/color")

    assert code == 2
    assert len(out.splitlines()) == len(forms) + 1
    lines = err.splitlines()
    assert len(lines) == 2
    assert f"{tmp_path / 'half.png'}: is damaged, or not whole: " in lines[0]
    assert f"{tmp_path / 'text.png'}: is not a picture in a known format" in lines[1]


def test_the_fit_is_that_of_the_run(run: Cli, lab: Path, tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:, 40:80] = (220, 40, 40)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = {}
    for options in ((), ("--fit", "crop"), ("--fit", "pad"), ("--fit", "stretch")):
        arguments = (tmp_path / "wide.png", "--run", lab / "runs/color", "--json", *options)
        _, out, _ = run("predict", *arguments)
        found[options[1:]] = json.loads(out)["probabilities"]

    assert found[()] == found["crop",]
    assert len({tuple(each) for each in found.values()}) == 3


def test_a_picture_is_shown_as_the_model_gets_it(run: Cli, lab: Path) -> None:
    path = next((lab / "color/test/red disc").iterdir())

    _, out, _ = run("predict", path, "--run", lab / "runs/color", "--show")

    rows = out.splitlines()[1:]
    assert len(rows) == SIZE // 2
    assert max(map(len, rows)) == SIZE + 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--ink", "dark"), "--ink dark: pictures are read as pictures here, not as ink; leave it"),
        (("--raw",), "--raw: pictures are read as pictures here"),
        (("--read-as", "ink"), "--read-as ink: the model takes color images, and ink has none"),
        (("--read-as", "sound"), "--read-as sound: choose auto, ink, picture"),
        (("--fit", "zoom"), "--fit zoom: choose crop, pad, stretch"),
        (("--csv", "no/such.csv"), "--csv no/such.csv: folder no does not exist"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    refused: Refused, lab: Path, options: tuple[str, ...], problem: str
) -> None:
    assert problem in refused("predict", "any.png", "--run", lab / "runs/color", *options)


def test_digits_stay_ink_and_can_be_read_as_pictures(run: Cli, data_refused: Refused) -> None:
    write_dataset(Path("digits"))
    options = ("--model", "pico", "--data-dir", "digits", "--out", "runs/digits")
    code, _, err = run(*BRIEF, *options)
    assert code == 0, err
    ink = Image.new("L", (60, 60), 255)
    ink.paste(0, (10, 20, 16, 50))
    ink.save("one.png")
    Path("many/3").mkdir(parents=True)
    ink.save("many/3/one.png")

    _, as_ink, _ = run("predict", "one.png", "--run", "runs/digits", "--json")
    _, as_picture, _ = run(
        "predict", "one.png", "--run", "runs/digits", "--json", "--read-as", "picture"
    )
    _, shown, _ = run("predict", "many", "--run", "runs/digits")

    assert json.loads(as_ink)["probabilities"] != json.loads(as_picture)["probabilities"]
    assert "class_name" not in json.loads(as_ink)
    assert "of 1 picture correct" in shown
    line = data_refused("predict", "one.png", "--run", "runs/digits", "--fit", "pad")
    assert "--fit pad: ink is centered; leave it out, or --read-as picture" in line
