from __future__ import annotations

import itertools
import math
import subprocess
import sys
import tomllib
from pathlib import Path

import platformdirs
import pytest
from textual.app import App, ComposeResult
from textual.widgets import Footer, Static

from tests.ui.colors import CURVES, DEFICIENCIES, SEVERITIES, contrast, hue, nearest, oklab
from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.theming import theme_file, themes
from tui_trainer.ui.theming.themes import ROLES, available, find

SHIPPED, PROBLEMS = available(Path("no-such-folder"))
NAMES = ("contrast", "daylight", "midnight", "okabe", "phosphor", "synthwave")
BASE = 'name = "mine"\nprimary = "#5fa8e6"\n'


def test_six_valid_themes_ship() -> None:
    assert tuple(SHIPPED) == NAMES
    assert PROBLEMS == []
    assert themes.DEFAULT_THEME in SHIPPED
    assert not SHIPPED["daylight"].dark


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_file_defines_all_variables(name: str) -> None:
    path = themes.shipped_dir() / f"{name}.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert table["name"] == name
    assert table["description"] == SHIPPED[name].description
    assert set(table) == set(theme_file._KEYS)
    assert set(table["variables"]) >= {*ROLES, "footer-key-foreground", "footer-background"}


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_readable(name: str) -> None:
    theme = SHIPPED[name]
    colors = theme.to_color_system().generate() | theme.variables
    least = 7.0 if name == "contrast" else 4.5
    for ground in (colors["background"], colors["surface"]):
        for role in (*CURVES, *SEVERITIES, "role-muted", "role-title"):
            assert contrast(colors[role], ground) >= least, f"{role} on {ground}"
        assert contrast(colors["foreground"], ground) >= 7
        assert contrast(colors["role-axis"], ground) >= (7 if name == "contrast" else 4.5)
        assert contrast(colors["role-border"], ground) >= 1.9
        assert contrast(colors["role-train-band"], ground) >= 1.6
    for place, texts in {
        "footer": ("footer-key-foreground", "footer-description-foreground"),
        "block-cursor": ("block-cursor-foreground",),
        "block-cursor-blurred": ("block-cursor-blurred-foreground",),
    }.items():
        for text in texts:
            assert contrast(colors[text], colors[f"{place}-background"]) >= least, text


@pytest.mark.parametrize("name", NAMES)
def test_the_band_is_a_dim_shade_of_the_training_curve(name: str) -> None:
    theme = SHIPPED[name]
    train, band = theme.variables["role-train"], theme.variables["role-train-band"]
    assert theme.background is not None
    assert contrast(band, theme.background) < contrast(train, theme.background) / 2
    assert abs(hue(band) - hue(train)) < 20


@pytest.mark.parametrize("name", NAMES)
def test_roles_are_distinguishable(name: str) -> None:
    roles = SHIPPED[name].variables
    for group in (CURVES, SEVERITIES):
        distance, pair = nearest(roles, group)
        assert distance >= 0.13, pair
    for a, b in itertools.combinations(CURVES, 2):
        apart = abs(hue(roles[a]) - hue(roles[b]))
        assert min(apart, 360 - apart) >= 25, f"{a} and {b}"
    # A title in the hue of a curve would seem to belong to it.
    for curve in CURVES:
        assert math.dist(oklab(roles[curve]), oklab(roles["role-title"])) >= 0.1, curve
    # okabe keeps to its published palette, which has one yellow for two roles.
    others = tuple(
        role for role in (*CURVES, *SEVERITIES) if (name, role) != ("okabe", "role-warning")
    )
    distance, pair = nearest(roles, others)
    assert distance >= 0.06, pair


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("name", NAMES)
def test_curves_are_distinguishable_with_color_blindness(name: str, deficiency: str) -> None:
    distance, pair = nearest(SHIPPED[name].variables, CURVES, deficiency)
    assert distance >= (0.08 if name == "okabe" else 0.05), pair


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_okabe_severities_are_distinguishable_with_color_blindness(deficiency: str) -> None:
    distance, pair = nearest(SHIPPED["okabe"].variables, SEVERITIES, deficiency)
    assert distance >= 0.1, pair


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_user_theme_overrides_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path / "blue.toml", BASE)
    write(tmp_path / "night.toml", BASE.replace("mine", "midnight"))
    found, problems = available(tmp_path)
    assert set(found) == {*NAMES, "mine"}
    assert problems == []
    assert found["midnight"].primary == find("midnight", tmp_path).primary == "#5FA8E6"
    assert find("mine", tmp_path).name == "mine"
    assert find("okabe", tmp_path) == SHIPPED["okabe"]


def test_a_broken_theme_fails_only_if_requested(tmp_path: Path) -> None:
    bad = write(tmp_path / "midnight.toml", BASE + "accent = 3")
    found, problems = available(tmp_path)
    assert found == SHIPPED
    assert problems == [f"{bad}, line 3: accent: needs a string in quotes, not an integer"]
    assert find("okabe", tmp_path).name == "okabe"
    for name in ("midnight", str(bad)):
        with pytest.raises(InputError) as caught:
            find(name, tmp_path)
        assert str(caught.value) == problems[0]


def test_duplicate_names_are_rejected(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", BASE)
    second = write(tmp_path / "b.toml", BASE)
    found, problems = available(tmp_path)
    assert found["mine"].name == "mine"
    assert problems == [
        f"{second}, line 1: name: 'mine' is the name of another theme in this folder; "
        "choose another name"
    ]


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find("midnigth", tmp_path)
    assert str(caught.value) == (
        "unknown theme 'midnigth' (did you mean midnight?); "
        f"choose {', '.join(NAMES)} or the path of a .toml file"
    )
    bad = write(tmp_path / "bad.toml", "name = ")
    with pytest.raises(InputError, match=r"unknown theme 'mine'; choose .*; or fix ") as caught:
        find("mine", tmp_path)
    assert f"{bad}, line 1: name: " in str(caught.value)


def test_a_theme_can_be_given_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine.toml", BASE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("mine.toml", "./mine.toml", str(tmp_path / "mine.toml"), "~/mine.toml"):
        assert find(name, tmp_path / "none").name == "mine"
    with pytest.raises(InputError, match=r"other\.toml: cannot be read: "):
        find("other.toml", tmp_path)


def test_a_folder_that_cannot_be_listed_is_a_problem(tmp_path: Path) -> None:
    found, problems = available(write(tmp_path / "themes", "not a folder"))
    assert found == SHIPPED
    assert len(problems) == 1
    assert problems[0].startswith(f"{tmp_path / 'themes'}: cannot be read: ")


def test_the_package_is_searched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tui_trainer" / "ui"
    monkeypatch.setattr(themes, "__file__", str(package / "theming" / "themes.py"))
    assert themes.shipped_dir() == tmp_path / "themes"
    packaged = tmp_path / "tui_trainer" / "_themes"
    packaged.mkdir(parents=True)
    assert themes.shipped_dir() == packaged


def test_user_dir_is_the_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda app: tmp_path / app)
    assert themes.user_dir() == tmp_path / "mnist-tui" / "themes"
    themes.user_dir().mkdir(parents=True)
    write(themes.user_dir() / "mine.toml", BASE)
    assert "mine" in available()[0]
    assert find("mine").name == "mine"


class Window(App[None]):
    """A line in each role's color, with nothing given for a role that a theme leaves out."""

    CSS = "\n".join(f"#{role} {{ color: ${role}; border: round ${role}; }}" for role in ROLES)

    def compose(self) -> ComposeResult:
        for role in ROLES:
            yield Static(role, id=role)
        yield Footer()


async def test_a_window_runs_in_every_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    app = Window()
    for theme in SHIPPED.values():
        app.register_theme(theme)
    # Before the window opens: Textual's own first theme has none of the roles.
    app.theme = themes.DEFAULT_THEME
    async with app.run_test() as pilot:
        for name, theme in SHIPPED.items():
            app.theme = name
            await pilot.pause()
            for role in ROLES:
                assert app.query_one(f"#{role}").styles.color.hex == theme.variables[role]


def test_the_loader_needs_no_torch() -> None:
    check = "import sys, tui_trainer.ui.theming.themes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
