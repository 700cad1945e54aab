"""Every name on the architecture page exists."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.benchmarks.house import PACKAGE, circles, imports_of, modules_of, stations

ROOT = Path(__file__).parents[1]


def test_every_station_of_each_walk_is_there() -> None:
    walks = [walk for walk, _, lines in stations(ROOT) if lines]
    assert set(walks) == {
        "From a batch to a pixel",
        "From a key to the optimizer",
        "From another process to the optimizer",
        "From a loop that somebody else wrote to the run folder",
    }


def test_every_room_is_described() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert {room for room in rooms if f"`{room}/`" not in page} == set()


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_imports_for_types_alone_are_seen() -> None:
    tree = ast.parse("if TYPE_CHECKING:\n    from a.b import c\n")
    assert list(imports_of(tree, {"a.b.c": None})) == ["a.b.c"]
    assert f"{PACKAGE}.engine.loop" in modules_of(ROOT)
