"""The views of what a network has learned, one module each: all is measured, nothing made up.

A module's ``show`` gets a :class:`Scene`, the reader's choices, and whether enter was pressed. It
yields an exhibit when there is one to see and None after any other part of its work, each part a
few hundredths of a second: the run trains between two parts, on weights of its own. The last
exhibit stays.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from tui_trainer.lab.views.desk import Parts
from tui_trainer.lab.views.scene import Scene
from tui_trainer.protocol.exhibit import Choices
from tui_trainer.protocol.inspection import NAMES

Show = Callable[[Scene, Choices, bool], Parts]


def view_named(name: str) -> Show:
    """Return what shows a view.

    Raises:
        ValueError: If there is no such view.
    """
    if name not in NAMES:
        raise ValueError(f"there is no view {name}")
    show: Show = import_module(f"{__name__}.{name}").show
    return show
