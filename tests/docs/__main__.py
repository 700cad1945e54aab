"""Check the documents: ``python -m tests.docs [--write] [--run] [PAGE ...]``.

Without an option: links, commands, files and generated tables. ``--write`` makes the generated
tables and plots again, ``--run`` runs the commands and programs too, which takes some minutes, and
``--external`` lists the links that lead out of the checkout; nothing is fetched.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.leaderboard import PICTURES
from tests.docs.commands import (
    PROGRAM,
    Playground,
    commands_of,
    problem_of,
    problem_of_file,
    shown_commands,
    unknown_program,
)
from tests.docs.pages import PAGES, ROOT, blocks, broken_links, links, name_of, text_of
from tests.docs.tables import filled


def problems(page: Path) -> Iterator[str]:
    """Yield everything that is wrong with a page and is found without running anything."""
    yield from broken_links(page)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in blocks(page):
            if block.language == "sh":
                others = (each for each in commands_of(block) if each.words[0] != PROGRAM)
                yield from filter(None, map(unknown_program, others))
            elif block.language == "toml":
                yield from filter(None, [problem_of_file(block, Path(folder))])
            elif block.language == "python":
                compile(block.text, f"{block.page}:{block.line}", "exec")
        # In the folder with the files that the page shows: an option may name one.
        yield from filter(None, map(problem_of, shown_commands(page)))
    if filled(page) != text_of(page):
        yield f"{name_of(page)}: a generated table is out of date: python -m tests.docs --write"
    for name in outdated_pictures(page):
        yield f"{name_of(page)}: {name} is out of date: python -m tests.docs --write"


def outdated_pictures(page: Path) -> list[str]:
    """Return the generated pictures of a page that differ from what they should be, by name."""
    targets = {name_of((page.parent / target).resolve()) for _, target in links(page)}
    files = {name: ROOT / name for name in PICTURES if name in targets}
    return [
        name
        for name, file in files.items()
        if not file.exists() or text_of(file) != PICTURES[name]()
    ]


def main() -> int:
    """Check the pages, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, help="only these pages")
    parser.add_argument("--write", action="store_true", help="make the generated tables again")
    parser.add_argument("--run", action="store_true", help="run the commands and programs")
    parser.add_argument("--external", action="store_true", help="list the links that lead outside")
    options = parser.parse_args()
    wanted = {path.resolve() for path in options.pages}
    pages = [page for page in PAGES if not wanted or page in wanted]
    found: list[str] = []
    for page in pages:
        if options.write and filled(page) != text_of(page):
            page.write_text(filled(page), encoding="utf-8")
            print(f"{name_of(page)}: written")
        for name in outdated_pictures(page) if options.write else ():
            (ROOT / name).write_text(PICTURES[name](), encoding="utf-8")
            print(f"{name}: written")
        if options.external:
            for line, target in links(page, external=True):
                print(f"{name_of(page)}:{line}: {target}")
        found.extend(problems(page))
    if options.run:
        with tempfile.TemporaryDirectory() as folder:
            for page in pages:
                place = Path(folder) / page.stem
                place.mkdir()
                found.extend(Playground(place).play(page))
    print(*found, sep="\n")
    print(f"{len(pages)} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
