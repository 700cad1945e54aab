from __future__ import annotations

from pathlib import Path

import pytest

from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.theming.roles import ROLES
from tui_trainer.ui.theming.theme_file import load_theme

BASE = 'name = "mine"\nprimary = "#5fa8e6"\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('primary = "red"', 1, "name", 'missing; add the line name = "my-theme"'),
        ('name = "mine"', 1, "primary", "missing; add the line"),
        ('name = "mine"\nprimary = #5fa8e6', 2, "primary", "invalid TOML: Invalid value; strings"),
        ('name = "mine\nprimary = "red"', 1, "name", "a closing quote is missing"),
        (BASE + 'name = "again"', 3, "name", "invalid TOML: Cannot overwrite a value"),
        (BASE + 'dark = "yes"', 3, "dark", "needs true or false, not a string"),
        (BASE + "accent = 3", 3, "accent", "needs a string in quotes, not an integer"),
        (BASE + 'accent = "bleu"', 3, "accent", "'bleu' is not a color; did you mean blue?"),
        (BASE + 'accent = "#12"', 3, "accent", "'#12' is not a color; write \"#5fa8e6\""),
        (BASE + 'panel = "#fff8"', 3, "panel", "'#fff8' is transparent; write a solid color"),
        (BASE + 'acent = "red"', 3, "acent", "unknown key (did you mean accent?)"),
        (BASE + 'zzz = "red"', 3, "zzz", "unknown key; use name, description, dark, primary"),
        (BASE + 'role-test = "red"', 3, "role-test", "belongs below the line [variables]"),
        (BASE + 'description = "a\\nb"', 3, "description", "needs one line of text"),
        (BASE.replace("mine", "my own"), 1, "name", "'my own' is not a valid name; start"),
        (
            BASE + "variables = 3",
            3,
            "variables",
            "needs to be a table, [variables], not an integer",
        ),
        (BASE + "[[variables]]", 3, "variables", "not a list"),
        (BASE + '[varibles]\nborder = "red"', 3, "varibles", "(did you mean variables?)"),
        (BASE + '"a\\nb" = 1', 1, "'a\\nb'", "unknown key"),
    ],
)
def test_an_error_names_file_line_and_key(
    tmp_path: Path, text: str, line: int, key: str, words: str
) -> None:
    check_error(tmp_path / "mine.toml", text, line, key, words)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('role-trian = "red"', "role-trian", "unknown variable (did you mean role-train?)"),
        ('fotter-background = "red"', "fotter-background", "(did you mean footer-background?)"),
        ('zzz = "red"', "zzz", "unknown variable; use role-train, role-validation"),
        ('accent = "red"', "accent", "belongs above the line [variables]"),
        ("role-train = 3.5", "role-train", "needs a string in quotes, not a number"),
        ('role-train = "rde"', "role-train", "'rde' is not a color; did you mean red?"),
        ('role-train = "ansi_red"', "role-train", "'ansi_red' depends on the terminal"),
        ('role-train = "red 50%"', "role-train", "'red 50%' is not a color"),
        ('surface-darken-1 = "red 50%"', "surface-darken-1", "'red 50%' is not a color"),
        ('footer-background = "auto 50%"', "footer-background", "'auto' is not a color"),
        ('link-style = "bold wavy"', "link-style", "'bold wavy' is not a text style"),
    ],
)
def test_an_error_in_the_variables_is_found_too(
    tmp_path: Path, text: str, key: str, words: str
) -> None:
    # The key of the same name at the top, in a comment, must not be taken for the faulty one.
    body = f"# {text}\n{BASE}\n[variables]\n{text}\n"
    check_error(tmp_path / "mine.toml", body, 6, key, words)


def test_a_role_by_its_old_and_its_new_name_is_refused(tmp_path: Path) -> None:
    body = f'{BASE}[variables]\nrole-ok = "red"\nrole-good = "lime"\n'
    words = "is the old name of role-ok; remove one of them"
    check_error(tmp_path / "mine.toml", body, 5, "role-good", words)


@pytest.mark.parametrize(
    "text", ['variables.role-trian = "red"', 'variables = { role-trian = "red" }']
)
def test_a_line_is_found_however_the_table_is_written(tmp_path: Path, text: str) -> None:
    check_error(tmp_path / "mine.toml", BASE + text, 3, "role-trian", "did you mean role-train")


def check_error(path: Path, text: str, line: int, key: str, words: str) -> None:
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


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml", Path("null\0.toml")):
        with pytest.raises(InputError, match="cannot be read: ") as caught:
            load_theme(path)
        assert str(caught.value).isprintable()


def test_a_file_of_another_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load_theme(path).name == "mine"


def test_textuals_variables_keep_their_forms(tmp_path: Path) -> None:
    values = {"text": "auto 80%", "footer-background": "#333 50%", "link-background": "initial"}
    values["link-style"] = "bold not underline"
    lines = "".join(f'{key} = "{value}"\n' for key, value in values.items())
    theme = load_theme(write(tmp_path / "mine.toml", f"{BASE}[variables]\n{lines}"))
    assert {key: theme.variables[key] for key in values} == values


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_roles_left_out_are_derived(tmp_path: Path) -> None:
    theme = load_theme(write(tmp_path / "mine.toml", BASE + '[variables]\nrole-test = "magenta"'))
    assert set(theme.variables) == set(ROLES)
    assert theme.variables["role-train"] == "#5FA8E6"
    assert theme.variables["role-test"] == "#FF00FF"


def test_older_role_names_are_still_read(tmp_path: Path) -> None:
    roles = '[variables]\nrole-good = "lime"\nrole-look = "yellow"\nrole-wrong = "red"'
    theme = load_theme(write(tmp_path / "mine.toml", BASE + roles))
    assert set(theme.variables) == set(ROLES)
    shown = [theme.variables[role] for role in ("role-ok", "role-warning", "role-error")]
    assert shown == ["#00FF00", "#FFFF00", "#FF0000"]
    check_error(
        tmp_path / "bad.toml", f'{BASE}[variables]\nrole-look = "rde"', 4, "role-look", "red?"
    )


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device without an end")
def test_an_endless_file_is_rejected() -> None:
    with pytest.raises(InputError, match="too large for such a file"):
        load_theme(Path("/dev/zero"))
