"""Rules about kernels: how many, of what size, and whether each of their weights has work to do."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import POOLS, Design, map_size
from tui_trainer.anatomy.review.reporter import Reporter, names, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, listed

_LINEAR = ("batch norm", "average pool", "dropout", "flatten", "pad")
"""What neither bends nor joins: layers on both sides of it are one linear map."""


def kernel_growth(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the number of kernels grows, or stays, from convolution to convolution.

    Two are compared where one reads the other at the same size of map: a block begins anew behind
    a pool, and shrinks at its 1×1 convolution.
    """
    compared = []
    for position in design.convolutions:
        before = _widened_before(design, position)
        if before is not None:
            compared.append((design.rows[before], design.rows[position]))
    if not compared:
        return None
    shrinking = [pair for pair in compared if pair[1].output_shape[2] < pair[0].output_shape[2]]
    listing = listed([_growth(*pair) for pair in shrinking or compared])
    if shrinking:
        return report.warning(
            "fewer kernels within a block",
            f"kernels: {listing}",
            "as many or more from layer to layer; shrink with a 1×1 convolution before pooling",
            [after for _, after in shrinking],
        )
    return report.ok("kernels do not get fewer within a block", f"kernels: {listing}")


def _growth(before: LayerRow, after: LayerRow) -> str:
    return f"{before.name} {before.output_shape[2]} → {after.name} {after.output_shape[2]}"


def _widened_before(design: Design, position: int) -> int | None:
    """Return the convolution before this one in its block; None where there is nothing to compare.

    A depthwise convolution and the 1×1 that completes it count as one.
    """
    if position in design.heads or not _is_widening(design, position):
        return None
    depthwise = design.depthwise_of(position)
    start = position if depthwise is None else depthwise
    steps = list(design.back(start))
    if not steps or not _is_widening(design, steps[-1]):
        return None
    same_map = map_size(design.rows[steps[-1]].output_shape) == map_size(design.reads(start))
    pooled = any(design.rows[step].kind in POOLS for step in steps)
    return steps[-1] if same_map and not pooled else None


def _is_widening(design: Design, position: int) -> bool:
    """Whether a layer is a full convolution larger than 1×1, or completes a depthwise one."""
    is_full = design.rows[position].kind == "conv" and design.side(position) > 1
    return is_full or design.depthwise_of(position) is not None


def even_kernel(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the kernels have a centre.

    An even one moves the map by half a pixel. One that steps by its own size, or by an even number,
    does not, and is left in peace; so is one that covers the whole map.
    """
    wide = [design.rows[position] for position in design.convolutions if design.side(position) > 1]
    if not wide:
        return None
    even = [row for row in wide if _is_lopsided(row)]
    if even:
        return report.warning(
            "kernels without a centre",
            listed([f"{row.name} {row.kernel}" for row in even]) + ": an even side",
            "an odd kernel, 3×3, has a centre and keeps the map's size with padding 1",
            even,
        )
    evidence = f"{len(wide)} kernels, 0 of them without a centre: {names(wide)}"
    return report.ok("kernels have a centre", evidence)


def _is_lopsided(row: LayerRow) -> bool:
    kernel, stride = row.kernel_size or (1, 1), row.stride or (1, 1)
    if map_size(row.output_shape) == (1, 1):
        return False
    return any(k % 2 == 0 and s % 2 == 1 for k, s in zip(kernel, stride, strict=True))


def idle_padding(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether padding is so wide that some features see nothing else, as a padded 1×1 has."""
    pointwise = [
        design.rows[position] for position in design.convolutions if design.is_pointwise(position)
    ]
    padded = [position for position in design.convolutions if _pads_too_much(design.rows[position])]
    if padded:
        rows = [design.rows[position] for position in padded]
        listing = [
            f"{row.name} {row.kernel} turns {field(map_size(design.reads(position)))} into "
            f"{field(map_size(row.output_shape))}"
            for row, position in zip(rows, padded, strict=True)
        ]
        return report.error(
            "a 1×1 convolution is padded"
            if design.side(padded[0]) == 1
            else "a convolution is padded beyond its kernel",
            f"{listed(listing)}: its border is computed from zeros alone",
            "padding=0 for a 1×1 kernel, (kernel − 1) ÷ 2 for the others",
            rows,
        )
    if not pointwise:
        return None
    evidence = f"{len(pointwise)} of them, padding 0: {names(pointwise)}"
    return report.ok("1×1 convolutions are not padded", evidence, pointwise)


def _pads_too_much(row: LayerRow) -> bool:
    kernel, dilation = row.kernel_size or (1, 1), row.dilation or (1, 1)
    padding = row.padding or (0, 0)
    return any(p > (k - 1) * d for p, k, d in zip(padding, kernel, dilation, strict=True))


def dead_weights(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether each weight of a kernel ever meets a feature, and not only padding.

    On a map of 1×1 a padded 3×3 kernel uses its centre alone.
    """
    wide = [position for position in design.convolutions if design.side(position) > 1]
    if not wide:
        return None
    dead = [(position, lost) for position in wide if (lost := _dead(design, position))]
    if not dead:
        evidence = f"{len(wide)} kernels larger than 1×1, 0 of them larger than their map"
        return report.ok("every weight of a kernel has work", evidence)
    rows = [design.rows[position] for position, _ in dead]
    listing = [
        f"{lost:,} of {design.rows[position].name} at {field(map_size(design.reads(position)))}"
        for position, lost in dead
    ]
    spent = sum(lost for _, lost in dead)
    return report.error(
        "weights that only ever meet padding",
        f"{listed(listing)}: {share(spent, design.parameters)} of all parameters",
        "stop before the map is smaller than the kernel, or pool less",
        rows,
    )


def _dead(design: Design, position: int) -> int:
    """Return how many weights of a convolution are multiplied by padding alone."""
    row = design.rows[position]
    kernel, dilation = row.kernel_size or (1, 1), row.dilation or (1, 1)
    stride, padding = row.stride or (1, 1), row.padding or (0, 0)
    used = 1
    for axis in (0, 1):
        side, positions = design.reads(position)[axis], row.output_shape[axis]
        starts = [at * stride[axis] - padding[axis] for at in range(positions)]
        used *= sum(
            any(0 <= start + tap * dilation[axis] < side for start in starts)
            for tap in range(kernel[axis])
        )
    taps = kernel[0] * kernel[1]
    # A layer that is used again has no parameters of its own in the table.
    weights = max(0, row.parameters - row.bias * row.output_shape[2])
    return weights // taps * (taps - used)


def stride_skips(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a stride is larger than its kernel's taps reach, so that features are not read.

    It is a doubt where another layer reads them, as beside the shortcut of a residual block.
    """
    stepping = [
        position
        for position in (*design.convolutions, *design.positions(*POOLS))
        if max(design.rows[position].stride or (1, 1)) > 1
    ]
    if not stepping:
        return None
    skipping = [position for position in stepping if _seen_of_stride(design.rows[position]) < 1]
    if not skipping:
        evidence = f"{len(stepping)} layers step by more than 1, none by more than its kernel"
        return report.ok("no feature is stepped over", evidence)
    lonely = [
        position
        for position in skipping
        if all(len(design.consumers[source]) == 1 for source in design.rows[position].sources)
    ]
    rows = [design.rows[position] for position in lonely or skipping]
    seen = min(_seen_of_stride(row) for row in rows)
    listing = listed([f"{row.name} {row.kernel}" for row in rows])
    evidence = f"{listing}: {100 * seen:.0f} % of the features are read"
    advice = "a kernel as large as the stride at least, or a pooling before it"
    if lonely:
        return report.error("features that nobody looks at", evidence, advice, rows)
    return report.warning("a shortcut steps over features", evidence, advice, rows)


def _seen_of_stride(row: LayerRow) -> float:
    """Return the share of features that kernels at this stride reach."""
    seen = 1.0
    for axis in (0, 1):
        size, step = (row.kernel_size or (1, 1))[axis], (row.stride or (1, 1))[axis]
        apart = (row.dilation or (1, 1))[axis]
        seen *= len({tap * apart % step for tap in range(min(size, step))}) / step
    return seen


def activation_between(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether an activation bends what goes from one layer to the next.

    Without one the two are a single linear map, whatever their number of weights. A layer narrower
    than both its neighbours is a factorization, and only looked at.
    """
    checked, merged = 0, []
    for position, row in enumerate(design.rows):
        if not _is_square_layer(row):
            continue
        onward = list(design.onward(position))
        if not onward or not _is_square_layer(design.rows[onward[-1]]):
            continue
        checked += 1
        if all(design.rows[step].kind in _LINEAR for step in onward[:-1]):
            merged.append((position, onward[-1]))
    if not merged:
        if not checked:
            return None
        evidence = f"{checked} pairs of layers, 0 of them without an activation between"
        return report.ok("an activation follows every layer but the last", evidence)
    rows = [design.rows[first] for first, _ in merged]
    listing = [f"{design.rows[a].name} and {design.rows[b].name}" for a, b in merged]
    evidence = f"{len(merged)} of {checked} pairs are one linear map: {listed(listing)}"
    advice = f"an activation after {names(rows)}"
    if any(_is_forgotten(design, *pair) for pair in merged):
        return report.error("layers without an activation between", evidence, advice, rows)
    return report.warning("layers without an activation between", evidence, advice, rows)


def _is_square_layer(row: LayerRow) -> bool:
    """Whether a layer is fully connected or a full convolution larger than 1×1.

    Others are left bare on purpose: 1×n and n×1 kernels are factors of one, 1×1 bottlenecks and
    depthwise convolutions stand in pairs.
    """
    if row.kind == "fully connected":
        return True
    kernel = row.kernel_size or (1, 1)
    return row.kind == "conv" and kernel[0] == kernel[1] > 1


def _is_forgotten(design: Design, first: int, second: int) -> bool:
    """Whether two layers of one kind are no factorization: nothing is saved by their being two."""
    one, other = design.rows[first], design.rows[second]
    narrow = min(design.reads(first)[2], other.output_shape[2])
    return one.kind == other.kind and one.output_shape[2] >= narrow
