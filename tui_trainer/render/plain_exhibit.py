"""An exhibit as plain text, readable without color or cursor movement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.render.medium import PLAIN
from tui_trainer.text.fmt import columns, listed
from tui_trainer.text.lines import paragraph, paragraphs, plain

WIDTH, MIN_WIDTH = 76, 40
INDENT = "  "
PLOT_HEIGHT = 12

SHOWN_STEPS = 12
"""The most steps of a control that are listed; of more, only the range is shown."""


def page_width(room: int | None) -> int:
    """Return the width of a page; ``room`` is the terminal's, None for a file or a pipe."""
    return WIDTH if room is None else max(MIN_WIDTH, min(WIDTH, room))


def page(
    title: str, about: Iterable[str], sections: Iterable[tuple[str, Iterable[str]]]
) -> list[str]:
    """Return a page: its title, its subject, and sections indented below their heads."""
    lines = [title, "=" * columns(title), *about]
    for head, part in sections:
        lines += ["", head.upper(), *(f"{INDENT}{line}".rstrip() for line in part)]
    return lines


def plain_lines(exhibit: Exhibit, width: int, controls: Sequence[Control] = ()) -> list[str]:
    """Return an exhibit's blocks, its result with its evidence, and the controls."""
    lines = plain(exhibit_lines(exhibit.blocks, width, PLOT_HEIGHT, PLAIN))
    for label, text in (("result", exhibit.result), ("evidence", exhibit.evidence)):
        if text:
            lines += ["", *labeled(label, text, width)]
    if controls:
        lines += ["", "controls, set with --set NAME=VALUE:"]
        lines += (f"{INDENT}{line}" for line in control_lines(controls, width - len(INDENT)))
    return lines


def wrapped(words: str, width: int) -> list[str]:
    """Return paragraphs wrapped to ``width``, separated by blank lines."""
    return plain(paragraphs(words, "", width))


def labeled(label: str, text: str, width: int) -> list[str]:
    """Return a label and its text with a hanging indent."""
    lead = f"{label}: "
    return plain(paragraph(lead + text, "", width, hanging=len(lead)))


def control_lines(controls: Sequence[Control], width: int) -> list[str]:
    """Return each control's value and its choices, one below the other."""
    lines = []
    for control in controls:
        text = f"{control.name} = {set_to(control)}  ({choice_text(control)})"
        lines += plain(paragraph(text, "", width, hanging=4))
    return lines


def value_text(value: Value) -> str:
    """Return the value of a control as text."""
    return value if isinstance(value, str) else f"{value:.12g}"


def set_to(control: Control) -> str:
    """Return what a control is set to as text: a word, a number, or the name of a class."""
    return control.name_of(control.value) or value_text(control.value)


def choice_text(control: Control) -> str:
    """Return the choices of a control as text."""
    words = [step for step in control.steps if isinstance(step, str)]
    if control.class_names:
        numbered = f"or its number, 0 to {len(control.known_names) - 1}"
        return ", ".join([listed(control.known_names, SHOWN_STEPS), numbered, *words])
    numbers = [float(step) for step in control.steps if not isinstance(step, str)]
    if control.low is not None and control.high is not None:
        number_text = f"{control.low:.12g} to {control.high:.12g}"
    elif len(numbers) > SHOWN_STEPS:
        number_text = f"{min(numbers):.12g} to {max(numbers):.12g}"
    else:
        number_text = ", ".join(map(value_text, numbers))
    return ", ".join([*words, *([number_text] if number_text else [])])
