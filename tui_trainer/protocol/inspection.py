"""The views of what a model has learned, in the order in which they are listed."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.protocol.errors import InputError

ERRORS, INSIDE, TRY_IT = "errors", "inside", "try it"
GROUPS = (ERRORS, INSIDE, TRY_IT)


@dataclass(frozen=True, slots=True)
class View:
    """A view of the Inspect screen.

    Attributes:
        name: Its id on the command line and in questions.
        title: Its title on a screen.
        group: One of :data:`GROUPS`.
        about: What it shows, in a few words.
        takes_drawing: Whether it needs a drawing by the user as its input.
    """

    name: str
    title: str
    group: str
    about: str
    takes_drawing: bool = False


VIEWS = (
    View("confusion", "confusion matrix", ERRORS, "true class by predicted class"),
    View(
        "misclassified",
        "misclassified images",
        ERRORS,
        "the images of one cell of the matrix, or all errors",
    ),
    View("classes", "classification report", ERRORS, "precision, recall, F1 by class"),
    View("calibration", "calibration", ERRORS, "reliability diagram and ECE"),
    View("hardest", "highest loss", ERRORS, "the hardest images"),
    View("labels", "label issues", ERRORS, "images whose label may be wrong"),
    View("forgetting", "example forgetting", ERRORS, "images learned and forgotten again"),
    View("kernels", "kernels", INSIDE, "the kernels of each layer, and their change"),
    View("maps", "feature maps", INSIDE, "the activations of each layer for one image"),
    View("histograms", "histograms", INSIDE, "weights and activations, and dead units"),
    View("attribution", "attribution", INSIDE, "occlusion, saliency, gradients, Grad-CAM"),
    View("activation", "activation maximization", INSIDE, "the input that maximizes one unit"),
    View("draw", "drawing pad", TRY_IT, "predictions for your own drawing", takes_drawing=True),
    View("robustness", "robustness", TRY_IT, "accuracy under shift, rotation, scale, noise"),
)
"""All views."""

NAMES = tuple(view.name for view in VIEWS)


def find_view(name: str) -> View:
    """Return a view by its name or a unique prefix of it.

    Raises:
        InputError: If none or several match; it lists the choices.
    """
    found = [view for view in VIEWS if view.name == name] or [
        view for view in VIEWS if name and view.name.startswith(name)
    ]
    if len(found) != 1:
        problem = "no such view" if not found else "several views start with this"
        there = ", ".join(view.name for view in found or VIEWS)
        raise InputError(f"--view {name[:40]!r}: {problem}; choose {there}")
    return found[0]
