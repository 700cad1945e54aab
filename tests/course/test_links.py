"""The links of the lessons exist, and everything that names a lesson is linked from it."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files

import pytest

from tui_trainer.anatomy.review import RULES as REVIEW
from tui_trainer.course.lesson import Lesson, lessons
from tui_trainer.findings import RULES
from tui_trainer.headless import lesson_page
from tui_trainer.ui.widgets import lesson_panel as lesson_panel

SCREENS = {"train", "model", "inspect", "check", "runs"}

Titles = dict[int, set[str]]
"""The titles or codes in the source, by the topic they name."""


@pytest.fixture(scope="module")
def titles() -> Titles:
    """The titles of the design review's verdicts by the topic of their rule."""
    found: Titles = defaultdict(set)
    for function in functions_of("tui_trainer.anatomy.review"):
        calls = list(calls_in(function))
        topics = [topic for topic, rule in REVIEW.values() if rule.__name__ == function.name]
        titles = [
            text
            for call in calls
            if isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "report"
            for text in texts(call.args[0], function)
        ]
        for topic in topics:
            found[topic].update(titles)
    return found


@pytest.fixture(scope="module")
def codes() -> Titles:
    """The codes of the findings by the topic they name."""
    found: Titles = defaultdict(set)
    texts_of = tomllib.loads((files("tui_trainer.findings") / "texts.toml").read_text("utf-8"))
    for code, data in texts_of.items():
        if "lesson" in data:
            found[data["lesson"]].add(code)
    for function in functions_of("tui_trainer.findings"):
        for call in calls_in(function):
            if isinstance(call.func, ast.Name) and call.func.id == "finding":
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                for topic in numbers(given["lesson"]) if "lesson" in given else ():
                    found[topic].update(texts(call.args[0], function))
    return found


def functions_of(package: str) -> Iterator[ast.FunctionDef]:
    for path in files(package).iterdir():
        if path.name.endswith(".py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (node for node in tree.body if isinstance(node, ast.FunctionDef))


def calls_in(function: ast.FunctionDef) -> Iterator[ast.Call]:
    return (node for node in ast.walk(function) if isinstance(node, ast.Call))


def numbers(node: ast.expr) -> list[int]:
    """Return the possible values of an expression: ``14 if … else 15``."""
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return [ast.literal_eval(part) for part in parts]


def texts(node: ast.expr, function: ast.FunctionDef) -> list[str]:
    """Return the possible texts of an expression, following the variables of its function."""
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, function), *texts(node.orelse, function)]
    if isinstance(node, ast.Name):
        given = [value for name, value in assigned(function) if name == node.id]
        assert given, f"{function.name}: where {node.id} comes from is not seen"
        return [text for value in given for text in texts(value, function)]
    found = ast.literal_eval(node)
    assert isinstance(found, str)
    return [found]


def assigned(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Yield the assignments of a function, also those of ``title, advice = "…", "…"``."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        (target,), value = node.targets, node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        yield from ((name.id, given) for name, given in pairs if isinstance(name, ast.Name))


def test_every_finding_of_a_lesson_exists_and_every_finding_is_in_its_lesson(codes: Titles) -> None:
    assert set().union(*codes.values()) == {rule.code for rule in RULES}
    assert_linked(codes, {lesson: set(lesson.findings) for lesson in lessons()})


def test_every_verdict_of_a_lesson_exists_and_every_verdict_is_in_its_lesson(
    titles: Titles,
) -> None:
    assert len(set().union(*titles.values())) > 40
    assert_linked(titles, {lesson: set(lesson.reviews) for lesson in lessons()})


def assert_linked(named: Titles, linked: dict[Lesson, set[str]]) -> None:
    there = set().union(*named.values())
    unknown = {lesson.slug: links - there for lesson, links in linked.items() if links - there}
    assert not unknown
    topics = {lesson.topic: links for lesson, links in linked.items()}
    lacking = {
        topic: titles - topics[topic] for topic, titles in named.items() if titles - topics[topic]
    }
    assert not lacking


def test_every_screen_exists() -> None:
    for lesson in lessons():
        assert set(lesson.screens) <= SCREENS, lesson.slug
    assert set(lesson_page.SCREENS) == set(lesson_panel.SCREENS) == SCREENS
