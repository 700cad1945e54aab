"""Configurations from several sources, one over the other, and every fault told with its place."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config import AMOUNTS, PRESETS, SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.settings import option_of
from tui_trainer.text.fmt import printable

MAX_FILE_BYTES = 65_536
"""More than any configuration needs, and little enough for tomllib, which can take its time."""


@dataclass(frozen=True, slots=True)
class Source:
    """Settings from one place.

    Attributes:
        settings: Values by name; only those that were set.
        text: The TOML text they come from; None for the command line.
        name: The file's name as it is shown.
    """

    settings: Mapping[str, Any]
    text: str | None = None
    name: str = ""

    def place(self, key: str) -> str:
        """Return where a setting was made: ``--lr`` or ``run.toml, line 3, lr``."""
        if self.text is None:
            return option_of(key)
        shown = key if re.fullmatch(r"[\w-]+", key) else repr(key)
        return f"{self.name}, line {_line_of(self.text, key)}, {shown}"


def read_config(path: Path) -> Source:
    """Read a TOML file of settings.

    Raises:
        InputError: If it cannot be read, is no TOML, or has a key that is no setting.
    """
    name = printable(path)
    return parse_config(read_text(path, name), name)


def read_text(path: Path, name: str) -> str:
    """Return the text of a TOML file; ``name`` is how it is called in messages.

    Raises:
        InputError: If it cannot be read, is too large for what it is to be, or is no UTF-8.
    """
    try:
        # No more than that: a device or a pipe does not tell its size.
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {_reason(error)}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(f"{name}: larger than such a file can be; is it the right one?")
    try:
        # Some editors put a byte order mark in front, which TOML does not know.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}, line {line}: not UTF-8 text; save the file as UTF-8") from None


def _reason(error: Exception) -> object:
    return getattr(error, "strerror", None) or error


def read_preset(name: str) -> Source:
    """Read a configuration that is shipped.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: unknown preset {name!r}; choose {', '.join(PRESETS)}")
    file = resources.files("tui_trainer") / "presets" / f"{name}.toml"
    return parse_config(file.read_text(encoding="utf-8"), f"preset {name}")


def parse_config(text: str, name: str) -> Source:
    """Parse the text of a TOML file; ``name`` is how it is called in messages.

    Raises:
        InputError: If it is no TOML, or has a key that is no setting.
    """
    try:
        settings = tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{name}: no valid TOML: nested too deeply") from None
    except ValueError as error:  # not TOMLDecodeError alone: a number of 5,000 digits is another
        raise InputError(_toml_fault(text, name, str(error))) from None
    source = Source(settings, text, name)
    for key in settings:
        if key not in SETTINGS:
            known = ", ".join(SETTINGS)
            raise InputError(f"{source.place(key)}: no such setting; there are {known}")
    return source


def compose(*sources: Source) -> RunConfig:
    """Lay sources over one another, the later over the earlier, and check the whole.

    A source that names an augmentation means that one, so the amounts of earlier sources go.

    Raises:
        InputError: If a value cannot be used; it names the source that set it.
    """
    settings: dict[str, Any] = {}
    origin: dict[str, Source] = {}
    for source in sources:
        if "augment" in source.settings:
            settings = {key: settings[key] for key in settings if key not in AMOUNTS}
        for key, value in source.settings.items():
            settings[key], origin[key] = value, source
    try:
        return RunConfig(**settings)
    except SettingError as error:
        place = origin.get(error.key, Source({})).place(error.key)
        raise InputError(f"{place}: {error.problem}") from None


def to_toml(config: RunConfig, *, commented: bool = False) -> str:
    """Return a configuration as TOML; :func:`parse_config` reads it back to an equal one.

    Args:
        config: Every setting of it that has a value is written.
        commented: Whether each line ends with a comment that says what the setting is.
    """
    lines = {key: f"{key} = {_value(value)}" for key, value in config.as_dict().items()}
    if commented:
        lines = {key: f"{line:<26}  # {SETTINGS[key].help}" for key, line in lines.items()}
    return "".join(f"{line}\n" for line in lines.values())


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _toml_fault(text: str, name: str, fault: str) -> str:
    """Return what tomllib found as one line that names file, line and, if there is one, key."""
    problem, _, place = fault.partition(" (at ")
    lines = text.rstrip("\n").split("\n")
    told = re.match(r"line (\d+)", place)  # not told: "at end of document"
    if not place:
        return f"{name}: no valid TOML: {problem}"
    number = min(int(told[1]), len(lines)) if told else len(lines)
    key = re.match(r"""\s*["']?([\w-]+)["']?\s*=""", lines[number - 1])
    named = f", {key[1]}" if key else ""
    return f"{name}, line {number}{named}: no valid TOML: {problem}"


def _line_of(text: str, key: str) -> int:
    """Return the line where a top-level key is set, counted from 1."""
    pattern = re.compile(rf"""\s*(\[{{1,2}}\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    lines = _TOKEN.sub(_without_lines, text).split("\n")
    return next((n for n, line in enumerate(lines, start=1) if pattern.match(line)), 1)


_TOKEN = re.compile(
    r'''#[^\n]*|"""(?:\\.|[^\\])*?"""|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'''', re.DOTALL
)
"""A comment or a text: in what is written over several lines, no line sets a key."""


def _without_lines(token: re.Match[str]) -> str:
    return "\n" * token[0].count("\n") or token[0]
