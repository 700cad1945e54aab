from __future__ import annotations

import re
from dataclasses import astuple

import pytest

from tests.headless.fakes import started
from tui_trainer.course.lesson import SLUGS, lesson, lessons
from tui_trainer.course.subject import data_note, name_of, unusual_shape, words_of
from tui_trainer.protocol.events import RunStarted

UNTRUE = re.compile(r"\bdigits?\b|\bMNIST\b(?!-tui)|28×28", re.IGNORECASE)
"""Words about MNIST, which are untrue of other images …"""

TRUE = (
    # … except where the text names MNIST as the source of an example or of a figure,
    "On MNIST, a feature cannot tell a 3 from an 8 if it sees only a quarter of the digit",
    "On MNIST a digit covers about 20×20 of the 28×28 pixels",
    "most small networks recognize nine MNIST digits in ten",
    # … computes with a map of a given size,
    "32 feature maps of 28×28 go through",
    "14×14 positions instead of 28×28",
    # … or a verdict of the design review has it as its name.
    "the receptive field is smaller than a digit of MNIST",
    "16 digits",
)


def colored() -> RunStarted:
    return started(
        dataset="cifar10", image_size=32, channels=3, class_names=("cat", "dog"), classes=2
    )


@pytest.mark.parametrize("slug", SLUGS)
def test_a_lesson_names_no_digits_where_images_show_others(slug: str) -> None:
    text = str(astuple(lesson(slug).about(colored())))
    for words in TRUE:
        text = text.replace(words, "")

    assert UNTRUE.findall(text) == []
    assert "{object" not in text


def test_a_lesson_speaks_of_digits_where_a_run_has_them() -> None:
    layers = lesson("layers")

    assert layers.about(None) == layers.about(started()) == layers
    assert "the whole digit" in layers.rule
    assert "the whole object" in layers.about(colored()).rule
    assert "recognize an object by" in lesson("dropout").about(colored()).why
    assert all("{object" not in str(astuple(each)) for each in lessons())


def test_a_lesson_notes_the_data_of_its_examples() -> None:
    assert data_note(None) == data_note(started()) == ""
    assert "This run has cifar10, 32×32 pixels in 3 channels, 2 classes." in data_note(colored())
    assert "fashion-mnist, 28×28 pixels, 10 classes" in data_note(started(dataset="fashion-mnist"))
    assert data_note(started(image_size=0)) == ""


def test_the_data_of_a_run_have_words() -> None:
    assert name_of(started()) == "mnist"
    assert name_of(colored()) == words_of(colored())
    assert (unusual_shape(started()), unusual_shape(colored())) == ("", "32×32×3")
    assert "\n" not in words_of(started(dataset="a\nb", image_size=32))
