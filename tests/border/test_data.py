"""The rows about data: IDX files as published, and pictures as users take them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.border import images
from tests.border.commands import Lab, assert_fine, last_event, records
from tui_trainer.recording.folder import RunFolder

slow = pytest.mark.slow
BRIEF = ("--no-ui", "--model", "tiny", "--epochs", 1, "--val-size", 80, "--threads", 1)
CONFIDENT = 0.95


# --- IDX files as they are published


@slow
def test_the_label_files_of_qmnist(lab: Lab) -> None:
    """The first of eight numbers is the class: the run equals that on MNIST's own files."""
    folder = images.write_qmnist(lab.place / "qmnist")

    assert_fine(lab.run(*BRIEF, "--data-dir", folder, "--out", "on-qmnist"))
    assert_fine(lab.run(*BRIEF, "--data-dir", lab.data, "--out", "on-mnist"))

    of_qmnist, of_mnist = (RunFolder(lab.place / f"on-{name}") for name in ("qmnist", "mnist"))
    assert last_event(of_qmnist, "RunStarted")["classes"] == 10
    key = "test_loss"
    assert last_event(of_qmnist, "TestEvaluated")[key] == last_event(of_mnist, "TestEvaluated")[key]


def test_labels_with_a_hole(lab: Lab) -> None:
    """A class without an image is reported, and the others are trained."""
    folder = images.write_idx(lab.place / "hole", label=images.with_hole)

    ended = lab.run(*BRIEF, "--data-dir", folder, "--out", "on-hole")

    assert_fine(ended)
    assert "class 7" in ended.err
    assert last_event(RunFolder(lab.place / "on-hole"), "RunStarted")["classes"] == 11


@slow
def test_transposed_images_get_a_warning(lab: Lab) -> None:
    folder = images.write_idx(lab.place / "turned", image=images.transposed)

    lying = lab.run(*BRIEF, "--data-dir", folder, "--no-save")
    upright = lab.run(*BRIEF, "--data-dir", lab.data, "--no-save")

    assert_fine(lying)
    assert "transposed" in lying.err
    assert "transposed" not in upright.err


# --- pictures as users take them


@pytest.fixture(scope="module")
def judge(lab: Lab) -> Path:
    """A run trained on some thousand images: 95 % accuracy."""
    data = images.write_idx(lab.place / "large", train=5_000, test=1_000)
    given = ("--model", "small", "--epochs", 4, "--batch-size", 64, "--threads", 1)
    assert_fine(lab.run("--no-ui", *given, "--data-dir", data, "--out", "judge"))
    folder = lab.place / "judge"
    assert last_event(RunFolder(folder), "TestEvaluated")["test_accuracy"] > CONFIDENT
    return folder


def predicted(lab: Lab, judge: Path, picture: Image.Image, name: str) -> tuple[Any, str]:
    """Return the prediction for a picture, None if it is refused, and the output on stderr."""
    path = lab.place / "pictures" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    picture.save(path)
    ended = lab.run("predict", path, "--run", judge, "--json")
    assert "Traceback" not in ended.err
    assert ended.code in (0, 2), ended.err
    found = records(ended)
    return (found[0] if ended.code == 0 else None), ended.err


PICTURES: dict[str, Callable[[int], Image.Image]] = {
    "plain": images.plain,
    "on a table": images.on_a_table,
    "same brightness": images.same_brightness,
    "framed": images.framed,
}


@slow
@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("label", [2, 3, 5, 7])
def test_a_picture_of_a_digit(lab: Lab, judge: Path, kind: str, label: int) -> None:
    """It is predicted correctly, or refused with a reason; never confidently wrong."""
    record, words = predicted(lab, judge, PICTURES[kind](label), f"{kind}-{label}")

    if record is None:
        assert kind != "plain"
        assert len(words.strip().splitlines()) == 1
    elif record["class"] != label:
        assert kind != "plain"
        assert record["probability"] < CONFIDENT


@slow
@pytest.mark.parametrize("labels", [(4, 2), (1, 7), (2, 0, 2, 4)])
def test_several_digits_are_refused(lab: Lab, judge: Path, labels: tuple[int, ...]) -> None:
    record, words = predicted(lab, judge, images.several(labels), "".join(map(str, labels)))

    assert record is None
    assert f"{len(labels)}" in words


@slow
@pytest.mark.parametrize("gray", [0, 90, 255])
def test_a_picture_of_nothing_is_refused(lab: Lab, judge: Path, gray: int) -> None:
    record, words = predicted(lab, judge, Image.new("L", (200, 200), gray), f"nothing-{gray}")

    assert record is None
    assert "ink" in words
