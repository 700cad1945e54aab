"""The README says what is there, and is made fit for PyPI when a package is built."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.docs.pages import links, text_of

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
LARGEST = 2_000_000
"""Bytes of a picture."""


def test_ci_installs_with_the_readmes_second_command() -> None:
    second = next(line for line in text_of(README).splitlines() if line.endswith("-m pytest"))
    install = second.split(" && ")[1].removeprefix(".venv/bin/pip install ")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f'pip" install --quiet {install}' in ci


def test_pictures_are_small_and_moving() -> None:
    pictures = [ROOT / target for _, target in links(README) if target.endswith(".svg")]
    assert pictures
    assert all(picture.stat().st_size < LARGEST for picture in pictures)
    assert "@keyframes" in pictures[0].read_text(encoding="utf-8")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build hook; the build backend, which is there only while a package is built, is not."""
    interface = ModuleType("interface")
    interface.MetadataHookInterface = type(  # type: ignore[attr-defined]
        "MetadataHookInterface", (), {"root": str(ROOT)}
    )
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", interface)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_on_pypi_every_picture_and_link_is_absolute(hook: ModuleType) -> None:
    metadata: dict[str, Any] = {"urls": {"Repository": "https://example.org/us/mnist-tui/"}}
    hook.PypiReadme().update(metadata)
    text = metadata["readme"]["text"]
    assert metadata["readme"]["content-type"] == "text/markdown"
    base = "https://example.org/us/mnist-tui"
    assert f"({base}/raw/HEAD/docs/images/run.svg?sanitize=true)" in text
    assert f"[Keys]({base}/blob/HEAD/docs/keys.md)" in text
    assert f"]({base}/blob/HEAD/docs/recipes.md#speed)" in text
    assert set(re.findall(r"\]\((?!https://)[^)]*\)", text)) == set()
    assert text.replace(f"{base}/raw/HEAD/", "").replace(f"{base}/blob/HEAD/", "").replace(
        "?sanitize=true", ""
    ) == text_of(README)


def test_without_an_address_the_readme_stays_as_it_is(hook: ModuleType) -> None:
    metadata: dict[str, Any] = {}
    hook.PypiReadme().update(metadata)
    assert metadata["readme"]["text"] == text_of(README)
