"""``mnist-tui export`` of runs on color images, in each kind of data that is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors import safe_open

from tests.cli.conftest import Cli
from tests.color_files import write_arrays, write_class_folders
from tests.color_images import CLASS_NAMES
from tests.data.binary_files import write_binary
from tests.export.programs import complaints_of_ruff, output_of
from tui_trainer.data.binary_files import CIFAR10, CIFAR100, STL10
from tui_trainer.data.loading import load
from tui_trainer.protocol.config import RunConfig

BRIEF = ["--no-ui", "--threads", "1", "--device", "cpu", "--epochs", "1", "--batch-size", "16"]

KINDS: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "npz": (lambda path: write_arrays(path.with_suffix(".npz")), []),
    "floats": (
        lambda path: write_arrays(path.with_suffix(".npz"), as_floats=True, with_val=True),
        [],
    ),
    "cifar10": (lambda path: write_binary(path, CIFAR10), ["--augment", "color"]),
    "cifar100": (lambda path: write_binary(path, CIFAR100, per_file=200), []),
    "stl10": (lambda path: write_binary(path, STL10, per_file=40), []),
    "folders": (write_class_folders, ["--image-size", "28"]),
    "tree": (
        lambda path: write_class_folders(path, is_single=True, suffix=".jpg"),
        ["--image-size", "20", "--fit", "pad"],
    ),
    "grays": (
        lambda path: write_class_folders(path, mode="L"),
        ["--image-size", "24", "--fit", "stretch"],
    ),
}
"""How data of each kind is written, and the options of a run on it."""


def train(run: Cli, data: Path, *arguments: object) -> None:
    """Train on data; the run is ``runs/r``."""
    options = ["--model", "pico", "--data-dir", data, "--out", "runs/r"]
    code, _, err = run(*BRIEF, *options, *arguments)
    assert code == 0, err


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.parametrize(
    "kind",
    [
        # Those that are downloaded are read in tests/export/test_color_source.py too.
        pytest.param(kind, marks=() if kind in ("npz", "tree") else pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_a_program_reads_the_images_of_the_run(run: Cli, tmp_path: Path, kind: str) -> None:
    write, options = KINDS[kind]
    data = write(tmp_path / "shapes")
    train(run, data, *options)
    summary = json.loads(Path("runs/r/summary.json").read_text())

    code, out, err = run("export", "runs/r", "--as", "python")

    assert (code, err) == (0, "")
    assert "test images have another predicted class than in torch" in out
    names: dict[str, Any] = {"__name__": "train"}
    exec(compile(Path("runs/r/exports/train.py").read_text(), "train.py", "exec"), names)
    expected = loaded(data, *options)
    train_set, val_set, test_set = names["load_data"](str(data))
    for found, split in (
        (train_set, expected.train),
        (val_set, expected.val),
        (test_set, expected.test.shown()),
    ):
        assert torch.equal(found[0], split.images)
        assert torch.equal(found[1], split.labels)
    assert complaints_of_ruff(Path("runs/r/exports")) == ""
    shown = output_of(
        Path("runs/r/exports"), "--data", str(data), "--evaluate", "weights.pt"
    ).splitlines()
    assert shown[-1].startswith(f"test: {summary['test_correct']} of ")
    assert shown[-1].endswith(f"loss {summary['test_loss']:.4f}")


def loaded(data: Path, *options: str) -> Any:
    """Return the data of a run with these options."""
    given = dict(zip(options[::2], options[1::2], strict=True))
    config = RunConfig(
        data_dir=str(data),
        image_size=int(given["--image-size"]) if "--image-size" in given else None,
        fit=given.get("--fit", "crop"),
    )
    loading = load(config, torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as done:
            return done.value


def test_a_model_file_describes_how_images_are_prepared(run: Cli, tmp_path: Path) -> None:
    train(run, write_arrays(tmp_path / "shapes.npz"))

    code, out, err = run("export", "runs/r", "--as", "onnx,torch,weights")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    for line in lines[:2]:
        assert "0 of 45 test images have another predicted class than in torch" in line
        assert "; input: red, green, blue, (pixel / 255 - (0." in line
    exports = Path("runs/r/exports")
    model = onnx.load(exports / "model.onnx")
    found = {each.key: json.loads(each.value) for each in model.metadata_props}
    with safe_open(exports / "weights.safetensors", framework="pt") as file:
        assert {key: json.loads(text) for key, text in file.metadata().items()} == found
    extra = {"preprocessing.json": ""}
    torch.export.load(exports / "model.pt2", extra_files=extra)
    assert json.loads(extra["preprocessing.json"]) == found
    assert found["class_names"] == list(CLASS_NAMES)
    assert found["input_shape"] == [3, 32, 32]
    assert found["channel_order"] == "RGB"
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", 3, 32, 32]
    for name in ("mean", "std"):
        assert len(found[name]) == 3
        assert all(0 < value < 1 for value in found[name])
