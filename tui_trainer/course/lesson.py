"""A lesson as data, and where the lessons are."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import printable

SLUGS = (
    "backpropagation",
    "layers",
    "max-pooling",
    "1x1-convolutions",
    "3x3-convolutions",
    "receptive-field",
    "softmax",
    "learning-rate",
    "kernels",
    "batch-normalization",
    "image-normalization",
    "max-pooling-position",
    "transition-layers",
    "transition-position",
    "dropout",
    "overfitting",
    "max-pooling-distance",
    "batch-norm-distance",
    "when-to-stop-convolving",
    "early-signs",
    "batch-size",
)
"""The lessons by their topic's number: 0 is part one of the course, backpropagation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a lesson says. Paragraphs are parted by an empty line.

    Attributes:
        topic: The number of its topic; 0 for backpropagation.
        slug: Its name on the command line.
        title: Its name.
        what: What it is about.
        why: Why that matters.
        rule: The rule of thumb.
        reason: The reason for the rule.
        trap: The mistake that is made with it.
        formulas: Lines that keep their form.
        experiment: What to do in the experiment, and what to watch.
        here: Sentences on the reader's own network, with the names of figures in braces; each is
            said if all of its figures are known.
        without: What is said where none of these can be.
        question: A question.
        answer: Its answer.
        screens: Names of the screens where one sees more of it: ``train``, ``model``, ``check``.
        findings: Codes of the findings that belong to it.
        reviews: Titles of the review's verdicts that belong to it.
    """

    topic: int
    slug: str
    title: str
    what: str
    why: str
    rule: str
    reason: str
    trap: str
    formulas: tuple[str, ...]
    experiment: str
    here: tuple[str, ...]
    without: str
    question: str
    answer: str
    screens: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    reviews: tuple[str, ...] = ()


def folder_of(slug: str) -> str:
    """Return the folder of a lesson in ``lab/lessons``: its slug as the name of a Python package.

    An underscore stands for each hyphen, and in front of a first digit: ``_1x1_convolutions``.
    """
    return re.sub(r"-|^(?=\d)", "_", slug)


@cache
def lesson(slug: str) -> Lesson:
    """Return a lesson by its name.

    Raises:
        InputError: If there is no such lesson; it names those that there are.
    """
    if slug not in SLUGS:
        raise InputError(
            f"no lesson {printable(slug) or '(nothing)'}; there are {', '.join(SLUGS)}"
        )
    path = files("tui_trainer") / "lab" / "lessons" / folder_of(slug) / "text.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Lesson(
        topic=SLUGS.index(slug),
        slug=slug,
        **{f.name: _cleaned(data[f.name]) for f in fields(Lesson) if f.name in data},
    )


def lessons() -> tuple[Lesson, ...]:
    """Return every lesson, in the course's order."""
    return tuple(lesson(slug) for slug in SLUGS)


def find_lesson(name: str) -> Lesson:
    """Return a lesson by its name, the beginning of its name, or its topic's number.

    Raises:
        InputError: If none is meant, or several are.
    """
    name = name.strip()
    if name.isdecimal() and int(name) < len(SLUGS):
        return lesson(SLUGS[int(name)])
    slug_start = "-".join(name.lower().replace("×", "x").split())
    matches = [slug for slug in SLUGS if slug == slug_start] or [
        slug for slug in SLUGS if slug_start and slug.startswith(slug_start)
    ]
    if len(matches) > 1:
        raise InputError(f"{printable(name)} can be {' or '.join(matches)}; which lesson is meant?")
    return lesson(matches[0] if matches else slug_start)


def _cleaned(value: Any) -> Any:
    """Return a field as a lesson holds it: lists as tuples, texts without the breaks at their ends.

    A paragraph's lines are joined: how wide it is, the front end knows.
    """
    if isinstance(value, list):
        return tuple(value)
    paragraphs = str(value).strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
