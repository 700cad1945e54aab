"""Rules about kernels: their number, their size, and whether every weight is used."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import POOLS, Design, map_size
from tui_trainer.anatomy.review.reporter import Reporter, names, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, listed

_LINEAR = ("batch norm", "average pool", "dropout", "flatten", "pad")
"""Linear operations: with only these in between, two layers are one linear map."""


def kernel_growth(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the number of kernels never drops from convolution to convolution.

    Two are compared where one reads the other at the same map size: a new block begins after a
    pool, and a 1×1 convolution reduces the channels at the end of a block.
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
        return report.note(
            "the number of kernels drops within a block",
            f"kernels: {listing}",
            "use as many kernels or more from layer to layer; reduce the channels with a 1×1 "
            "convolution before pooling",
            [after for _, after in shrinking],
        )
    return report.ok("the number of kernels never drops within a block", f"kernels: {listing}")


def _growth(before: LayerRow, after: LayerRow) -> str:
    return f"{before.name} {before.output_shape[2]} → {after.name} {after.output_shape[2]}"


def _widened_before(design: Design, position: int) -> int | None:
    """Return the preceding convolution of the same block; None if there is none to compare.

    A depthwise convolution and the 1×1 that completes it count as one convolution.
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
    """Judge whether kernels have a center pixel.

    An even kernel shifts the map by half a pixel. An even stride, or a kernel that covers the whole
    map, makes that harmless.
    """
    wide = [design.rows[position] for position in design.convolutions if design.side(position) > 1]
    if not wide:
        return None
    even = [row for row in wide if _is_lopsided(row)]
    if even:
        return report.note(
            "even kernels shift their maps by half a pixel",
            listed([f"{row.name} {row.kernel}" for row in even]) + ": no center pixel",
            "use an odd kernel: 3×3 with padding 1 keeps the map size",
            even,
        )
    evidence = f"{len(wide)} kernels, 0 without a center pixel: {names(wide)}"
    return report.ok("no kernel shifts its map", evidence)


def _is_lopsided(row: LayerRow) -> bool:
    kernel, stride = row.kernel_size or (1, 1), row.stride or (1, 1)
    if map_size(row.output_shape) == (1, 1):
        return False
    return any(k % 2 == 0 and s % 2 == 1 for k, s in zip(kernel, stride, strict=True))


def idle_padding(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether padding is so wide that some outputs see only padding, as in a padded 1×1."""
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
        return report.note(
            "a 1×1 convolution is padded"
            if design.side(padded[0]) == 1
            else "a convolution is padded beyond its kernel",
            f"{listed(listing)}: its border is computed from zeros only",
            "use padding=0 for a 1×1 kernel, (kernel − 1) ÷ 2 for larger ones",
            rows,
        )
    if not pointwise:
        return None
    evidence = f"{len(pointwise)} with padding 0: {names(pointwise)}"
    return report.ok("1×1 convolutions are not padded", evidence, pointwise)


def _pads_too_much(row: LayerRow) -> bool:
    kernel, dilation = row.kernel_size or (1, 1), row.dilation or (1, 1)
    padding = row.padding or (0, 0)
    return any(p > (k - 1) * d for p, k, d in zip(padding, kernel, dilation, strict=True))


def dead_weights(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether every kernel weight sees a feature at some position, not only padding.

    On a 1×1 map, a padded 3×3 kernel uses only its center weight.
    """
    wide = [position for position in design.convolutions if design.side(position) > 1]
    if not wide:
        return None
    dead = [(position, count) for position in wide if (count := _dead(design, position))]
    if not dead:
        evidence = f"{len(wide)} kernels larger than 1×1, 0 of them larger than their map"
        return report.ok("every kernel weight is used", evidence)
    rows = [design.rows[position] for position, _ in dead]
    listing = [
        f"{count:,} of {design.rows[position].name} at {field(map_size(design.reads(position)))}"
        for position, count in dead
    ]
    spent = sum(count for _, count in dead)
    return report.note(
        "kernel weights that only see padding",
        f"{listed(listing)}: {share(spent, design.parameters)} of all parameters",
        "stop convolving before the map is smaller than the kernel, or pool less",
        rows,
    )


def _dead(design: Design, position: int) -> int:
    """Return the number of a convolution's weights that are only multiplied by padding."""
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
    # A layer that is called again has no parameters in its later rows.
    weights = max(0, row.parameters - row.bias * row.output_shape[2])
    return weights // taps * (taps - used)


def stride_skips(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a stride exceeds its kernel's extent, so that features are never read.

    It is only a note where another layer reads them, as in a residual block with a shortcut.
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
        evidence = f"{len(stepping)} layers with a stride above 1, none larger than its kernel"
        return report.ok("no stride skips features", evidence)
    lonely = [
        position
        for position in skipping
        if all(len(design.consumers[source]) == 1 for source in design.rows[position].sources)
    ]
    rows = [design.rows[position] for position in lonely or skipping]
    seen = min(_seen_of_stride(row) for row in rows)
    listing = listed([f"{row.name} {row.kernel}" for row in rows])
    evidence = f"{listing}: {100 * seen:.0f} % of the features are read"
    advice = "use a kernel at least as large as the stride, or pool before it"
    if lonely:
        return report.warning("a stride skips features", evidence, advice, rows)
    return report.note("a shortcut skips features", evidence, advice, rows)


def _seen_of_stride(row: LayerRow) -> float:
    """Return the share of features that the kernel reads at this stride."""
    seen = 1.0
    for axis in (0, 1):
        size, step = (row.kernel_size or (1, 1))[axis], (row.stride or (1, 1))[axis]
        apart = (row.dilation or (1, 1))[axis]
        seen *= len({tap * apart % step for tap in range(min(size, step))}) / step
    return seen


def activation_between(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a nonlinearity separates consecutive layers.

    Without one, two layers are a single linear map. A layer narrower than both its neighbors is a
    low-rank factorization, and only a note.
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
        evidence = f"{checked} pairs of layers, 0 without an activation in between"
        return report.ok("an activation follows every layer but the last", evidence)
    rows = [design.rows[first] for first, _ in merged]
    listing = [f"{design.rows[a].name} and {design.rows[b].name}" for a, b in merged]
    evidence = f"{len(merged)} of {checked} pairs are one linear map: {listed(listing)}"
    advice = f"add an activation after {names(rows)}"
    if any(_is_forgotten(design, *pair) for pair in merged):
        return report.warning("no activation between two layers", evidence, advice, rows)
    return report.note("no activation between two layers", evidence, advice, rows)


def _is_square_layer(row: LayerRow) -> bool:
    """Whether a layer is fully connected or a full convolution larger than 1×1.

    The others often have no activation on purpose: 1×n and n×1 kernels factorize one kernel, and
    1×1 bottlenecks and depthwise convolutions come in pairs.
    """
    if row.kind == "fully connected":
        return True
    kernel = row.kernel_size or (1, 1)
    return row.kind == "conv" and kernel[0] == kernel[1] > 1


def _is_forgotten(design: Design, first: int, second: int) -> bool:
    """Whether two layers of one kind are no factorization: splitting them saves no parameters."""
    one, other = design.rows[first], design.rows[second]
    narrow = min(design.reads(first)[2], other.output_shape[2])
    return one.kind == other.kind and one.output_shape[2] >= narrow
