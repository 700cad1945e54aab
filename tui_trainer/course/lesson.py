"""The text of a lesson as data, and the list of lessons.

In a text file, ``{object}`` and ``{objects}`` stand for what the images of the run show.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from tui_trainer.course.subject import DIGIT, data_note, object_of
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import RunStarted
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
"""The lessons by topic number; 0 is part one of the course, backpropagation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """The text of a lesson. An empty line separates paragraphs.

    Attributes:
        topic: The topic number; 0 for backpropagation.
        slug: The name on the command line.
        title: The heading.
        what: What the topic is.
        why: Why it matters.
        rule: The rule of thumb.
        reason: The reason for the rule.
        trap: The common mistake.
        formulas: Lines that are not wrapped.
        experiment: What to try in the experiment, and what to watch.
        observations: Sentences about the reader's own model and run. Names in braces stand for
            figures; a sentence is shown if all of its figures are known.
        no_observations: Shown instead if no sentence can be filled.
        question: A question to the reader.
        answer: Its answer.
        screens: Screens that show more: ``train``, ``model``, ``inspect``, ``check``, ``runs``.
        findings: Codes of the related findings.
        reviews: Titles of the related verdicts of the design review.
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
    observations: tuple[str, ...]
    no_observations: str
    question: str
    answer: str
    screens: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    reviews: tuple[str, ...] = ()

    def data_note(self, started: RunStarted | None) -> str:
        """Return which data its examples are of, if a run has others; lesson 0 has no data."""
        return data_note(started) if self.topic else ""

    def about(self, started: RunStarted | None) -> Lesson:
        """Return the lesson as it speaks of the images of a run; of digits before there is one."""
        return self if started is None else lesson(self.slug, object_of(started.dataset))


def folder_of(slug: str) -> str:
    """Return the folder of a lesson in ``lab/lessons``: its slug as a Python package name.

    Hyphens become underscores, and a leading digit gets one: ``_1x1_convolutions``.
    """
    return re.sub(r"-|^(?=\d)", "_", slug)


@cache
def lesson(slug: str, object_: str = DIGIT) -> Lesson:
    """Return a lesson by its slug.

    Args:
        slug: The slug.
        object_: What an image shows.

    Raises:
        InputError: If there is no such lesson; the message lists the slugs.
    """
    if slug not in SLUGS:
        raise InputError(f"no lesson {printable(slug) or '(nothing)'}; choose {', '.join(SLUGS)}")
    path = files("tui_trainer") / "lab" / "lessons" / folder_of(slug) / "text.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Lesson(
        topic=SLUGS.index(slug),
        slug=slug,
        **{f.name: _cleaned(data[f.name], object_) for f in fields(Lesson) if f.name in data},
    )


def lessons() -> tuple[Lesson, ...]:
    """Return every lesson, in the order of the course."""
    return tuple(lesson(slug) for slug in SLUGS)


def find_lesson(name: str) -> Lesson:
    """Return a lesson by its slug, the beginning of its slug, or its topic number.

    Raises:
        InputError: If no lesson matches, or several do.
    """
    name = name.strip()
    if name.isdecimal() and int(name) < len(SLUGS):
        return lesson(SLUGS[int(name)])
    slug_start = "-".join(name.lower().replace("×", "x").split())
    matches = [slug for slug in SLUGS if slug == slug_start] or [
        slug for slug in SLUGS if slug_start and slug.startswith(slug_start)
    ]
    if len(matches) > 1:
        raise InputError(f"{printable(name)} matches {', '.join(matches)}; type more of the name")
    return lesson(matches[0] if matches else slug_start)


def _cleaned(value: Any, object_: str) -> Any:
    """Return a TOML value as a field of a lesson: lists as tuples, paragraphs as single lines.

    The front end wraps them: only it knows the width.
    """
    if isinstance(value, list):
        return tuple(_about(each, object_) for each in value)
    paragraphs = _about(str(value).strip(), object_).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _about(text: str, object_: str) -> str:
    one = f"an {object_}" if object_[0] in "aeiou" else f"a {object_}"
    text = text.replace("a {object}", one).replace("{object}", object_)
    return text.replace("{objects}", f"{object_}s")
