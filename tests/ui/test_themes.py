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
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme
from textual.widgets import Footer, Static

from tui_trainer.run.errors import InputError
from tui_trainer.ui import themes
from tui_trainer.ui.themes import ROLES, available, find, load_theme, role_defaults

SHIPPED, PROBLEMS = available(Path("no-such-folder"))
NAMES = ("contrast", "daylight", "midnight", "okabe", "phosphor", "synthwave")
CURVES = ("role-train", "role-validation", "role-test", "role-intervention")
VERDICTS = ("role-good", "role-look", "role-wrong")

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15(6), 2009: the matrices of severity 1.0, for linear RGB.
DEFICIENCIES: dict[str, Matrix] = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# Ottosson, "A perceptual color space for image processing", 2020: linear RGB to OKLab.
TO_CONES: Matrix = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_OKLAB: Matrix = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def times(matrix: Matrix, vector: Vector) -> Vector:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def linear(text: str) -> Vector:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in Color.parse(text).normalized
    )
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    weights = (0.2126, 0.7152, 0.0722)
    dark, light = sorted(
        sum(w * part for w, part in zip(weights, linear(text), strict=True))
        for text in (one, other)
    )
    return (light + 0.05) / (dark + 0.05)


def oklab(text: str, deficiency: str | None = None) -> Vector:
    seen = linear(text)
    if deficiency is not None:
        red, green, blue = times(DEFICIENCIES[deficiency], seen)
        seen = (min(1, max(0, red)), min(1, max(0, green)), min(1, max(0, blue)))
    long, medium, short = times(TO_CONES, seen)
    return times(TO_OKLAB, (math.cbrt(long), math.cbrt(medium), math.cbrt(short)))


def nearest(
    roles: dict[str, str], among: tuple[str, ...], deficiency: str | None = None
) -> tuple[float, str]:
    """The pair of roles that look most alike: their distance in OKLab and their names."""
    return min(
        (math.dist(oklab(roles[a], deficiency), oklab(roles[b], deficiency)), f"{a} and {b}")
        for a, b in itertools.combinations(among, 2)
    )


def hue(text: str) -> float:
    _, a, b = oklab(text)
    return math.degrees(math.atan2(b, a))


def test_measures_agree_with_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)
    assert oklab("#ffffff", "deuteranopia") == pytest.approx((1, 0, 0), abs=1e-3)
    assert math.dist(oklab("#d00000"), oklab("#6b5600")) > 0.15
    assert math.dist(oklab("#d00000", "protanopia"), oklab("#6b5600", "protanopia")) < 0.15


def test_six_themes_ship_and_all_are_sound() -> None:
    assert tuple(SHIPPED) == NAMES
    assert PROBLEMS == []
    assert themes.DEFAULT_THEME in SHIPPED
    assert not SHIPPED["daylight"].dark


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_file_says_everything_itself(name: str) -> None:
    path = themes.shipped_dir() / f"{name}.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert table["name"] == name
    assert table["description"] == SHIPPED[name].description
    assert set(table) == set(themes._KEYS)
    assert set(table["variables"]) >= {*ROLES, "footer-key-foreground", "footer-background"}


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_readable(name: str) -> None:
    theme = SHIPPED[name]
    colours = theme.to_color_system().generate() | theme.variables
    least = 7.0 if name == "contrast" else 4.5
    for ground in (colours["background"], colours["surface"]):
        for role in (*CURVES, *VERDICTS, "role-muted", "role-title"):
            assert contrast(colours[role], ground) >= least, f"{role} on {ground}"
        assert contrast(colours["foreground"], ground) >= 7
        assert contrast(colours["role-axis"], ground) >= (7 if name == "contrast" else 4.5)
        assert contrast(colours["role-border"], ground) >= 1.9
        assert contrast(colours["role-train-band"], ground) >= 1.6
    for place, texts in {
        "footer": ("footer-key-foreground", "footer-description-foreground"),
        "block-cursor": ("block-cursor-foreground",),
        "block-cursor-blurred": ("block-cursor-blurred-foreground",),
    }.items():
        for text in texts:
            assert contrast(colours[text], colours[f"{place}-background"]) >= least, text


@pytest.mark.parametrize("name", NAMES)
def test_the_band_is_a_dim_shade_of_the_training_curve(name: str) -> None:
    theme = SHIPPED[name]
    train, band = theme.variables["role-train"], theme.variables["role-train-band"]
    assert theme.background is not None
    assert contrast(band, theme.background) < contrast(train, theme.background) / 2
    assert abs(hue(band) - hue(train)) < 20


@pytest.mark.parametrize("name", NAMES)
def test_roles_are_told_apart(name: str) -> None:
    roles = SHIPPED[name].variables
    for group in (CURVES, VERDICTS):
        distance, pair = nearest(roles, group)
        assert distance >= 0.13, pair
    for a, b in itertools.combinations(CURVES, 2):
        apart = abs(hue(roles[a]) - hue(roles[b]))
        assert min(apart, 360 - apart) >= 25, f"{a} and {b}"
    # A title in the hue of a curve would seem to belong to it.
    for curve in CURVES:
        assert math.dist(oklab(roles[curve]), oklab(roles["role-title"])) >= 0.1, curve
    # okabe keeps to its published palette, which has one yellow for two roles.
    others = tuple(role for role in (*CURVES, *VERDICTS) if (name, role) != ("okabe", "role-look"))
    distance, pair = nearest(roles, others)
    assert distance >= 0.06, pair


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("name", NAMES)
def test_curves_are_told_apart_by_colour_blind_eyes(name: str, deficiency: str) -> None:
    distance, pair = nearest(SHIPPED[name].variables, CURVES, deficiency)
    assert distance >= (0.08 if name == "okabe" else 0.05), pair


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_okabe_verdicts_are_told_apart_by_colour_blind_eyes(deficiency: str) -> None:
    distance, pair = nearest(SHIPPED["okabe"].variables, VERDICTS, deficiency)
    assert distance >= 0.1, pair


BASE = 'name = "mine"\nprimary = "#5fa8e6"\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('primary = "red"', 1, "name", 'missing; add the line name = "my-theme"'),
        ('name = "mine"', 1, "primary", "missing; add the line"),
        ('name = "mine"\nprimary = #5fa8e6', 2, "primary", "no valid TOML: Invalid value; texts"),
        ('name = "mine\nprimary = "red"', 1, "name", "a closing quote is missing"),
        (BASE + 'name = "again"', 3, "name", "no valid TOML: Cannot overwrite a value"),
        (BASE + 'dark = "yes"', 3, "dark", "needs true or false, not a text"),
        (BASE + "accent = 3", 3, "accent", "needs a text in quotes, not a whole number"),
        (BASE + 'accent = "bleu"', 3, "accent", "'bleu' is no colour; did you mean blue?"),
        (BASE + 'accent = "#12"', 3, "accent", "'#12' is no colour; write \"#5fa8e6\""),
        (BASE + 'panel = "#fff8"', 3, "panel", "'#fff8' is see-through; write a solid colour"),
        (BASE + 'acent = "red"', 3, "acent", "unknown key (did you mean accent?)"),
        (BASE + 'zzz = "red"', 3, "zzz", "unknown key; use name, description, dark, primary"),
        (BASE + 'role-test = "red"', 3, "role-test", "belongs below the line [variables]"),
        (BASE + 'description = "a\\nb"', 3, "description", "needs one line of text"),
        (BASE.replace("mine", "my own"), 1, "name", "'my own' is no name; use letters"),
        (BASE + "variables = 3", 3, "variables", "needs to be a table, [variables], not a whole"),
        (BASE + "[[variables]]", 3, "variables", "not a list"),
        (BASE + '[varibles]\nborder = "red"', 3, "varibles", "(did you mean variables?)"),
        (BASE + '"a\\nb" = 1', 1, "'a\\nb'", "unknown key"),
    ],
)
def test_a_fault_names_file_line_and_key(
    tmp_path: Path, text: str, line: int, key: str, words: str
) -> None:
    check_fault(tmp_path / "mine.toml", text, line, key, words)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('role-trian = "red"', "role-trian", "unknown variable (did you mean role-train?)"),
        ('fotter-background = "red"', "fotter-background", "(did you mean footer-background?)"),
        ('zzz = "red"', "zzz", "unknown variable; use role-train, role-validation"),
        ('accent = "red"', "accent", "belongs above the line [variables]"),
        ("role-train = 3.5", "role-train", "needs a text in quotes, not a number"),
        ('role-train = "rde"', "role-train", "'rde' is no colour; did you mean red?"),
        ('role-train = "ansi_red"', "role-train", "'ansi_red' depends on the terminal"),
        ('role-train = "red 50%"', "role-train", "'red 50%' is no colour"),
        ('surface-darken-1 = "red 50%"', "surface-darken-1", "'red 50%' is no colour"),
        ('footer-background = "auto 50%"', "footer-background", "'auto' is no colour"),
        ('link-style = "bold wavy"', "link-style", "'bold wavy' is no text style"),
    ],
)
def test_a_fault_in_the_variables_is_found_too(
    tmp_path: Path, text: str, key: str, words: str
) -> None:
    # The key of the same name at the top, in a comment, must not be taken for the faulty one.
    body = f"# {text}\n{BASE}\n[variables]\n{text}\n"
    check_fault(tmp_path / "mine.toml", body, 6, key, words)


@pytest.mark.parametrize(
    "text", ['variables.role-trian = "red"', 'variables = { role-trian = "red" }']
)
def test_a_line_is_found_however_the_table_is_written(tmp_path: Path, text: str) -> None:
    check_fault(tmp_path / "mine.toml", BASE + text, 3, "role-trian", "did you mean role-train")


def check_fault(path: Path, text: str, line: int, key: str, words: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_theme(path)
    report = str(caught.value)
    assert report.startswith(f"{path}, line {line}: {key}: ")
    assert words in report
    assert report.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"a = " + b"[" * 5_000,
        b"a = " + b"9" * 5_000,
        b"a = 0x" + b"f" * 9_000,
        b"dark = 1979-05-27",
        b"[variables.role-train]",
        b'name = "\x00"',
        b"= 1",
        b"name",
    ],
)
def test_nothing_but_an_input_error_escapes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_theme(path)
    assert str(caught.value).startswith(f"{path}, line 1: ")
    assert str(caught.value).isprintable()


def test_what_cannot_be_read_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml", Path("null\0.toml")):
        with pytest.raises(InputError, match="cannot be read: ") as caught:
            load_theme(path)
        assert str(caught.value).isprintable()


def test_a_file_of_another_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load_theme(path).name == "mine"


def test_textuals_own_variables_keep_their_forms(tmp_path: Path) -> None:
    own = {"text": "auto 80%", "footer-background": "#333 50%", "link-background": "initial"}
    own["link-style"] = "bold not underline"
    lines = "".join(f'{key} = "{value}"\n' for key, value in own.items())
    theme = load_theme(write(tmp_path / "mine.toml", f"{BASE}[variables]\n{lines}"))
    assert {key: theme.variables[key] for key in own} == own


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_roles_left_out_are_derived(tmp_path: Path) -> None:
    theme = load_theme(write(tmp_path / "mine.toml", BASE + '[variables]\nrole-test = "magenta"'))
    assert set(theme.variables) == set(ROLES)
    assert theme.variables["role-train"] == "#5FA8E6"
    assert theme.variables["role-test"] == "#FF00FF"


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=list(BUILTIN_THEMES))
def test_derived_roles_suit_any_theme(theme: Theme) -> None:
    roles = role_defaults(theme)
    ground = theme.to_color_system().generate()["background"]
    if ground == "ansi_default":
        ground = "#000000" if theme.dark else "#ffffff"
    assert tuple(roles) == ROLES
    assert nearest(roles, CURVES)[0] >= 0.085
    for role in (*CURVES, *VERDICTS, "role-axis", "role-muted", "role-title"):
        assert contrast(roles[role], ground) >= 4.5, role


def test_a_persons_theme_wins_over_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path / "blue.toml", BASE)
    write(tmp_path / "night.toml", BASE.replace("mine", "midnight"))
    found, problems = available(tmp_path)
    assert set(found) == {*NAMES, "mine"}
    assert problems == []
    assert found["midnight"].primary == find("midnight", tmp_path).primary == "#5FA8E6"
    assert find("mine", tmp_path).name == "mine"
    assert find("okabe", tmp_path) == SHIPPED["okabe"]


def test_a_broken_theme_stops_only_those_who_ask_for_it(tmp_path: Path) -> None:
    bad = write(tmp_path / "midnight.toml", BASE + "accent = 3")
    found, problems = available(tmp_path)
    assert found == SHIPPED
    assert problems == [f"{bad}, line 3: accent: needs a text in quotes, not a whole number"]
    assert find("okabe", tmp_path).name == "okabe"
    for name in ("midnight", str(bad)):
        with pytest.raises(InputError) as caught:
            find(name, tmp_path)
        assert str(caught.value) == problems[0]


def test_one_name_is_not_given_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", BASE)
    second = write(tmp_path / "b.toml", BASE)
    found, problems = available(tmp_path)
    assert found["mine"].name == "mine"
    assert problems == [
        f"{second}, line 1: name: 'mine' is the name of another theme beside it; choose another"
    ]


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find("midnigth", tmp_path)
    assert str(caught.value) == (
        "unknown theme 'midnigth' (did you mean midnight?); "
        f"choose {', '.join(NAMES)} or the path of a .toml file"
    )
    bad = write(tmp_path / "bad.toml", "name = ")
    with pytest.raises(InputError, match=r"unknown theme 'mine'; choose .*; or mend ") as caught:
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


def test_the_package_is_looked_in_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(themes, "__file__", str(tmp_path / "tui_trainer" / "ui" / "themes.py"))
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
    """A line in each role's colour, with nothing given for a role that a theme leaves out."""

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
    check = "import sys, tui_trainer.ui.themes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
