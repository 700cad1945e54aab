"""How key bindings are declared, and the user's own keys for them."""

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
        area: Prefix of their ids: the name of a table in keys.toml.
        table: One binding per line: ``id | keys | action | description | tooltip``. ``*`` before
            an id shows the binding in the footer, ``!`` gives it priority over the focused panel's
            bindings. An id is an interface and must never change; one with a dot is shared with
            another area. Only the first of several keys is shown. ``group: description`` names the
            group of the keys in the footer. A binding without a tooltip is missing from the help
            and the palette; ``{run.pause}`` in a tooltip is the key of that id.
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
    """Split keys at commas, and name each as Textual reports it."""
    return tuple(binding.key for binding in Binding.make_bindings([Binding(keys, "")]))


def keys_of(binding: Binding, keymap: Mapping[str, str] = _user_keys) -> tuple[str, ...]:
    """Return the keys of a binding according to a keymap, by default the user's."""
    return normalized(keymap.get(binding.id or "", binding.key))


def use_keymap(keymap: Mapping[str, str]) -> None:
    """Show the user's keys from now on: for each id its keys, separated by commas."""
    _user_keys.clear()
    _user_keys.update(keymap)


def key_text(key: str) -> str:
    """Return the name of a key on the screen."""
    *modifiers, last = key.split("+")
    shown = "enter" if last == "enter" else format_key(last)
    if "ctrl" in modifiers:
        modifiers.remove("ctrl")
        shown = f"^{shown}"
    return "+".join([*modifiers, shown])


def keys_text(binding: Binding) -> str:
    """Return a binding's keys for the help: its first key, or all keys that the user chose."""
    keys = keys_of(binding)
    return " ".join(map(key_text, keys if binding.id in _user_keys else keys[:1]))
