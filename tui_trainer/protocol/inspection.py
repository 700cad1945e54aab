"""The views of what a network has learned: their names, in the order in which they are listed."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.protocol.errors import InputError

ERRORS, INSIDE, TRY_IT = "errors", "inside", "try it"
GROUPS = (ERRORS, INSIDE, TRY_IT)


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a network.

    Attributes:
        name: What it is asked for by.
        title: What it is called on a screen.
        group: One of :data:`GROUPS`.
        about: What it shows, in a few words.
        is_drawn_on: Whether it shows what a person draws: nothing without a hand.
    """

    name: str
    title: str
    group: str
    about: str
    is_drawn_on: bool = False


VIEWS = (
    View("confusion", "confusion matrix", ERRORS, "which classes it takes for which"),
    View("misclassified", "digits of a cell", ERRORS, "the images of one cell of the matrix"),
    View("classes", "class by class", ERRORS, "precision, recall and F1 of each class"),
    View("calibration", "calibration", ERRORS, "whether it is as sure as it is right"),
    View("hardest", "hardest digits", ERRORS, "the images with the highest loss"),
    View("labels", "suspected labels", ERRORS, "images whose label may be wrong"),
    View("forgetting", "learned, forgotten", ERRORS, "images it had right and lost again"),
    View("kernels", "kernels", INSIDE, "the kernels of each layer, and how they changed"),
    View("maps", "feature maps", INSIDE, "a digit on its way through all layers"),
    View("histograms", "histograms", INSIDE, "weights and activations, and dead units"),
    View("attribution", "where it looked", INSIDE, "which pixels of a digit decide"),
    View("activation", "what a unit likes", INSIDE, "the input that excites one unit most"),
    View("draw", "drawing pad", TRY_IT, "a digit of your own", is_drawn_on=True),
    View("robustness", "robustness", TRY_IT, "shift, rotate, scale, thicken, add noise"),
)
"""All views."""

NAMES = tuple(view.name for view in VIEWS)


def find_view(name: str) -> View:
    """Return a view by its name or the beginning of it.

    Raises:
        InputError: If there is none, or more than one; it names what there is.
    """
    found = [view for view in VIEWS if view.name == name] or [
        view for view in VIEWS if name and view.name.startswith(name)
    ]
    if len(found) != 1:
        problem = "no such view" if not found else "more than one view begins so"
        there = ", ".join(view.name for view in found or VIEWS)
        raise InputError(f"--view {name[:40]!r}: {problem}; choose {there}")
    return found[0]
