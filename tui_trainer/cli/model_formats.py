"""The formats of ``mnist-tui model``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.layers import totals
from tui_trainer.text.fmt import clip, one_line, printable

if TYPE_CHECKING:
    from torch import nn

    from tui_trainer.headless.model_tables import ModelDescription

MODULE_LAYOUTS = ("torchsummary", "torchinfo")
"""The formats that list the modules which the forward calls, instead of its operations."""

FORMATS = ("text", *MODULE_LAYOUTS, "csv", "latex", "markdown", "json")


def chosen_format(name: str | None, *, as_json: bool, measure: bool) -> str:
    """Return the format to print; ``--json`` is the same as ``--format json``.

    Raises:
        InputError: If there is no such format, or it cannot be used with the other options.
    """
    if name is not None and name not in FORMATS:
        raise InputError(f"--format {clip(printable(name), 40)}: choose from {', '.join(FORMATS)}")
    if as_json and name not in (None, "json"):
        raise InputError(f"--json: cannot be used with --format {name}; choose one")
    if measure and name in MODULE_LAYOUTS:
        raise InputError(f"--measure: cannot be used with --format {name}, which has no fields")
    return "json" if as_json else name or "text"


def print_as(layout: str, found: ModelDescription, model: nn.Module) -> None:
    """Print a model in any format but JSON.

    Args:
        layout: One of ``FORMATS``.
        found: Its description.
        model: The model itself.

    Raises:
        InputError: If its modules cannot be listed.
    """
    from tui_trainer.headless import model_tables as front

    if layout == "csv":
        from tui_trainer.render.layer_table import course_csv

        standard_output().text(course_csv(found.rows, found.measured))
    elif layout in MODULE_LAYOUTS:
        front.print_lines(_module_lines(layout, found, model))
    elif layout == "text":
        front.print_model(found)
    else:
        writers: dict[str, Callable[[ModelDescription], list[str]]] = {
            "latex": front.latex,
            "markdown": front.markdown,
        }
        front.print_lines(writers[layout](found))


def _module_lines(layout: str, found: ModelDescription, model: nn.Module) -> list[str]:
    from tui_trainer.anatomy.module_calls import module_summary
    from tui_trainer.headless.module_tables import torchinfo_lines, torchsummary_lines

    try:
        summary = module_summary(
            model, found.rows[0].output_shape, totals(found.rows).multiply_adds
        )
    except Exception as error:  # a forward that does not run with hooks on its modules
        why = one_line(f"{type(error).__name__}: {error}")
        raise InputError(
            f"--format {layout}: the modules of {found.name} cannot be listed: {why}; "
            "choose another format"
        ) from error
    write = torchinfo_lines if layout == "torchinfo" else torchsummary_lines
    return write(summary)
