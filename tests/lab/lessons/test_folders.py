"""Each lesson has a folder with the name of its slug, which holds all of its files."""

from __future__ import annotations

from importlib.resources import files

import pytest

from tui_trainer.course.lesson import SLUGS, folder_of

LESSONS = files("tui_trainer") / "lab" / "lessons"


def test_each_slug_has_a_folder_and_each_folder_is_a_lesson() -> None:
    folders = {f.name for f in LESSONS.iterdir() if f.is_dir() and f.name != "__pycache__"}
    assert folders == set(map(folder_of, SLUGS))
    assert folder_of("1x1-convolutions") == "_1x1_convolutions"
    assert folder_of("batch-size") == "batch_size"


@pytest.mark.parametrize("slug", SLUGS)
def test_a_folder_has_its_text_and_its_experiment(slug: str) -> None:
    names = {f.name for f in (LESSONS / folder_of(slug)).iterdir()}
    assert names >= {"__init__.py", "text.toml", "experiment.py"}
