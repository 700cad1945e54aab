"""Colour themes: read from TOML, checked key by key, with a colour for every role."""

from __future__ import annotations

import difflib
import functools
import math
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from textual.color import BLACK, WHITE, Color, ColorParseError, rgb_to_lab
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import Theme

from tui_trainer.run.errors import InputError

DEFAULT_THEME = "midnight"

_BASE_COLOURS = (
    *("primary", "secondary", "accent", "warning", "error", "success"),
    *("foreground", "background", "surface", "panel"),
)
_KEYS = ("name", "description", "dark", *_BASE_COLOURS, "variables")

# Where the colour of a role comes from if a theme does not say: the theme's own colours of the
# nearest meaning, then the role's usual hue.
_CURVES: Mapping[str, tuple[str, ...]] = {
    "role-train": ("primary", "#7cc1fa"),
    "role-validation": ("warning", "accent", "secondary", "#f3a05c"),
    "role-test": ("accent", "secondary", "#c079db"),
    "role-intervention": ("success", "#c6e67d"),
}
_VERDICTS: Mapping[str, tuple[str, str]] = {
    "role-good": ("success", "#45c9a1"),
    "role-look": ("warning", "#f2c864"),
    "role-wrong": ("error", "#f06a77"),
}
_QUIET = ("role-train-band", "role-axis", "role-muted", "role-border", "role-title")

ROLES: tuple[str, ...] = (*_CURVES, *_VERDICTS, *_QUIET)
"""What a colour can mean in this app; each is a ``$variable`` in every theme."""

# CIE76 distance in Lab from which two colours are plainly two: 2.3 is just noticeable.
_APART = 40.0
# WCAG 2.2, success criterion 1.4.3: the least contrast of text with its background.
_TEXT_CONTRAST = 4.5

_SYNTAX_HINTS = {
    "Invalid value": '; texts and colours need quotes, as "#5fa8e6"',
    r"Illegal character '\n'": "; a closing quote is missing",
}


@dataclass
class LabTheme(Theme):
    """A Textual theme in which every one of ``ROLES`` is a solid ``#RRGGBB`` variable.

    Attributes:
        description: One line about the theme, for lists of themes.
    """

    description: str = ""


class _Fault(Exception):
    """What is wrong with one key; ``table`` is the TOML table that holds it, "" at the top."""

    def __init__(self, key: str, problem: str, table: str = "") -> None:
        super().__init__(problem)
        self.key = key
        self.problem = problem
        self.table = table


def load_theme(path: Path) -> LabTheme:
    """Read one theme and check everything in it.

    Only ``name`` and ``primary`` must be there. Other base colours that are missing are Textual's
    to derive; roles that are missing come from :func:`role_defaults`.

    Raises:
        InputError: If the file cannot be read or used: one line with the file, line and key.
    """
    text = _read(path)
    table = _parse(path, text)
    try:
        return _build(table)
    except _Fault as fault:
        where = _where(path, _line_of(text, fault.table, fault.key))
        raise InputError(f"{where}: {_plain(fault.key)}: {fault.problem}") from None


def shipped_dir() -> Path:
    """Return the folder of the themes that come with the app: in the package, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_themes"
    return packaged if packaged.is_dir() else package.parent / "themes"


def user_dir() -> Path:
    """Return the folder in which a person's own themes are looked for; it may not exist."""
    return platformdirs.user_config_path("mnist-tui") / "themes"


def available(user: Path | None = None) -> tuple[dict[str, LabTheme], list[str]]:
    """Return every usable theme by name, and one line for each theme file that is broken.

    Args:
        user: The folder of the person's own themes, which win over shipped ones of the same name;
            :func:`user_dir` if not given.
    """
    themes, broken = _scan(shipped_dir())
    own_themes, own_broken = _scan(user or user_dir())
    problems = [str(error) for error in (*broken.values(), *own_broken.values())]
    return dict(sorted({**themes, **own_themes}.items())), problems


def find(name: str, user: Path | None = None) -> LabTheme:
    """Return the theme that a person asked for.

    Args:
        name: A theme's name; or the path of a theme file, told by a separator or by ``.toml``.
        user: As for :func:`available`.

    Raises:
        InputError: If there is no such theme (the line lists those there are), or it is broken.
    """
    if name.endswith(".toml") or Path(name).name != name:
        # Not Path.expanduser, which raises if there is no such home.
        return load_theme(Path(os.path.expanduser(name)))
    known: set[str] = set()
    problems: list[str] = []
    for folder in (user or user_dir(), shipped_dir()):
        themes, broken = _scan(folder)
        if name in themes:
            return themes[name]
        # The file that was asked for is reported, even if a shipped theme could stand in for it.
        if name in broken:
            raise broken[name]
        known |= themes.keys()
        problems += [f"; or mend {error}" for error in broken.values()]
    problem = f"unknown theme {name!r}{_suggestion(name, known)}"
    choices = f"choose {', '.join(sorted(known))} or the path of a .toml file"
    raise InputError(f"{problem}; {choices}{''.join(problems)}")


def role_defaults(theme: Theme) -> dict[str, str]:
    """Derive a colour for every role from the base colours of any Textual theme.

    The four curves stand apart from each other, and whatever is text has a contrast of at least
    4.5:1 with the background.
    """
    colours = theme.to_color_system().generate()
    ground = _rgb(colours["background"], BLACK if theme.dark else WHITE)
    ink = _rgb(colours["foreground"], WHITE if theme.dark else BLACK)
    roles = _curves(theme, ground)
    for role, (source, usual) in _VERDICTS.items():
        roles[role] = _legible(_rgb(getattr(theme, source) or usual), ground)
    roles["role-train-band"] = roles["role-train"].blend(ground, 0.6)
    roles["role-axis"] = _legible(ink.blend(ground, 0.45), ground)
    roles["role-muted"] = _legible(ink.blend(ground, 0.35), ground)
    roles["role-border"] = ink.blend(ground, 0.7)
    roles["role-title"] = _legible(ink, ground)
    return {role: roles[role].hex6 for role in ROLES}


def _curves(theme: Theme, ground: Color) -> dict[str, Color]:
    """Give each curve the first of its colours that is not much like an earlier curve's."""
    spare = [sources[-1] for sources in _CURVES.values()]
    taken: dict[str, Color] = {}

    def distance(colour: Color) -> float:
        one, others = rgb_to_lab(colour), map(rgb_to_lab, taken.values())
        apart = (math.hypot(one.L - lab.L, one.a - lab.a, one.b - lab.b) for lab in others)
        return min(apart, default=_APART)

    for role, sources in _CURVES.items():
        named = (getattr(theme, source, source) for source in (*sources, *spare))
        colours = [_legible(_rgb(text), ground) for text in named if text]
        free = (colour for colour in colours if distance(colour) >= _APART)
        taken[role] = next(free, None) or max(colours, key=distance)
    return taken


def _rgb(text: str, terminal: Color = BLACK) -> Color:
    """Return a colour as red, green and blue; ``terminal`` where it is the terminal's default."""
    colour = Color.parse(text)
    return terminal if colour.ansi == -1 else Color(*colour.rgb)


def _legible(colour: Color, ground: Color) -> Color:
    """Move a colour away from the background until it can be read as text."""
    end, sign = (WHITE, 1) if _luminance(ground) < 0.18 else (BLACK, -1)
    shades = (colour, *(colour.lighten(sign * step / 50) for step in range(1, 50)))
    return next((shade for shade in shades if _contrast(shade, ground) >= _TEXT_CONTRAST), end)


def _contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio")."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    """Return the relative luminance, from 0 to 1 (WCAG 2.2, "relative luminance")."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _scan(folder: Path) -> tuple[dict[str, LabTheme], dict[str, InputError]]:
    """Load a folder: its sound themes by their names, the faults of the others by file name."""
    themes: dict[str, LabTheme] = {}
    broken: dict[str, InputError] = {}
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        paths = []
    except OSError as error:
        return {}, {"": InputError(f"{_where(folder)}: cannot be read: {error.strerror}")}
    for path in paths:
        try:
            theme = load_theme(path)
            if theme.name in themes:
                where = _where(path, _line_of(_read(path), "", "name"))
                problem = f"{theme.name!r} is the name of another theme beside it"
                raise InputError(f"{where}: name: {problem}; choose another")
            themes[theme.name] = theme
        except InputError as error:
            broken[path.stem] = error
    return themes, broken


def _read(path: Path) -> str:
    try:
        # Some editors put a byte order mark in front, which TOML does not know.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        where = _where(path, error.object.count(b"\n", 0, error.start) + 1)
        raise InputError(f"{where}: not UTF-8 text; save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{_where(path)}: cannot be read: {reason}") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{_where(path, 1)}: no theme: nested too deeply") from None
    except ValueError as error:
        reason, _, place = str(error).partition(" (at ")
        lines = text.rstrip("\n").split("\n")
        numbers = re.findall(r"\d+", place)  # Line and column; none of them "at end of document".
        number = int(numbers[0]) if numbers else len(lines)
        key, equals, _ = lines[min(number, len(lines)) - 1].partition("=")
        named = f"{_plain(key.strip())}: " if equals else ""
        problem = f"{named}no valid TOML: {_plain(reason)}{_SYNTAX_HINTS.get(reason, '')}"
        raise InputError(f"{_where(path, number)}: {problem}") from None


def _build(table: dict[str, Any]) -> LabTheme:
    """Make the theme of a parsed file, or raise a _Fault at the first wrong key."""
    for key in table:
        _check_key(key, _KEYS, "")
    for key, example in (("name", "my-theme"), ("primary", "#5fa8e6")):
        if key not in table:
            raise _Fault(key, f'missing; add the line {key} = "{example}"')
    name = _text(table, "name")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise _Fault("name", f"{name!r} is no name; use letters, digits, - and _, a letter first")
    dark = table.get("dark", True)
    if not isinstance(dark, bool):
        raise _Fault("dark", f"needs true or false, not {_kind(dark)}")
    variables = table.get("variables", {})
    if not isinstance(variables, dict):
        raise _Fault("variables", f"needs to be a table, [variables], not {_kind(variables)}")
    description = _text(table, "description") if "description" in table else ""
    colours: dict[str, Any] = {key: _solid(table, key) for key in _BASE_COLOURS if key in table}
    theme = LabTheme(name=name, description=description, dark=dark, **colours)
    own = {key: _variable(variables, key) for key in variables}
    defaults = {} if own.keys() >= {*ROLES} else role_defaults(theme)
    theme.variables = {**defaults, **own}
    return theme


def _check_key(key: str, known: Collection[str], table: str) -> None:
    """Refuse a key that means nothing where it stands."""
    if key in known:
        return
    if not table and key in (*ROLES, *_textual_variables()):
        raise _Fault(key, "belongs below the line [variables]", table)
    if table and key in _KEYS:
        raise _Fault(key, "belongs above the line [variables]", table)
    what, names = ("variable", ROLES) if table else ("key", _KEYS)
    hint = _suggestion(key, known) or f"; use {', '.join(names)}"
    raise _Fault(key, f"unknown {what}{hint}", table)


def _text(table: dict[str, Any], key: str, where: str = "") -> str:
    value = table[key]
    if not isinstance(value, str):
        raise _Fault(key, f"needs a text in quotes, not {_kind(value)}", where)
    if not value.strip() or not value.isprintable():
        raise _Fault(key, "needs one line of text", where)
    return value


def _solid(table: dict[str, Any], key: str, where: str = "") -> str:
    """Return a colour as ``#RRGGBB``: one that plots can mix and measure."""
    text = _text(table, key, where)
    colour = _colour(key, text, where)
    if colour.a < 1 or colour.ansi is not None:
        why = "is see-through" if colour.a < 1 else "depends on the terminal"
        raise _Fault(key, f'{text!r} {why}; write a solid colour, as "#5fa8e6"', where)
    return colour.hex6


def _colour(key: str, text: str, where: str) -> Color:
    try:
        return Color.parse(text)
    except ColorParseError as error:
        near = error.suggested_color
        hint = f"did you mean {near}?" if near else 'write "#5fa8e6" or a name as "steelblue"'
        raise _Fault(key, f"{text!r} is no colour; {hint}", where) from None


def _variable(table: dict[str, Any], key: str) -> str:
    """Check one line of [variables]; Textual itself finds a bad one only when it draws with it."""
    where = "variables"
    usual = _textual_variables()
    _check_key(key, {*ROLES, *usual} - {*_KEYS}, where)
    # Textual mixes the shades of its base colours in Python, where only plain colours will do.
    if key in ROLES or re.search(r"-(darken|lighten)-\d$", key):
        return _solid(table, key, where)
    text = _text(table, key, where)
    if VALID_STYLE_FLAGS.issuperset(usual[key].split()):
        if not VALID_STYLE_FLAGS.issuperset(text.split()):
            raise _Fault(key, f'{text!r} is no text style; write "bold", "reverse", …', where)
        return text
    colour = re.sub(r"\s+\d+(\.\d+)?%$", "", text)
    if colour not in ("auto", "initial") or not usual[key].startswith(colour):
        _colour(key, colour, where)
    return text


@functools.cache
def _textual_variables() -> dict[str, str]:
    """Return the variables that Textual gives every theme, with a value of each as an example."""
    return Theme("example", primary="#5fa8e6").to_color_system().generate()


def _line_of(text: str, table: str, key: str) -> int:
    """Find the line that sets a key, which tomllib does not tell; 1 if no line looks like it."""
    bare = rf"""["']?{re.escape(key)}["']?"""
    header = re.compile(rf"\s*\[+\s*({re.escape(table)}\s*\.\s*)?{bare}\s*[\].]")
    assignment = re.compile(rf"\s*{bare}\s*[=.]")
    anywhere = re.compile(rf"(?<![\w-]){bare}\s*=")
    current, loose = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if header.match(line):
            return number
        if section := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            current = section[1].strip("\"'")
        elif current == table and assignment.match(line):
            return number
        elif loose == 1 and anywhere.search(line):
            loose = number
    return loose


def _where(path: Path, line: int | None = None) -> str:
    return _plain(str(path)) + (f", line {line}" if line else "")


def _plain(text: str) -> str:
    """Return a text that stays on one line whatever is in it."""
    return text if text.isprintable() else repr(text)


def _suggestion(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _kind(value: object) -> str:
    names = {bool: "true or false", str: "a text", list: "a list", dict: "a table"}
    numbers = {int: "a whole number", float: "a number"}
    return {**names, **numbers}.get(type(value), "a date")
