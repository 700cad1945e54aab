"""What a network of one's own is called: on screens, and by the folder of its run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tui_trainer.run.config import MODELS
from tui_trainer.run.folder import new_folder
from tui_trainer.run.reference import parse_reference
from tui_trainer.run.text import model_name

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
def test_it_is_shown_without_its_folders(model: str, shown: str) -> None:
    assert model_name(model) == shown


@pytest.mark.parametrize("name", MODELS)
def test_no_network_of_the_zoo_is_taken_for_a_reference(name: str) -> None:
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
def test_a_runs_folder_has_a_name_that_any_disk_can_hold(
    tmp_path: Path, model: str, named: str
) -> None:
    first, second = (new_folder(tmp_path / "runs", model, NOW) for _ in range(2))

    assert first == tmp_path / "runs" / f"2026-01-02-0304-{named}"
    assert second.name == f"{first.name}-2"
    assert first.is_dir()
    assert second.is_dir()
