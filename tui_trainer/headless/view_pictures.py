"""The views of a run as SVG documents, one for each view and layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tui_trainer.headless.evaluation_text import Evaluation, about, accuracy_line
from tui_trainer.headless.view_questions import ALL, LAYER, Shown
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.render.plain_exhibit import set_to
from tui_trainer.render.svg.document import answered, exhibit_svg

LONGEST = 60
"""The most characters of a file's name that come from the name of a layer."""


def view_pictures(found: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield each view and layer of an evaluation: a name for its file, and an SVG document.

    The names have letters, digits, dots, dashes and underscores only, and differ from each other,
    also where capitals and small letters are the same.
    """
    used: set[str] = set()
    for shown in found.views:
        for exhibit in (shown.exhibit, *shown.others):
            yield _unused(_file_name(shown, exhibit), used), view_svg(found, shown, exhibit)


def view_svg(found: Evaluation, shown: Shown, exhibit: Exhibit) -> str:
    """Return one exhibit of a view as an SVG document, with its run, result and controls."""
    view, layer = shown.view, _layer(exhibit)
    title = f"{view.title}, {layer}" if shown.others and layer else view.title
    values = " · ".join(f"{each.label} {set_to(each)}" for each in exhibit.controls)
    source = f"run {found.run}: {about(found)}; {found.images} images"
    blocks = [Words(text=source, tone="muted"), *answered(exhibit)]
    if values:
        blocks.append(Words(text=f"shown with {values}", tone="muted"))
    description = f"{view.about}. {exhibit.result} {accuracy_line(found)}."
    return exhibit_svg(title, blocks, description=description)


def _layer(exhibit: Exhibit) -> str:
    """Return the name of the shown layer; empty for none, and for all of them."""
    layers = (set_to(each) for each in exhibit.controls if each.name == LAYER)
    return next((layer for layer in layers if layer != ALL), "")


def _file_name(shown: Shown, exhibit: Exhibit) -> str:
    """Return the name of the file, with the layer where there are several of them."""
    layer = _layer(exhibit) if shown.others else ""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", layer)[:LONGEST]
    return f"{shown.view.name}-{safe}" if layer else shown.view.name


def _unused(name: str, used: set[str]) -> str:
    """Return a name that is not used yet, with a number where it is."""
    number, unused = 2, name
    while unused.lower() in used:
        number, unused = number + 1, f"{name}-{number}"
    used.add(unused.lower())
    return unused
