"""Theme files: TOML, read and checked key by key."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import Theme

from tui_trainer.protocol.toml_file import TomlFile, TomlKeyError, kind, suggestion
from tui_trainer.ui.theming.roles import ROLES, LabTheme, role_defaults

_BASE_COLORS = (
    *("primary", "secondary", "accent", "warning", "error", "success"),
    *("foreground", "background", "surface", "panel"),
)
_OLD_ROLES = {"role-good": "role-ok", "role-look": "role-warning", "role-wrong": "role-error"}
"""Names of roles in older theme files, and what they are called now."""

_KEYS = ("name", "description", "dark", *_BASE_COLORS, "variables")


def load_theme(path: Path, *, taken: Collection[str] = ()) -> LabTheme:
    """Read and check one theme file.

    Only ``name`` and ``primary`` are required. Textual derives missing base colors, and
    :func:`role_defaults` derives missing roles.

    Args:
        path: The theme file.
        taken: Names of other themes in the same folder, which this one must not have.

    Raises:
        InputError: If the file is unreadable or invalid: one line with the file, line and key.
    """
    file = TomlFile(path)
    try:
        theme = _build(file.table)
        if theme.name in taken:
            problem = (
                f"{theme.name!r} is the name of another theme in this folder; choose another name"
            )
            raise TomlKeyError("name", problem)
    except TomlKeyError as error:
        raise file.error(error) from None
    return theme


def _build(table: dict[str, Any]) -> LabTheme:
    """Build the theme of a parsed file; raise a TomlKeyError at the first invalid key."""
    for key in table:
        _check_key(key, _KEYS, "")
    for key, example in (("name", "my-theme"), ("primary", "#5fa8e6")):
        if key not in table:
            raise TomlKeyError(key, f'missing; add the line {key} = "{example}"')
    name = _text(table, "name")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise TomlKeyError(
            "name",
            f"{name!r} is not a valid name; start with a letter, then letters, digits, - and _",
        )
    dark = table.get("dark", True)
    if not isinstance(dark, bool):
        raise TomlKeyError("dark", f"needs true or false, not {kind(dark)}")
    variables = table.get("variables", {})
    if not isinstance(variables, dict):
        raise TomlKeyError("variables", f"needs to be a table, [variables], not {kind(variables)}")
    description = _text(table, "description") if "description" in table else ""
    colors: dict[str, Any] = {key: _solid(table, key) for key in _BASE_COLORS if key in table}
    theme = LabTheme(name=name, description=description, dark=dark, **colors)
    for old, new in _OLD_ROLES.items():
        if {old, new} <= variables.keys():
            raise TomlKeyError(old, f"is the old name of {new}; remove one of them", "variables")
    user_values = {
        _OLD_ROLES.get(str(key), str(key)): _variable(variables, key) for key in variables
    }
    defaults = {} if user_values.keys() >= {*ROLES} else role_defaults(theme)
    theme.variables = {**defaults, **user_values}
    return theme


def _check_key(key: str, known: Collection[str], table: str) -> None:
    """Reject a key that is unknown, or in the wrong table."""
    if key in known:
        return
    if not table and key in (*ROLES, *_textual_variables()):
        raise TomlKeyError(key, "belongs below the line [variables]", table)
    if table and key in _KEYS:
        raise TomlKeyError(key, "belongs above the line [variables]", table)
    what, names = ("variable", ROLES) if table else ("key", _KEYS)
    hint = suggestion(key, known) or f"; use {', '.join(names)}"
    raise TomlKeyError(key, f"unknown {what}{hint}", table)


def _text(table: dict[str, Any], key: str, where: str = "") -> str:
    value = table[key]
    if not isinstance(value, str):
        raise TomlKeyError(key, f"needs a string in quotes, not {kind(value)}", where)
    if not value.strip() or not value.isprintable():
        raise TomlKeyError(key, "needs one line of text", where)
    return value


def _solid(table: dict[str, Any], key: str, where: str = "") -> str:
    """Return a solid color as ``#RRGGBB``: plots blend it, and tests measure its contrast."""
    text = _text(table, key, where)
    color = _color(key, text, where)
    if color.a < 1 or color.ansi is not None:
        why = "is transparent" if color.a < 1 else "depends on the terminal"
        raise TomlKeyError(key, f'{text!r} {why}; write a solid color, such as "#5fa8e6"', where)
    return color.hex6


def _color(key: str, text: str, where: str) -> Color:
    try:
        return Color.parse(text)
    except ColorParseError as error:
        near = error.suggested_color
        hint = f"did you mean {near}?" if near else 'write "#5fa8e6" or a name such as "steelblue"'
        raise TomlKeyError(key, f"{text!r} is not a color; {hint}", where) from None


def _variable(table: dict[str, Any], key: str) -> str:
    """Check one variable; Textual itself reports a bad one only when it draws with it."""
    where = "variables"
    usual = _textual_variables()
    if key in _OLD_ROLES:
        return _solid(table, key, where)
    _check_key(key, {*ROLES, *usual} - {*_KEYS}, where)
    # Textual computes the shades of base colors in Python, which needs solid colors.
    if key in ROLES or re.search(r"-(darken|lighten)-\d$", key):
        return _solid(table, key, where)
    text = _text(table, key, where)
    if VALID_STYLE_FLAGS.issuperset(usual[key].split()):
        if not VALID_STYLE_FLAGS.issuperset(text.split()):
            raise TomlKeyError(
                key, f'{text!r} is not a text style; write "bold", "reverse", …', where
            )
        return text
    color = re.sub(r"\s+\d+(\.\d+)?%$", "", text)
    if color not in ("auto", "initial") or not usual[key].startswith(color):
        _color(key, color, where)
    return text


@functools.cache
def _textual_variables() -> dict[str, str]:
    """Return the variables that Textual defines in every theme, with example values."""
    return Theme("example", primary="#5fa8e6").to_color_system().generate()
