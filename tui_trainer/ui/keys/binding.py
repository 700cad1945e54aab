"""How keys are declared, and which ones a person has given instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from textual.binding import Binding
from textual.keys import format_key

_user_keys: dict[str, str] = {}


def bindings(area: str, table: str) -> list[Binding]:
    """Read bindings from a table.

    Args:
        area: Where their ids begin: a table of keys.toml.
        table: One in a line: ``id | keys | action | description | tooltip``. ``*`` before an id
            puts the binding in the footer, ``!`` lets it go before the focused panel's own. An id
            is an interface and must never change; one with a dot is shared with another area. Of
            several keys the first is shown. ``group: description`` names the group under which
            the footer has the keys. Without a tooltip a key is neither in the help nor in the
            palette; ``{run.pause}`` in a tooltip is the key of that id.
    """
    rows = (" ".join(line.split()).split(" | ") for line in table.strip().split("\n"))
    return [_binding(area, *row) for row in rows]


def _binding(
    area: str, name: str, keys: str, action: str, described: str, tooltip: str = ""
) -> Binding:
    marks = re.match(r"[*!]*", name)[0]  # type: ignore[index]
    name = name[len(marks) :]
    group, _, description = described.rpartition(": ")
    return Binding(
        keys,
        action,
        description,
        show="*" in marks,
        tooltip=tooltip,
        id=name if "." in name else f"{area}.{name}",
        group=Binding.Group(group) if group else None,
        priority="!" in marks,
        system=not tooltip,
    )


@cache
def normalized(keys: str) -> tuple[str, ...]:
    """Return the names of keys that are separated by commas, as Textual reports them."""
    return tuple(binding.key for binding in Binding.make_bindings([Binding(keys, "")]))


def keys_of(binding: Binding, keymap: Mapping[str, str] = _user_keys) -> tuple[str, ...]:
    """Return the keys of a binding, as a keymap has them: a person's, if none is given."""
    return normalized(keymap.get(binding.id or "", binding.key))


def use_keymap(keymap: Mapping[str, str]) -> None:
    """Name a person's keys from now on: those of each id, separated by commas."""
    _user_keys.clear()
    _user_keys.update(keymap)


def key_text(key: str) -> str:
    """Return what a key is called on the screen."""
    *modifiers, last = key.split("+")
    shown = "enter" if last == "enter" else format_key(last)
    if "ctrl" in modifiers:
        modifiers.remove("ctrl")
        shown = f"^{shown}"
    return "+".join([*modifiers, shown])


def keys_text(binding: Binding) -> str:
    """Return what the help has for a binding: its first key, or every key that a person chose."""
    keys = keys_of(binding)
    return " ".join(map(key_text, keys if binding.id in _user_keys else keys[:1]))
