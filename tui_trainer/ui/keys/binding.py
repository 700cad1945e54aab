"""How a key is declared."""

from __future__ import annotations

import re

from textual.binding import Binding


def key_for(
    key: str,
    action: str,
    description: str,
    tooltip: str,
    *,
    shows_as: str | None = None,
    show: bool = False,
    group: Binding.Group | None = None,
    priority: bool = False,
) -> Binding:
    """Build a binding whose id is its action, so that a person's keymap can name it."""
    identity = ".".join(re.findall(r"[\w-]+", action))
    return Binding(
        key,
        action,
        description,
        show=show,
        key_display=shows_as,
        tooltip=tooltip,
        id=identity,
        group=group,
        priority=priority,
    )
