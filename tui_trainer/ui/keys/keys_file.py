"""The user's keys: ``keys.toml``, read and checked key by key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import platformdirs
from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, KEY_TO_UNICODE_NAME, Keys, format_key

from tui_trainer.protocol.toml_file import TomlFile, TomlKeyError, kind, suggestion
from tui_trainer.ui.keys.binding import keys_of, normalized
from tui_trainer.ui.keys.contexts import OVERRIDING, contexts
from tui_trainer.ui.keys.keymap import BINDINGS, GROUPS, with_keys

FIXED = {
    **{"ctrl+c": "quits", "ctrl+q": "quits"},
    **{"ctrl+z": "suspends the program", "ctrl+p": "opens the command palette"},
}
"""Keys that cannot be reassigned, and what they do."""

MOVING = frozenset(
    {
        *("up", "down", "left", "right", "home", "end", "pageup", "pagedown"),
        *("tab", "shift+tab", "enter", "escape"),
    }
)
"""Keys that lists, tables and dialogs need: only bindings that have one by default may use them."""

NAMES = frozenset(
    {
        *(key.value for key in Keys if re.fullmatch(r"[a-z]+\d*", key.value)),
        *(KEY_NAME_REPLACEMENTS.get(name, name) for name in KEY_TO_UNICODE_NAME),
        *KEY_NAME_REPLACEMENTS.values(),
        *("comma", "colon", "semicolon", "apostrophe", "asterisk", "ampersand", "tilde"),
    }
) - {"return"}
"""Textual's names of keys other than letters and digits."""

_MODIFIERS = {"alt", "ctrl", "hyper", "meta", "shift", "super"}
_ALIASES = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+left_square_bracket": "escape"}
"""Keys for which a terminal sends the same bytes as for another key."""


def keys_path() -> Path:
    """Return the path of the user's keys.toml; the file may not exist."""
    return platformdirs.user_config_path("mnist-tui") / "keys.toml"


def load_keymap(path: Path | None = None) -> dict[str, str]:
    """Read a keys.toml as a Textual keymap: keys by the id of their binding.

    Clashes are checked here: Textual reports them only when a key is pressed, and with
    false alarms, for example for a binding of two keys that gets another one.

    Args:
        path: The file; by default :func:`keys_path`. If it does not exist, the keymap is empty.

    Raises:
        InputError: If the file cannot be read or used: one line with the file, line and id.
    """
    path = path or keys_path()
    if not os.path.exists(path):  # Path.exists raises where a folder cannot be entered
        return {}
    file = TomlFile(path)
    try:
        keymap = {name: ",".join(_keys(name, value)) for name, value in _settings(file.table)}
        _check_clashes(keymap)
    except TomlKeyError as error:
        raise file.error(error) from None
    return keymap


def keys_toml() -> str:
    """Return the text of a keys.toml that lists every binding with its keys."""
    areas: dict[str, str] = {}
    for name in BINDINGS:
        area, _, key = name.partition(".")
        areas[area] = areas.get(area, f"[{area}]\n") + _line(key, BINDINGS[name])
    return "\n".join(areas.values())


def _line(name: str, binding: Binding) -> str:
    keys = list(map(_written, keys_of(binding)))
    value = json.dumps(keys if len(keys) > 1 else keys[0], ensure_ascii=False)
    same = [key for group in GROUPS.values() for key in group if key.id == binding.id]
    words = " / ".join(dict.fromkeys(key.tooltip or key.description for key in same))
    return f"{f'{name} = {value}':<30}  # {with_keys(words)}\n"


def _written(key: str) -> str:
    """Return a key as written in keys.toml: the character, or the name of another key."""
    character = format_key(key)
    return character if len(character) == 1 and character.isascii() else key


def _settings(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the ids in a file with their values.

    Raises:
        TomlKeyError: At the first unknown id.
    """
    areas = {name.partition(".")[0] for name in BINDINGS}
    for area, value in table.items():
        if area in areas and not isinstance(value, dict):
            raise TomlKeyError(area, f"needs to be a table, [{area}], not {kind(value)}")
        is_table = isinstance(value, dict) and (value or area in areas)
        found = (
            {f"{area}.{key}": keys for key, keys in value.items()} if is_table else {area: value}
        )
        for name, keys in found.items():
            if name not in BINDINGS:
                near = suggestion(name, BINDINGS)
                raise _key_error(name, f"unknown id{near}; `mnist-tui keys` lists all ids")
            yield name, keys


def _key_error(name: str, problem: str) -> TomlKeyError:
    table, _, key = name.rpartition(".")
    return TomlKeyError(key, problem, table, name=name)


def _keys(name: str, value: object) -> list[str]:
    """Return the keys given to a binding, without duplicates.

    Raises:
        TomlKeyError: If one of them is not a key, or not allowed for this binding.
    """
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str)]
    if len(texts) < len(values):
        raise _key_error(
            name, f'must be a key in quotes, such as "p", or a list of keys, not {kind(value)}'
        )
    parts = [part for text in texts for part in ([text] if len(text) == 1 else text.split(","))]
    default = keys_of(BINDINGS[name], {})
    if not "".join(parts) or not all(len(part) == 1 or part.strip() for part in parts):
        raise _key_error(name, f"names no key; delete the line to keep {' and '.join(default)}")
    keys = [_key(name, part if len(part) == 1 else part.strip()) for part in parts]
    for key in keys:
        if key in FIXED:
            raise _key_error(name, f"{key} always {FIXED[key]}; choose another key")
        if key in MOVING and MOVING.isdisjoint(default):
            raise _key_error(
                name, f"{key} is needed in lists, tables and dialogs; choose another key"
            )
    return list(dict.fromkeys(keys))


def _key(name: str, text: str) -> str:
    """Return a key as Textual reports it.

    Raises:
        TomlKeyError: If there is no such key.
    """
    head, last = (text[:-2], "+") if text.endswith("+") else text.rpartition("+")[::2]
    modifiers = sorted(head.split("+")) if head else []
    is_character = len(last) == 1 and last.isprintable()
    if not (is_character or last in NAMES) or not _MODIFIERS.issuperset(modifiers):
        near = suggestion(last.lower(), NAMES)
        raise _key_error(
            name, f'unknown key {text!r}{near}; write "p", "?", "space", "f5" or "ctrl+s"'
        )
    if is_character and modifiers == ["shift"]:
        raise _key_error(
            name,
            f'{text!r} is not a key that a terminal sends; write the character, such as "A" or "?"',
        )
    if is_character:
        # In a list of keys these two would be separators.
        spelled = {",": "comma", " ": "space"}.get(last, last.lower() if modifiers else last)
        [last] = normalized(spelled)
    key = "+".join([*modifiers, last])
    return _ALIASES.get(key, key)


def _check_clashes(keymap: dict[str, str]) -> None:
    """Make sure that no two bindings that are active at the same time share a key.

    Bindings that share a key by default do so on purpose: a panel's binding wins over the app's.

    Raises:
        TomlKeyError: At the first clash; it names both bindings.
    """
    for place, bindings in contexts():
        new, usual = ([{*keys_of(b, keys)} for b in bindings] for keys in (keymap, {}))
        for one, other in combinations(range(len(bindings)), 2):
            shared = new[one] & new[other]
            if not shared or usual[one] & usual[other]:
                continue
            if (bindings[one].id in OVERRIDING) != (bindings[other].id in OVERRIDING):
                continue
            names = [bindings[at].id or bindings[at].description for at in (one, other)]
            if names[0] == names[1]:
                continue
            if names[0] not in keymap:
                names.reverse()
            taken = f"{_written(min(shared))} is also the key of {names[1]} ({place})"
            raise _key_error(names[0], f"{taken}; give one of them another")
