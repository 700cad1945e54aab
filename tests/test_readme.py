"""The README says what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests import settings_page
from tui_trainer.anatomy.table import layer_table
from tui_trainer.cli import app, main
from tui_trainer.models import zoo
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.layers import totals
from tui_trainer.text.fmt import field
from tui_trainer.ui.keys.binding import keys_text
from tui_trainer.ui.keys.keymap import KEYMAP
from tui_trainer.ui.theming.themes import shipped_dir

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_installs_with_the_readmes_second_command() -> None:
    second = next(line for line in README.splitlines() if line.endswith("-m pytest"))
    install = second.split(" && ")[1].removeprefix(".venv/bin/pip install ")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f'pip" install --quiet {install}' in ci


def test_every_exit_code_stands_in_the_table() -> None:
    for code in ExitCode:
        assert f"| {code.value} | {code.meaning}" in README.replace("`", "")


def test_the_page_of_settings_is_made_from_their_table() -> None:
    assert settings_page.PATH.read_text(encoding="utf-8") == settings_page.page()


def test_every_model_is_in_the_table_with_its_figures() -> None:
    for name in zoo.REGISTRY:
        network = zoo.build(name, image_size=28, classes=10)
        whole = totals(layer_table(network, (28, 28, 1)))
        figures = f"{whole.parameters:,} | {whole.multiply_adds:,} | {field(whole.receptive_field)}"
        assert f"| `{name}` | {figures} | {zoo.REGISTRY[name].summary} |" in README


def test_every_key_and_theme_is_named() -> None:
    for binding in KEYMAP:
        if not binding.system:
            assert f"`{keys_text(binding)}`" in README, binding
    for path in shipped_dir().glob("*.toml"):
        assert f"`{path.stem}`" in README


def test_every_command_is_one_that_the_command_line_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.findall(r"mnist-tui (--[^`|>#&\n]*)", README)
    assert len(found) >= 6
    for arguments in found:
        monkeypatch.setattr("sys.argv", ["mnist-tui", *shlex.split(arguments), "--print-config"])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0, (arguments, capsys.readouterr().err)


def test_every_command_below_is_named_and_no_other() -> None:
    named = set(re.findall(r"mnist-tui ([a-z]+)", README))
    assert named == {
        command.callback.__name__ for command in app.registered_commands if command.callback
    }


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
