"""Rules about the receptive field where it matters: before pooling and at the end."""

from __future__ import annotations

from math import prod

from tui_trainer.anatomy.review.design import CONVOLUTIONS, Design, is_weighted, map_size
from tui_trainer.anatomy.review.reporter import Reporter, names
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text import fmt

OBJECT = (20, 28)
"""The side of a digit and of its image, in pixels.

MNIST's digits were fitted into 20×20 pixels and centered in 28×28 (Y. LeCun, C. Cortes and C. J. C.
Burges, "The MNIST database of handwritten digits"). Every gray image is assumed to have this
share; the size of objects in color images is not known.
"""

DEEP = 3
"""A receptive field this many times as large as the image sees mostly padding."""

TEXTURE = 5
"""The side of the receptive field, in pixels, that can tell an edge or a texture."""

STOP = 7
"""The map size at which the course stops convolving."""


def final_receptive_field(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the last features see the whole object; its size is only known for digits.

    The last features are those of the last convolution, or of a fully connected layer that reads a
    map. Averaging them widens the field in the table but combines nothing: no feature before it
    has seen pixels that lie farther apart.
    """
    finals = final_layers(design)
    rows = [design.rows[position] for position in finals]
    fields = [row.receptive_field for row in rows if row.receptive_field is not None]
    if not rows:
        return None
    if not fields:
        return _undefined(report, rows[0])
    field = max(fields, key=min)
    rows = [row for row in rows if row.receptive_field == field]
    image, (part, whole) = design.image, OBJECT
    covered = min(f / side for f, side in zip(field, image, strict=True))
    evidence = f"{names(rows)}: {fmt.field(field)} of {fmt.field(image)} pixels"
    advice = "add a convolution or a pool before the last layer"
    if design.rows[0].output_shape[2] == 1:
        extent = fmt.field((round(image[0] * part / whole), round(image[1] * part / whole)))
        evidence = f"{evidence}; a digit of MNIST takes {extent}"
        if covered < part / whole:
            return report.warning(
                "the receptive field is smaller than a digit of MNIST", evidence, advice, rows
            )
    if covered < 1:
        title = "the receptive field is smaller than the image"
        return report.note(title, evidence, advice, rows)
    if covered > DEEP and not _averages_inside(design, finals):
        times = f"{covered:.1f} times the image, {fmt.field(image)}"
        evidence = f"{names(rows)}: {fmt.field(field)} is {times}"
        advice = "remove layers: beyond the image, depth adds features but no new pixels"
        return report.note(
            "the receptive field is far larger than the image", evidence, advice, rows
        )
    return report.ok("the receptive field covers the whole image", evidence, rows)


def final_layers(design: Design) -> list[int]:
    """Return the last layers that combine features from different positions of a map.

    They are convolutions, fully connected layers that read a map, and layers with weights over
    tokens or time steps, whose field is wider than their input's. A layer that reads averaged
    features, a 1×1×n output, does not widen the field itself.
    """
    found: set[int] = set()
    seen: set[int] = set()
    waiting = [design.last]
    while waiting:
        position = waiting.pop()
        if position in seen:
            continue
        seen.add(position)
        is_on_map = map_size(design.reads(position)) != (1, 1)
        is_convolution = design.rows[position].kind in CONVOLUTIONS
        if (
            (is_convolution and is_on_map)
            or _flattens(design, position)
            or _widens(design, position)
        ):
            found.add(position)
        else:
            waiting += design.rows[position].sources
    return sorted(found)


def _widens(design: Design, position: int) -> bool:
    """Whether a layer with weights widens the field of its input, like one that mixes tokens."""
    row = design.rows[position]
    field, read = row.receptive_field, [design.rows[s].receptive_field for s in row.sources]
    if field is None or not is_weighted(row) or not read:
        return False
    return all(other is not None and min(field) > min(other) for other in read)


def _flattens(design: Design, position: int) -> bool:
    """Whether a fully connected layer reads a flattened map of more than one position."""
    if design.rows[position].kind != "fully connected":
        return False
    while design.rows[position].sources:
        row, before = design.rows[position], design.rows[design.rows[position].sources[0]]
        if map_size(before.output_shape) != (1, 1):
            return is_weighted(row) or prod(row.output_shape) == prod(before.output_shape)
        if is_weighted(before):
            return False
        position = row.sources[0]
    return False


def _averages_inside(design: Design, finals: list[int]) -> bool:
    """Whether a global average, as in squeeze-and-excitation, widens the field all at once."""
    return any(
        map_size(design.rows[position].output_shape) == (1, 1) != map_size(design.reads(position))
        for position in design.ancestors(finals)
    )


def first_pooling(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether features see edges and textures before the first downsampling."""
    if not design.shrinking_pools:
        return None
    position = design.shrinking_pools[0]
    pool = design.rows[position]
    read = [design.rows[source] for source in pool.sources]
    fields = [row.receptive_field for row in read if row.receptive_field is not None]
    if not fields:
        return _undefined(report, pool)
    seen = max(fields, key=min)
    evidence = (
        f"{pool.name} pools features with a receptive field of {fmt.field(seen)}; edges and small "
        f"textures take {fmt.field((TEXTURE, TEXTURE))}"
    )
    if min(seen) >= TEXTURE:
        return report.ok("edges and textures are detected before pooling", evidence, [pool])
    if min(seen) > 1:
        advice = f"add a 3×3 convolution before {pool.name}"
        return report.note("pooling before textures are detected", evidence, advice, [pool])
    advice = f"add two 3×3 convolutions before {pool.name}"
    if pool.kind == "average pool":
        return report.warning("the input image is downsampled", evidence, advice, [pool])
    return report.warning("pooling before any edge is detected", evidence, advice, [pool])


def late_convolution(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether convolutions run on small maps whose features already see the whole image.

    Global average pooling is enough there. A convolution that is needed to see the whole image is
    not counted.
    """
    wide = [position for position in design.convolutions if design.side(position) > 1]
    late = [position for position in wide if _is_late(design, position)]
    if not wide:
        return None
    if not late:
        last = design.rows[wide[-1]]
        seen = [design.rows[source].receptive_field for source in last.sources]
        evidence = f"the last, {last.name}, reads {fmt.field(map_size(design.reads(wide[-1])))}"
        if seen and seen[0] is not None:
            evidence = f"{evidence} features with a receptive field of {fmt.field(seen[0])}"
        return report.ok("no superfluous convolutions at the end", evidence, [last])
    rows = [design.rows[position] for position in late]
    listing = fmt.listed(
        [
            f"{design.rows[position].name} at {fmt.field(map_size(design.reads(position)))}"
            for position in late
        ]
    )
    spent = sum(row.parameters for row in rows)
    return report.note(
        "superfluous convolutions at the end",
        f"{listing}: {spent:,} parameters, on features that already see the whole image",
        "use global average pooling instead, and spend the parameters on earlier kernels",
        rows,
    )


def _is_late(design: Design, position: int) -> bool:
    """Whether a convolution reads a small map whose features see the whole image."""
    read = [design.rows[source] for source in design.rows[position].sources]
    fields = [row.receptive_field for row in read if row.receptive_field is not None]
    height, width = map_size(design.reads(position))
    if not fields or max(height, width) > STOP:
        return False
    tall, wide = max(fields, key=min)
    return tall >= design.image[0] and wide >= design.image[1]


def _undefined(report: Reporter, row: LayerRow) -> Diagnosis:
    """Report that there is no receptive field to judge, and why."""
    height, width, channels = row.output_shape
    return report.note(
        "the receptive field is not defined",
        f"{row.name} ({height}×{width}×{channels}): {row.undefined or 'no reason recorded'}",
        "look at the measured receptive field of this layer instead",
        [row],
    )
