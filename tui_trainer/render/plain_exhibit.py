"""An exhibit in plain text: no colour is needed to read it, and nothing moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.render.medium import PLAIN
from tui_trainer.text.fmt import columns
from tui_trainer.text.lines import paragraph, paragraphs, plain

WIDTH, LEAST_WIDTH = 76, 40
INDENT = "  "
PLOT_HEIGHT = 12

SHOWN_STEPS = 12
"""As many steps of a control are named; more are told by their ends."""


def page_width(room: int | None) -> int:
    """Return the columns of a page in a terminal of so many; None for a file or a pipe."""
    return WIDTH if room is None else max(LEAST_WIDTH, min(WIDTH, room))


def page(
    title: str, about: Iterable[str], sections: Iterable[tuple[str, Iterable[str]]]
) -> list[str]:
    """Return a page: its title, what it is about, and sections, each indented below its head."""
    lines = [title, "=" * columns(title), *about]
    for head, part in sections:
        lines += ["", head.upper(), *(f"{INDENT}{line}".rstrip() for line in part)]
    return lines


def plain_lines(exhibit: Exhibit, width: int, controls: Sequence[Control] = ()) -> list[str]:
    """Return what an exhibit shows and says; at the end, what the controls can be turned to."""
    lines = plain(exhibit_lines(exhibit.blocks, width, PLOT_HEIGHT, PLAIN))
    for label, text in (("result", exhibit.result), ("how sure", exhibit.certainty)):
        if text:
            lines += ["", *labelled(label, text, width)]
    if controls:
        lines += ["", "to turn, with --set NAME=VALUE:"]
        lines += (f"{INDENT}{line}" for line in control_lines(controls, width - len(INDENT)))
    return lines


def wrapped(words: str, width: int) -> list[str]:
    """Return paragraphs as lines of at most so many columns, a blank line between two."""
    return plain(paragraphs(words, "", width))


def labelled(label: str, text: str, width: int) -> list[str]:
    """Return a text behind its label, what follows the first line under it."""
    lead = f"{label}: "
    return plain(paragraph(lead + text, "", width, hanging=len(lead)))


def control_lines(controls: Sequence[Control], width: int) -> list[str]:
    """Return where the controls stand and what each can be turned to, one below the other."""
    lines = []
    for control in controls:
        text = f"{control.name} = {value_text(control.value)}  ({choice_text(control)})"
        lines += plain(paragraph(text, "", width, hanging=4))
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
