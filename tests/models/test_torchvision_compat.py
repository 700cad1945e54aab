from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import types
from importlib.machinery import ModuleSpec

import pytest
import torch

from tui_trainer.models import torchvision_compat

# Includes a first, failed import: an attempt without the module must do no harm.
FRESH = """
try:
    import torchvision
except RuntimeError:
    pass
from tui_trainer.models.torchvision_compat import import_torchvision
first = import_torchvision()
assert import_torchvision() is first
import torch
from torchvision.transforms import v2
print(first.__name__, first.datasets.KMNIST.__name__)
print(tuple(v2.CenterCrop(4)(torch.zeros(2, 1, 8, 8)).shape))
boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6]])
try:
    print("nms", first.ops.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist())
except RuntimeError as error:
    print("nms", type(error).__name__)
"""


@pytest.mark.slow
def test_a_fresh_process_can_import_torchvision() -> None:
    """With a CPU build of torch this tests the declared operators, otherwise the plain import."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.stderr == ""
    module, shape, nms = done.stdout.splitlines()
    assert module == "torchvision KMNIST"
    assert shape == "(2, 1, 4, 4)"
    assert nms in ("nms RuntimeError", "nms [1, 2]")


class FakeLibrary:
    """Replaces torch.library.Library and records what is declared."""

    made: list[FakeLibrary]

    def __init__(self, namespace: str, kind: str) -> None:
        self.kind = (namespace, kind)
        self.schemas: list[str] = []
        self.made.append(self)

    def define(self, schema: str) -> None:
        self.schemas.append(schema)


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A process in which torchvision is not installed and not imported; records its imports."""
    imported: list[str] = []
    module = types.ModuleType("torchvision")

    def import_module(name: str) -> types.ModuleType:
        imported.append(name)
        return module

    FakeLibrary.made = []
    extension = ModuleSpec("_C", None, origin="folder/_C.so")
    package = ModuleSpec("torchvision", None, is_package=True)
    package.submodule_search_locations = ["folder"]
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(torchvision_compat, "_fragment", None)
    monkeypatch.setattr(torch.library, "Library", FakeLibrary)
    monkeypatch.setattr(torchvision_compat, "FileFinder", lambda *_: FakeFinder(extension))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    monkeypatch.setattr(importlib, "import_module", import_module)
    return imported


class FakeFinder:
    def __init__(self, found: ModuleSpec | None) -> None:
        self.found = found

    def find_spec(self, name: str) -> ModuleSpec | None:
        return self.found


def test_a_matched_build_is_left_alone(imports: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)

    torchvision_compat.import_torchvision()

    assert loaded == ["folder/_C.so"]
    assert FakeLibrary.made == []
    assert imports == ["torchvision"]


def test_operators_that_do_not_load_are_declared_once(
    imports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise OSError("undefined symbol")

    monkeypatch.setattr(torch.ops, "load_library", refuse)

    torchvision_compat.import_torchvision()
    torchvision_compat.import_torchvision()

    (library,) = FakeLibrary.made
    assert library.kind == ("torchvision", "FRAGMENT")
    assert library.schemas == [
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ]
    assert torchvision_compat._fragment is library  # type: ignore[comparison-overlap]
    assert imports == ["torchvision", "torchvision"]


def test_a_build_without_operators_gets_their_names(
    imports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision_compat, "FileFinder", lambda *_: FakeFinder(None))

    torchvision_compat.import_torchvision()

    assert len(FakeLibrary.made) == 1


def test_no_torchvision_at_all(imports: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ModuleNotFoundError, match="torchvision is not installed"):
        torchvision_compat.import_torchvision()
