"""The commands about models: ``mnist-tui model``, ``review``, ``compare`` and ``zoo``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.model_formats import FORMATS, chosen_format, print_as
from tui_trainer.cli.options import option
from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.config import MODELS, RunConfig, budget_of
from tui_trainer.protocol.diagnosis import by_severity, counts
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.layers import BUDGET, LayerRow, field_in, jump_in, totals
from tui_trainer.protocol.reference import absolute

if TYPE_CHECKING:
    from torch import nn

    from tui_trainer.headless.model_tables import ModelDescription

MAX_PIXELS = 1_024
ZOO_PIXELS = (8, 128)
ZOO_CHANNELS = (1, 3)

ImageSize = Annotated[int, option("Image size in pixels (28)")]
Channels = Annotated[int, option("Image channels (1)")]
Classes = Annotated[int, option("Number of classes (10)")]
Budget = Annotated[int | None, option("Parameter budget (that of the model, 20000 for most)")]
BatchSize = Annotated[int, option("Batch size for the memory column (128)")]
DEFAULT = "era-s6"

COPIED_FIELDS = (
    *("kind", "input_shape", "output_shape", "kernel_size", "stride", "padding", "dilation"),
    *("groups", "bias", "parameters"),
)
"""The fields of a layer's row that JSON copies."""


def model(
    model: opt.ModelArgument = None,
    option_value: opt.ModelOption = None,
    layout: Annotated[
        str | None, option(f"Format: {', '.join(FORMATS)} ({FORMATS[0]})", "--format")
    ] = None,
    as_json: Annotated[bool, option("Same as --format json", "--json")] = False,
    measure: Annotated[
        bool,
        option(
            "Also measure the receptive fields: the pixels that each layer depends on", "--measure"
        ),
    ] = False,
    budget: Budget = None,
    batch_size: BatchSize = 128,
    image_size: ImageSize = 28,
    channels: Channels = 1,
    classes: Classes = 10,
) -> None:
    """Show a model's layers, shapes, parameters and receptive fields.

    Multiply-adds are those of one image: at every position, token and time step, attention and
    other matrix products included. Biases and norms are counted as in torchinfo, which counts a
    fully connected layer over tokens only once and ignores products without weights.
    """
    chosen = chosen_format(layout, as_json=as_json, measure=measure)
    name = opt.one_model(model, option_value) or DEFAULT
    budget = _budget(budget, name)
    built = _built(name, image_size, channels, classes, budget, batch_size)
    shape = (image_size, image_size, channels)
    found = _description(name, built, shape, classes, budget, batch_size, measure)
    if chosen == "json":
        record = {"model": name, "classes": classes, **_record(found)}
        standard_output().record(record)
    else:
        print_as(chosen, found, built)


def review(
    model: opt.ModelArgument = None,
    option_value: opt.ModelOption = None,
    as_json: opt.JsonObject = False,
    budget: Budget = None,
    image_size: ImageSize = 28,
    channels: Channels = 1,
    classes: Classes = 10,
) -> None:
    """Review the design of a model.

    Exit code 5 if the review finds an error, or more parameters than the budget.
    """
    from tui_trainer.anatomy.review import review as review_rows
    from tui_trainer.headless import model_tables as front

    name = opt.one_model(model, option_value) or DEFAULT
    budget = _budget(budget, name)
    found = _described(name, image_size, channels, classes, budget)
    verdicts = review_rows(found.rows, budget=budget)
    if as_json:
        from tui_trainer.headless.event_text import diagnosis_record

        record = {
            "model": name,
            "counts": counts(verdicts),
            "verdicts": [diagnosis_record(verdict) for verdict in by_severity(verdicts)],
        }
        standard_output().record(record)
    else:
        front.print_review(found, verdicts)
    failed = counts(verdicts)["error"] or sum(row.parameters for row in found.rows) > budget
    raise typer.Exit(ExitCode.DESIGN_ERROR if failed else 0)


def compare(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help=f"Two models: {opt.MODEL_FORMS}", metavar="MODEL", show_default=False),
    ] = None,
    option_value: Annotated[
        list[str] | None,
        option("Same as the arguments; give it once per model", "--model", metavar="MODEL"),
    ] = None,
    as_json: opt.JsonObject = False,
    budget: Budget = None,
    batch_size: BatchSize = 128,
    image_size: ImageSize = 28,
    channels: Channels = 1,
    classes: Classes = 10,
) -> None:
    """Compare two models side by side: layers, parameters and cost."""
    from tui_trainer.headless import model_tables as front
    from tui_trainer.render.layer_comparison import compare as compare_rows

    left, right = _two_models(arguments or [], option_value or [])
    budget = _budget(budget, left, right)
    left_model, right_model = (
        _described(name, image_size, channels, classes, budget, batch_size)
        for name in (left, right)
    )
    if as_json:
        records = [
            {"model": name, **_record(found)}
            for name, found in zip((left, right), (left_model, right_model), strict=True)
        ]
        standard_output().record(records)
        return
    comparison = compare_rows(
        left_model.rows, right_model.rows, budget=budget, batch_size=batch_size
    )
    front.print_comparison(left_model, right_model, comparison)


def _budget(given: int | None, *models: str) -> int:
    """Return the given budget, or the largest of the models."""
    return max(map(budget_of, models)) if given is None else given


def _two_models(arguments: Sequence[str], option_value: Sequence[str]) -> tuple[str, str]:
    """Return the two models, given as arguments or with ``--model``.

    Raises:
        InputError: If there are more or fewer.
    """
    given = [*arguments, *option_value]
    if len(arguments) == 2 and {*map(absolute, option_value)} <= {*map(absolute, arguments)}:
        given = [*arguments]
    if len(given) != 2:
        raise InputError(
            f"compare needs two models, not {len(given)}: mnist-tui compare MODEL MODEL"
        )
    return given[0], given[1]


def zoo(
    as_json: opt.JsonObject = False,
    image_size: ImageSize = 28,
    channels: Channels = 1,
    classes: Classes = 10,
) -> None:
    """List the built-in models, with their cost for such images."""
    from tui_trainer.headless import model_tables as front

    found = [_described(name, image_size, channels, classes, BUDGET) for name in MODELS]
    if not as_json:
        front.print_zoo(found)
        return
    records = [
        {"model": model.name, "about": model.about, "totals": _totals(model)} for model in found
    ]
    standard_output().record(records)


def _described(
    name: str, image_size: int, channels: int, classes: int, budget: int, batch_size: int = 1
) -> ModelDescription:
    """Build a model and describe it.

    Raises:
        InputError: If an option cannot be used, or the model cannot be built or run.
    """
    built = _built(name, image_size, channels, classes, budget, batch_size)
    shape = (image_size, image_size, channels)
    return _description(name, built, shape, classes, budget, batch_size)


def _built(
    name: str, image_size: int, channels: int, classes: int, budget: int, batch_size: int
) -> nn.Module:
    """Build a model; check the options of its description first.

    Raises:
        InputError: If an option cannot be used, or the model cannot be built or run.
    """
    check_range("--batch-size", batch_size, 10**6)
    check_range("--budget", budget, 10**12)
    _check_input(name, image_size, channels, classes)
    import torch

    from tui_trainer.models.build import build_model

    torch.set_num_threads(1)  # for a single image, two threads only wait for each other
    return build_model(
        name, image_size=image_size, classes=classes, channels=channels, is_adjustable=True
    )


def _description(
    name: str,
    model: nn.Module,
    shape: tuple[int, int, int],
    classes: int,
    budget: int,
    batch_size: int,
    measure: bool = False,
) -> ModelDescription:
    from tui_trainer.anatomy.description import layers_of
    from tui_trainer.headless.model_tables import ModelDescription, scale_of
    from tui_trainer.models.build import summary_of
    from tui_trainer.protocol.reference import model_name

    rows = layers_of(model, shape, classes)
    measured = measured_texts(model, rows) if measure else ()
    scale = scale_of(rows, budget=budget, batch_size=batch_size)
    return ModelDescription(model_name(name), summary_of(name), rows, scale, measured)


def check_range(option_name: str, value: int, most: int) -> None:
    """Check a number from 1 to ``most``.

    Raises:
        InputError: Naming the option.
    """
    if not 1 <= value <= most:
        raise InputError(f"{option_name} {value}: choose from 1 to {most:,}")


def _check_input(name: str, image_size: int, channels: int, classes: int) -> None:
    """Check that there is such a model for such images.

    Raises:
        InputError: If there is none.
    """
    check_range("--image-size", image_size, MAX_PIXELS)
    check_range("--channels", channels, MAX_PIXELS)
    check_range("--classes", classes, 100_000)
    try:
        RunConfig(model=name)
    except SettingError as error:
        raise InputError(error.problem) from None
    if name in MODELS and channels not in ZOO_CHANNELS:
        raise InputError(f"--channels {channels}: built-in models take 1 channel or 3")
    if name in MODELS and not ZOO_PIXELS[0] <= image_size <= ZOO_PIXELS[1]:
        low, high = ZOO_PIXELS
        raise InputError(f"--image-size {image_size}: built-in models take {low} to {high} pixels")


def measured_texts(model: nn.Module, rows: tuple[LayerRow, ...]) -> tuple[str, ...]:
    """Return the measured field size of each row's middle feature.

    A row whose field cannot be measured has a dash.
    """
    from tui_trainer.anatomy.measured import measured_fields
    from tui_trainer.headless.model_tables import with_progress

    places = [at for at, row in enumerate(rows) if row.kind == "input" or row.is_layer]
    if len(rows) == 2 and rows[1].kind == "model":  # none of its operations can be traced
        places = [0]
    texts = ["—"] * len(rows)
    fields = measured_fields(model, rows[0].output_shape, dict.fromkeys(places))
    for place, field in with_progress("measuring receptive fields", fields, len(places)):
        if (
            field is not None and field.any()
        ):  # otherwise no gradient passes, for example behind a comparison
            tall, wide = int(field.any(dim=1).sum()), int(field.any(dim=0).sum())
            texts[place] = f"{tall}×{wide}"
    return tuple(texts)


def _record(model: ModelDescription) -> dict[str, Any]:
    """Return the JSON record of a model."""
    scale = model.scale
    layers = []
    for place, row in enumerate(model.rows):
        layers.append(
            {
                "name": row.name,
                "type": row.type or row.kind,
                **{name: getattr(row, name) for name in COPIED_FIELDS},
                "budget_share": row.parameters / scale.budget,
                "multiply_adds": row.multiply_adds,
                "activation_bytes": row.activation_bytes * scale.batch_size,
                "receptive_field_in": _number_or_pair(field_in(row, model.rows)),
                "receptive_field": _number_or_pair(row.receptive_field),
                "jump_in": _number_or_pair(jump_in(row, model.rows)),
                "jump": _number_or_pair(row.jump),
                "start": _number_or_pair(row.start),
                "undefined": row.undefined,
                "unused": row.unused,
                "inputs": [model.rows[source].name for source in row.sources],
                "repeats": row.repeats,
                **({"measured": model.measured[place]} if model.measured else {}),
            }
        )
    return {
        "about": model.about,
        "input_shape": model.rows[0].output_shape,
        "budget": scale.budget,
        "batch_size": scale.batch_size,
        "layers": layers,
        "totals": _totals(model),
    }


def _totals(model: ModelDescription) -> dict[str, Any]:
    whole = totals(model.rows)
    return {
        "parameters": whole.parameters,
        "budget_share": whole.parameters / model.scale.budget,
        "multiply_adds": whole.multiply_adds,
        "activation_bytes": whole.activation_bytes * model.scale.batch_size,
        "receptive_field": _number_or_pair(whole.receptive_field),
    }


def _number_or_pair(pair: tuple[float, float] | None) -> Any:
    """Return a length down and across: one number if both are equal, otherwise both."""
    return pair[0] if pair is not None and pair[0] == pair[1] else pair
