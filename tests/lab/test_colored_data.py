"""Views and experiments on images in color whose classes have names."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.color_images import color_images
from tests.names import CIFAR, HOSTILE
from tests.protocol.questions import ask_lesson, ask_view
from tests.training import prepare
from tui_trainer.course.lesson import SLUGS
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.lab.ask import topic_of
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.context import Context
from tui_trainer.protocol.class_names import class_names
from tui_trainer.protocol.commands import Ask, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.exhibit import Exhibit, Matrix, Pictures
from tui_trainer.protocol.inspection import VIEWS
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.plain_exhibit import plain_lines
from tui_trainer.text.fmt import columns

Contexts = Callable[[tuple[str, ...]], Context]

UNTRUE = re.compile(r"\bdigits?\b|\bMNIST\b(?!-tui)|28×28", re.IGNORECASE)
"""What is untrue of these images …"""

TRUE = (
    "with the proportions of MNIST's digits",
    "has about 16 digits",
    "lengths in pixels of a 28×28 image",
)
"""… except here."""

WORDS = [view.name for view in VIEWS if not view.takes_drawing and view.name != "forgetting"]


def write_cifar(folder: Path, names: tuple[str, ...]) -> Path:
    """Write a dataset in the format of CIFAR-10's binary files."""
    folder.mkdir()
    for place, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        images = color_images(120, seed=place)
        planes = images.pixels.transpose(0, 3, 1, 2).reshape(120, -1)
        records = (bytes([label]) + row.tobytes() for label, row in zip(images.labels, planes))  # noqa: B905
        (folder / f"{name}.bin").write_bytes(b"".join(records))
    lines = "".join(f"{name or '-'}\n" for name in names)
    (folder / "batches.meta.txt").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def colored(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """Return the context of an untrained model on images in color, by the names of its classes."""

    @cache
    def context(names: tuple[str, ...]) -> Context:
        folder = write_cifar(tmp_path_factory.mktemp("colored") / "colored", names)
        config = RunConfig(
            model="small", data_dir=str(folder), train_size=300, val_size=120, threads=1
        )
        preparing = prepare(config, Inbox(), CheckpointStore(), time.perf_counter)
        while True:
            try:
                next(preparing)
            except StopIteration as prepared:
                laboratory = prepared.value.assistant
                assert isinstance(laboratory, Laboratory)
                return laboratory.open_context(ask_lesson("softmax"))

    return context


def shown(context: Context, question: Ask) -> Exhibit:
    """Return the last exhibit of a question."""
    parts = topic_of(question).begin(context, question)
    exhibits = [each for each in parts if isinstance(each, Exhibit)]
    return exhibits[-1]


def texts_of(value: object) -> Iterator[str]:
    """Yield every text of an exhibit but those for scripts, and the names of its controls."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from texts_of(each)
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in ("figures", "name", "opens", "values"):
                yield from texts_of(getattr(value, field.name))


def untrue(exhibit: Exhibit) -> list[str]:
    found = []
    for text in texts_of(exhibit):
        rest = text
        for words in TRUE:
            rest = rest.replace(words, "")
        found += [text] if UNTRUE.search(rest) else []
    return found


@pytest.mark.parametrize("view", WORDS)
@pytest.mark.sampled(2)
def test_a_view_names_the_classes_and_no_digits(view: str, colored: Contexts) -> None:
    context = colored(CIFAR)
    exhibit = shown(context, ask_view(view))

    assert untrue(exhibit) == []
    if view in ("confusion", "classes", "misclassified", "hardest", "attribution", "activation"):
        assert any(name in text for text in texts_of(exhibit) for name in CIFAR)


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.sampled(3)
def test_an_experiment_notes_its_data(slug: str, colored: Contexts) -> None:
    exhibit = shown(colored(CIFAR), ask_lesson(slug))

    assert untrue(exhibit) == []
    if slug != "backpropagation":
        assert "Data: colored, 32×32 pixels in 3 channels, 10 classes." in exhibit.evidence


def test_a_class_is_chosen_by_its_name_or_its_number(colored: Contexts) -> None:
    context = colored(CIFAR)
    by_number = shown(context, ask_view("misclassified", (("true", 3.0), ("predicted", 5.0))))
    by_name = shown(context, ask_view("misclassified", (("true", "cat"), ("predicted", "dog"))))

    assert by_number.figures == by_name.figures
    assert by_name.figures["true_name"] == "cat"
    true = next(control for control in by_name.controls if control.name == "true")
    assert (true.value, true.name_of(true.value)) == (3.0, "cat")


@pytest.mark.parametrize("view", WORDS)
@pytest.mark.sampled(2)
def test_hostile_names_break_no_view(view: str, colored: Contexts) -> None:
    exhibit = shown(colored(HOSTILE), ask_view(view))

    for width in (60, 76, 160):
        lines = plain_lines(exhibit, width, exhibit.controls)
        assert all(line.isprintable() or "\u200d" in line for line in lines)
        if not any(isinstance(block, Matrix | Pictures) for block in exhibit.blocks):
            assert max(map(columns, lines)) <= width
    page = blocks_html(exhibit.blocks)
    assert "<script>" not in page
    assert "\x1b" not in page


def test_the_rows_of_a_matrix_have_distinct_names(colored: Contexts) -> None:
    context = colored(HOSTILE)
    exhibit = shown(context, ask_view("confusion"))
    matrix = next(block for block in exhibit.blocks if isinstance(block, Matrix))

    assert list(matrix.heads) == class_names(context.data.class_names, 10)
    assert len(set(matrix.heads)) == 10
