"""Settings from several sources, each overriding the ones before; errors name their source."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tui_trainer.protocol.config import (
    AUGMENTATION_FIELDS,
    PRESETS,
    SETTINGS,
    RunConfig,
    budget_of,
)
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.settings import option_of
from tui_trainer.protocol.toml_file import TomlError, line_of, parse_toml, read_text
from tui_trainer.text.fmt import printable


@dataclass(frozen=True, slots=True)
class Source:
    """Settings from one source.

    Attributes:
        settings: The values that were set, by name.
        text: The TOML text; None for the command line.
        name: The name of the file for messages.
    """

    settings: Mapping[str, Any]
    text: str | None = None
    name: str = ""

    def place(self, key: str) -> str:
        """Return where a setting was set: ``--lr`` or ``run.toml, line 3, lr``."""
        if self.text is None:
            return option_of(key)
        shown = key if re.fullmatch(r"[\w-]+", key) else repr(key)
        return place_in(self.name, line_of(self.text, key), shown)


def read_config(path: Path) -> Source:
    """Read a TOML file of settings.

    Raises:
        InputError: If it cannot be read, is not TOML, or has an unknown key.
    """
    name = printable(path)
    return parse_config(read_text(path, name), name)


def read_preset(name: str) -> Source:
    """Read a built-in recipe.

    Raises:
        InputError: If there is no recipe of that name.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: unknown preset {name!r}; choose {', '.join(PRESETS)}")
    file = resources.files("tui_trainer") / "presets" / f"{name}.toml"
    return parse_config(file.read_text(encoding="utf-8"), f"preset {name}")


def parse_config(text: str, name: str) -> Source:
    """Parse the text of a TOML file; ``name`` is its name in messages.

    Raises:
        InputError: If it is not TOML, or has an unknown key.
    """
    return parse_tables(text, name)[0]


def parse_tables(text: str, name: str, *tables: str) -> tuple[Source, dict[str, Any]]:
    """Parse a TOML file of settings that also has other tables.

    Args:
        text: The text of the file.
        name: Its name in messages.
        tables: The names of the other tables.

    Returns:
        The settings at the top of the file, and what the file says of each of these tables.

    Raises:
        InputError: If it is not TOML, or has an unknown key at the top.
    """
    try:
        content = parse_toml(text)
    except TomlError as error:
        place = place_in(name, error.line, error.key)
        raise InputError(f"{place}: invalid TOML: {error.problem}") from None
    others = {key: content.pop(key) for key in tables if key in content}
    source = Source(content, text, name)
    for key in content:
        if key not in SETTINGS:
            known = ", ".join((*SETTINGS, *(f"[{table}]" for table in tables)))
            raise InputError(f"{source.place(key)}: unknown setting; choose {known}")
    return source, others


def compose(*sources: Source) -> RunConfig:
    """Combine sources, later ones overriding earlier ones, and check the result.

    A source that names an augmentation preset resets the single augmentation values of earlier
    sources. Where none sets a budget, it is that of the model.

    Raises:
        InputError: If a value is invalid; the message names the source that set it.
    """
    settings: dict[str, Any] = {}
    origin: dict[str, Source] = {}
    for source in sources:
        if "augment" in source.settings:
            settings = {key: settings[key] for key in settings if key not in AUGMENTATION_FIELDS}
        for key, value in source.settings.items():
            settings[key], origin[key] = value, source
    settings.setdefault("budget", budget_of(settings.get("model")))
    try:
        config = RunConfig(**settings)
        config.check_target()
        return config
    except SettingError as error:
        place = origin.get(error.key, Source({})).place(error.key)
        raise InputError(f"{place}: {error.problem}") from None


def to_toml(config: RunConfig, *, commented: bool = False) -> str:
    """Return a configuration as TOML; :func:`parse_config` reads it back to an equal one.

    Args:
        config: Every setting that is not None is written.
        commented: Whether each line ends with a comment that describes the setting.
    """
    lines = {key: f"{key} = {_value(value)}" for key, value in config.as_dict().items()}
    if commented:
        lines = {key: f"{line:<26}  # {SETTINGS[key].help}" for key, line in lines.items()}
    return "".join(f"{line}\n" for line in lines.values())


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, except that TOML also requires DEL to be escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def place_in(name: str, line: int | None, key: str) -> str:
    """Return the place of a key for messages: ``run.toml, line 3, lr``."""
    return f"{name}{f', line {line}' if line else ''}{f', {key}' if key else ''}"
