"""An exhibit in plain text: no colour is needed to read it, and nothing moves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.render.medium import PLAIN
from tui_trainer.text.lines import plain

PLOT_HEIGHT = 12

SHOWN_STEPS = 12
"""As many steps of a control are named; more are told by their ends."""


def plain_lines(exhibit: Exhibit, width: int) -> list[str]:
    """Return what an exhibit shows, a blank line between its blocks."""
    return plain(exhibit_lines(exhibit.blocks, width, PLOT_HEIGHT, PLAIN))


def wrapped(paragraphs: str, width: int) -> list[str]:
    """Return paragraphs as lines of at most so many columns, a blank line between two."""
    lines: list[str] = []
    for paragraph in paragraphs.split("\n\n"):
        if lines:
            lines.append("")
        lines += textwrap.wrap(paragraph, width, break_on_hyphens=False) or [""]
    return lines


def labelled(label: str, told: str, width: int) -> list[str]:
    """Return a text behind its label, what follows the first line under it."""
    lead = f"{label}: "
    first, *others = wrapped(told, width - len(lead))
    return [f"{lead}{first}", *(f"{' ' * len(lead)}{line}" for line in others)]


def control_lines(controls: Sequence[Control], width: int) -> list[str]:
    """Return where the controls stand and what each can be turned to, one below the other."""
    lines = []
    for control in controls:
        told = f"{control.name} = {value_text(control.value)}  ({choice_text(control)})"
        lines += textwrap.wrap(told, width, subsequent_indent="    ", break_on_hyphens=False)
    return lines


def value_text(value: Value) -> str:
    """Return where a control stands."""
    return value if isinstance(value, str) else f"{value:.12g}"


def choice_text(control: Control) -> str:
    """Return what a control can be turned to."""
    words = [step for step in control.steps if isinstance(step, str)]
    numbers = [float(step) for step in control.steps if not isinstance(step, str)]
    if control.low is not None and control.high is not None:
        numbers_told = f"{control.low:.12g} to {control.high:.12g}"
    elif len(numbers) > SHOWN_STEPS:
        numbers_told = f"{min(numbers):.12g} to {max(numbers):.12g}"
    else:
        numbers_told = ", ".join(map(value_text, numbers))
    return ", ".join([*words, *([numbers_told] if numbers_told else [])])
