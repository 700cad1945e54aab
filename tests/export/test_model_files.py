from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tui_trainer.export import model_files
from tui_trainer.export.comparison import Comparison
from tui_trainer.export.model_files import (
    compare_onnx,
    compare_torch_export,
    write_onnx,
    write_torch_export,
    write_weights,
)
from tui_trainer.models import zoo
from tui_trainer.protocol.config import MODELS

Write = Callable[[nn.Module, int, Path], str]
Compare = Callable[[nn.Module, Path, Tensor], Comparison]

FORMATS: dict[str, tuple[Write, Compare]] = {
    "onnx": (write_onnx, compare_onnx),
    "pt2": (write_torch_export, compare_torch_export),
}


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)


def trained(name: str, image_size: int = 28) -> nn.Module:
    """Return a model in training mode whose batch norms have statistics."""
    model = zoo.build(name, image_size=image_size, classes=10)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.3)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.2, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
    return model.train()


def pictures(count: int, image_size: int = 28) -> Tensor:
    return torch.randn(count, 1, image_size, image_size)


def agrees(result: Comparison, images: int) -> bool:
    """Whether the differences are those of float32, on logits of about 1."""
    return result.images == images and not result.disagreements and result.max_difference < 1e-4


# An ONNX file takes some seconds: what does not depend on the format is tested with the other.
SLOWLY = [
    kind if kind != "onnx" else pytest.param(kind, marks=pytest.mark.slow) for kind in FORMATS
]


# --- every built-in model in every format


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_has_the_same_outputs_for_any_batch(
    tmp_path: Path, name: str, kind: str
) -> None:
    write, compare = FORMATS[kind]
    model, path = trained(name), tmp_path / f"network.{kind}"

    write(model, 28, path)

    for count in (1, 2, 7):
        assert agrees(compare(model, path, pictures(count)), images=count)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", SLOWLY)
def test_images_of_another_size_are_exported_too(tmp_path: Path, kind: str) -> None:
    write, compare = FORMATS[kind]
    model, path = trained("mlp", 12), tmp_path / "network"

    write(model, 12, path)

    assert agrees(compare(model, path, pictures(3, 12)), images=3)


@pytest.mark.parametrize("kind", SLOWLY)
def test_the_model_is_unchanged(tmp_path: Path, kind: str) -> None:
    write, compare = FORMATS[kind]
    model = trained("era-s6-dropout").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.pool1.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]

    write(model, 28, tmp_path / "network")
    result = compare(model, tmp_path / "network", pictures(4))

    assert agrees(result, images=4)
    assert [module.training for module in model.modules()] == modes
    assert all(weight.requires_grad for weight in model.parameters())
    assert model.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.slow
def test_exports_print_nothing_and_contain_no_path_of_this_machine(tmp_path: Path) -> None:
    code = (
        "import logging, pathlib, sys, torch; logging.basicConfig(level=logging.INFO);"
        "torch.set_num_threads(1);"
        "from tui_trainer.models import zoo; from tui_trainer.export import model_files as n;"
        "net, images = zoo.build('tiny', image_size=28, classes=10), torch.zeros(1, 1, 28, 28);"
        "onnx, pt2 = map(pathlib.Path, sys.argv[1:]);"
        "n.write_onnx(net, 28, onnx); n.compare_onnx(net, onnx, images);"
        "n.write_torch_export(net, 28, pt2); n.compare_torch_export(net, pt2, images)"
    )
    files = [tmp_path / "model.onnx", tmp_path / "model.pt2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("", "")
    for path in files:
        content = path.read_bytes()
        assert len(content) > 10_000
        assert b"site-packages" not in content
        assert os.fsencode(Path(zoo.__file__).parent) not in content


# --- ONNX


@pytest.mark.parametrize("most", [2_000, pytest.param(0, marks=pytest.mark.slow)])
def test_the_onnx_file_is_valid_and_whole_with_the_names_and_shapes_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Also of a model with so many operators that they are not optimized."""
    monkeypatch.setattr(model_files, "MAX_OPTIMIZED_NODES", most)
    path = tmp_path / "model.onnx"
    write_onnx(trained("mlp"), 28, path)

    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["batch", 1, 28, 28], "logits": ["batch", 10]}
    assert not any(onnx.external_data_helper.uses_external_data(w) for w in model.graph.initializer)


# --- comparisons


@pytest.mark.parametrize("kind", SLOWLY)
def test_a_comparison_detects_another_model(tmp_path: Path, kind: str) -> None:
    write, compare = FORMATS[kind]
    model, path, images = trained("mlp"), tmp_path / "network", pictures(9)
    write(model, 28, path)
    with torch.no_grad():
        model.logits.bias[3] += 100  # type: ignore[index, operator, union-attr]

    result = compare(model, path, images)

    assert result.images == 9
    assert result.max_difference == pytest.approx(100, abs=1e-3)
    model.eval()
    model.logits.bias.data[3] -= 100  # type: ignore[index, operator, union-attr]
    others = (model(images).argmax(dim=1) != 3).sum()
    assert result.disagreements == int(others) > 0


def test_a_comparison_sees_every_image_whatever_the_batch(tmp_path: Path) -> None:
    model, path, images = trained("mlp"), tmp_path / "network", pictures(10)
    write_torch_export(model, 28, path)
    with torch.no_grad():
        model.logits.bias[3] += 1e-2  # type: ignore[index, operator, union-attr]

    results = {compare_torch_export(model, path, images, batch=n).images for n in (1, 3, 10, 99)}

    assert results == {10}
    nothing = compare_torch_export(model, path, images[:0])
    assert nothing == Comparison(images=0, disagreements=0, max_difference=0.0)


def test_a_nan_logit_is_not_hidden(tmp_path: Path) -> None:
    model, path, images = trained("mlp"), tmp_path / "network", pictures(4)
    write_torch_export(model, 28, path)
    images[1] = float("nan")

    result = compare_torch_export(model, path, images, batch=1)

    assert result.max_difference != result.max_difference


# --- the weights alone


def test_the_weights_file_has_every_tensor_under_its_name(tmp_path: Path) -> None:
    model = trained("era-s6").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    write_weights(model, tmp_path / "network.safetensors")

    read, expected = load_file(tmp_path / "network.safetensors"), model.state_dict()
    assert set(read) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype


def test_a_model_with_the_weights_of_the_file_has_the_same_outputs(tmp_path: Path) -> None:
    model, images = trained("tiny"), pictures(5)
    write_weights(model, tmp_path / "network.safetensors")
    other = trained("tiny")
    other.load_state_dict(load_file(tmp_path / "network.safetensors"))

    assert torch.equal(other.eval()(images), model.eval()(images))
