"""The README says what is there, and is made fit for PyPI when a package is built."""

from __future__ import annotations

from pathlib import Path

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
