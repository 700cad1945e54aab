"""The pages name what there is: links, commands, files and tables (``python -m tests.docs``)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import settings_page
from tests.benchmarks.findings.public.faults import FAULTS as TRAININGS
from tests.docs import commands, pages
from tests.docs.__main__ import problems
from tests.docs.commands import Command, Playground
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, name_of, text_of
from tests.docs.tables import TABLES
from tui_trainer.findings import RULES
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.inspection import VIEWS
from tui_trainer.ui.keys.keymap import BINDINGS
from tui_trainer.ui.theming.themes import shipped_dir

DOCS = ROOT / "docs"
GENERATED = {"error-rates.md", "keys.md", "scripts.md", "networks.md", "lessons.md", "settings.md"}


def doc(name: str) -> str:
    return text_of(DOCS / name)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_commands_files_and_tables(page: Path) -> None:
    assert list(problems(page)) == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_programs_run(page: Path, tmp_path: Path) -> None:
    assert list(Playground(tmp_path).play(page)) == []


def test_every_table_is_on_a_page() -> None:
    everything = "".join(map(text_of, PAGES))
    assert set(re.findall(r"<!-- generated: ([\w-]+) -->", everything)) == set(TABLES)


def test_every_command_is_shown_and_no_other() -> None:
    shown = {each.name for page in PAGES for each in commands.shown_commands(page)}
    assert shown == commands.command_names() | {""}


def test_every_key_is_on_its_page() -> None:
    page = doc("keys.md")
    assert [name for name in BINDINGS if f"| `{name}` |" not in page] == []


def test_every_exit_code_is_on_its_page() -> None:
    page = doc("scripts.md")
    assert [code for code in ExitCode if f"| {code.value} | {code.meaning} |" not in page] == []


def test_every_theme_is_named() -> None:
    page = doc("configuration.md")
    assert [
        path.stem for path in shipped_dir().glob("*.toml") if f"`{path.stem}`" not in page
    ] == []


def test_every_view_is_named() -> None:
    page = doc("inspect.md")
    assert [view.title for view in VIEWS if f"| {view.title} |" not in page] == []


def test_the_error_rates_are_those_of_rules_and_trainings_that_exist() -> None:
    page = doc("error-rates.md")
    rates = page[page.index("## By training") : page.index("## Healthy runs")]
    named = set(re.findall(r"`(\w+)` \d", rates))
    assert len(named) > 20
    assert named <= {rule.code for rule in RULES}
    trainings = re.findall(r"^\| (\w+)\.([\w%-]+[\w.%-]*) \|", rates, re.MULTILINE)
    assert {f"{origin}/{name}" for origin, name in trainings} <= set(TRAININGS)
    assert f"{len(RULES)} rules" in doc("findings.md")


def test_the_settings_page_is_made_from_their_table() -> None:
    assert settings_page.PATH.read_text(encoding="utf-8") == settings_page.page()


def test_pages_are_short_and_in_the_index() -> None:
    index = text_of(ROOT / "README.md")
    for page in DOCS.glob("*.md"):
        assert f"(docs/{page.name})" in index
        assert page.name in GENERATED or text_of(page).count("\n") <= 200
    assert text_of(ROOT / "README.md").count("\n") <= 220
    assert text_of(ROOT / "CONTRIBUTING.md").count("\n") <= 150


def test_what_a_check_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A *b* (c)\n\n[a](#a-b-c) [b](#b) [c](gone.md) `mnist-tui --no`\n")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    assert anchors(page) == {"a-b-c"}
    assert pages.broken_links(page) == [
        "page.md:3: #b: there is no such heading",
        "page.md:3: gone.md: there is no such file",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("mnist-tui --epochs 3 --no-ui", ""),
        ("mnist-tui --epoch 3", "No such option"),
        ("mnist-tui --epochs 0", "epochs"),
        ("mnist-tui resume --speed 3", "No such option"),
        ("mnist-tui train", "train"),
        ("mnist-tui learn softmax | less", ""),
        ("mnist-tui predict", "IMAGE"),
    ],
)
def test_what_the_command_line_takes(line: str, problem: str) -> None:
    found = commands.problem_of(Command("page.md:1", line))
    assert problem in found
    assert bool(problem) is bool(found)


def test_other_programs_and_files_are_checked(tmp_path: Path) -> None:
    wrong = Block(
        "page.md", 1, "sh", "python -m tests.gone\npyton -m tests.docs\npytest tests/x.py\n"
    )
    assert [bool(commands.unknown_program(each)) for each in commands.commands_of(wrong)] == [
        *[True] * 3
    ]
    keys = Block("keys.md", 1, "toml", '[run]\npause = "no such key"\n')
    assert "pause" in commands.problem_of_file(keys, tmp_path)


def test_a_block_names_its_file() -> None:
    named = [block.file for block in blocks(DOCS / "configuration.md") if block.language == "toml"]
    assert named == ["run.toml", "harbor.toml"]
