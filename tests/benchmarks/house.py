"""Measure the layout of the package: ``python -m tests.benchmarks.house [CHECKOUT]``.

Counts lines by room, the modules that the trainer loads, file names that occur more than once, the
longest functions and classes, import cycles (including imports for type checkers), and the
stations of ``docs/architecture.md``: what a newcomer reads to follow a batch to a pixel and a key
to the optimizer.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PACKAGE = "tui_trainer"
LOADED = (
    "import sys, {}.engine.loop; print(sum(name.split('.')[0] == {!r} for name in sys.modules))"
)


def modules_of(checkout: Path) -> dict[str, Path]:
    """Return the modules of the package by their dotted names."""
    found = {}
    for path in sorted((checkout / PACKAGE).rglob("*.py")):
        parts = path.relative_to(checkout).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(tree: ast.Module, names: Mapping[str, object]) -> Iterator[str]:
    """Yield the modules that a module imports anywhere, also in functions or only for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in names else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in arrows[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            place = stack.index(name)
            group, stack[place:] = stack[place:], []
            if len(group) > 1:
                found.append(sorted(group))

    for name in arrows:
        if name not in order:
            visit(name)
    return found


def stations(checkout: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the walk, the place (``room/file.py:name``) and the number of lines of each station.

    Raises:
        LookupError: If there is no such class or function.
    """
    walk = ""
    page = checkout / "docs" / "architecture.md"
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            walk = line.removeprefix("## ")
        for place, name in re.findall(r"`([\w/]+\.py):(\w+)`", line):
            tree = ast.parse((checkout / PACKAGE / place).read_text(encoding="utf-8"))
            found = [
                node
                for node in tree.body
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
            ]
            if not found:
                raise LookupError(f"{page.name}: {place} has no {name}")
            yield walk, f"{place}:{name}", (found[0].end_lineno or 0) - found[0].lineno + 1


def main(arguments: Sequence[str]) -> int:
    """Print the table of a checkout; default: this one."""
    checkout = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    modules = modules_of(checkout)
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    rooms: Counter[str] = Counter()
    for name, text in texts.items():
        parts = name.split(".")
        is_room = len(parts) > 2 or (modules[name].name == "__init__.py" and len(parts) > 1)
        rooms[parts[1] if is_room else "."] += len(text.splitlines())
    for room, lines in rooms.most_common():
        print(f"{room:<12}{lines:>7,}")
    print(f"{'all':<12}{sum(rooms.values()):>7,} lines in {len(modules)} files")
    command = LOADED.format(PACKAGE, PACKAGE)
    loaded = subprocess.run(
        [sys.executable, "-c", command], cwd=checkout, capture_output=True, text=True, check=True
    )
    print(f"modules that engine.loop loads: {loaded.stdout.strip()}")
    names = Counter(p.name for p in modules.values() if p.name != "__init__.py")
    twice = {name: count for name, count in names.items() if count > 1}
    print(f"files with a name that occurs more than once: {sum(twice.values())} {dict(twice)}")
    for kind in (ast.FunctionDef, ast.ClassDef):
        longest = sorted(
            ((node.end_lineno or 0) - node.lineno + 1, f"{name}.{node.name}")
            for name, tree in trees.items()
            for node in ast.walk(tree)
            if isinstance(node, kind)
        )[:-4:-1]
        print(f"longest {kind.__name__}: {longest}")
    arrows = {
        name: {other for other in imports_of(tree, modules) if other in modules and other != name}
        for name, tree in trees.items()
    }
    print(f"import cycles: {circles(arrows)}")
    walk = ""
    for walk_now, place, lines in stations(checkout):
        if walk_now != walk:
            walk = walk_now
            print(f"{walk}:")
        print(f"  {place:<48}{lines:>5}")
    return 0


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    sys.exit(main(sys.argv[1:]))
