"""The names of custom models: on screens, and of their run folders."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.reference import absolute, model_name, parse_reference, suggestion_for
from tui_trainer.recording.folder import new_folder

NOW = datetime(2026, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/home/ada/lab/net.py:Net", "net.py:Net"),
        ("net.py:Net", "net.py:Net"),
        ("lab/net.py", "net.py"),
        ("lab/net.py:", "net.py"),
        ("torchvision.models:resnet18", "torchvision.models:resnet18"),
        ("lab/a\nb.py:Net", "'a\\nb.py:Net'"),
        *((name, name) for name in MODELS),
    ],
)
def test_a_reference_is_shown_without_folders(model: str, shown: str) -> None:
    assert model_name(model) == shown


@pytest.mark.parametrize("name", MODELS)
def test_no_zoo_model_is_taken_for_a_reference(name: str) -> None:
    assert parse_reference(name) is None


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("era-s6", "era-s6"),
        ("/home/ada/lab/net.py:Net", "net.py-Net"),
        ("package.module:factory", "package.module-factory"),
        ("../../größe & co.py:Größe", "größe-co.py-Größe"),
        ("a\nb/\x1b[31m.py:Net", "x1b-31m.py-Net"),
        ("x" * 300 + ".py:Net", "x" * 48),
        ("数" * 300 + ".py:Net", "数" * 48),
    ],
)
def test_a_runs_folder_has_a_portable_name(tmp_path: Path, model: str, named: str) -> None:
    first, second = (new_folder(tmp_path / "runs", model, NOW) for _ in range(2))

    assert first == tmp_path / "runs" / f"2026-01-02-0304-{named}"
    assert second.name == f"{first.name}-2"
    assert first.is_dir()
    assert second.is_dir()


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("lab/net.ipynb:Net", "a notebook; save it as a Python file, and name its class: net.py:"),
        ("net.ipynb", "a notebook; "),
        ("best.pt", "a weights file; name the Python file with the model's class"),
        ("runs/best.SafeTensors:Net", "a weights file; "),
        ("net.py:Net()", "write one name after the colon, without parentheses: net.py:Net"),
        ("net.py::Net", ""),
        ("net.py:zoo.Net", "write one name after the colon, without parentheses: net.py:Net"),
        ("net.py:a-b", "write one name after the colon, without parentheses: net.py:ClassName"),
        ("lab:Net()", "a folder; name a file in it: lab/net.py:ClassName"),
        ("lab/", "a folder; name a file in it: lab/net.py:ClassName"),
        ("lab/there:Net", "did you mean lab/there.py:Net?"),
        ("a\0b", ""),
        ("lenet", ""),
    ],
)
def test_invalid_references_get_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, advice: str
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/there.py").touch()
    monkeypatch.chdir(tmp_path)

    if advice:
        assert parse_reference(model) is None
        assert suggestion_for(model).startswith(advice)
    else:
        assert parse_reference(model) is None or not suggestion_for(model)


def test_a_module_in_the_current_folder_becomes_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/__init__.py").touch()
    (tmp_path / "lab/nets.py").touch()
    monkeypatch.chdir(tmp_path)

    assert absolute("lab.nets:Net") == f"{tmp_path}/lab/nets.py:Net"
    assert absolute("lab:Net") == f"{tmp_path}/lab/__init__.py:Net"
    assert absolute("torchvision.models:resnet18") == "torchvision.models:resnet18"
