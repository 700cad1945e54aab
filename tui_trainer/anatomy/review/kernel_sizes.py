"""Rules about kernels: how many, of what size, and whether each of their weights has work to do."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import POOLS, Design, map_size
from tui_trainer.anatomy.review.reporter import Voice, names, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, listed

_LINEAR = ("batch norm", "average pool", "dropout", "flatten", "pad")
"""What neither bends nor joins: layers on both sides of it are one linear map."""


def kernel_growth(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether the number of kernels grows, or stays, from convolution to convolution.

    Two are compared where one reads the other at the same size of map: a block begins anew behind
    a pool, and shrinks at its 1×1 convolution.
    """
    compared = []
    for place in design.convolutions:
        before = _widened_before(design, place)
        if before is not None:
            compared.append((design.rows[before], design.rows[place]))
    if not compared:
        return None
    shrinking = [pair for pair in compared if pair[1].output_shape[2] < pair[0].output_shape[2]]
    told = listed([_growth(*pair) for pair in shrinking or compared])
    if shrinking:
        return voice.warning(
            "fewer kernels within a block",
            f"kernels: {told}",
            "as many or more from layer to layer; shrink with a 1×1 convolution before pooling",
            [after for _, after in shrinking],
        )
    return voice.ok("kernels do not get fewer within a block", f"kernels: {told}")


def _growth(before: LayerRow, after: LayerRow) -> str:
    return f"{before.name} {before.output_shape[2]} → {after.name} {after.output_shape[2]}"


def _widened_before(design: Design, place: int) -> int | None:
    """Return the convolution before this one in its block; None where there is nothing to compare.

    A depthwise convolution and the 1×1 that completes it count as one.
    """
    if place in design.heads or not _is_widening(design, place):
        return None
    depthwise = design.depthwise_of(place)
    start = place if depthwise is None else depthwise
    steps = list(design.back(start))
    if not steps or not _is_widening(design, steps[-1]):
        return None
    same_map = map_size(design.rows[steps[-1]].output_shape) == map_size(design.reads(start))
    pooled = any(design.rows[step].kind in POOLS for step in steps)
    return steps[-1] if same_map and not pooled else None


def _is_widening(design: Design, place: int) -> bool:
    """Whether a layer is a full convolution larger than 1×1, or completes a depthwise one."""
    is_full = design.rows[place].kind == "conv" and design.side(place) > 1
    return is_full or design.depthwise_of(place) is not None


def even_kernel(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether the kernels have a centre.

    An even one moves the map by half a pixel. One that steps by its own size, or by an even number,
    does not, and is left in peace; so is one that covers the whole map.
    """
    wide = [design.rows[place] for place in design.convolutions if design.side(place) > 1]
    if not wide:
        return None
    even = [row for row in wide if _is_lopsided(row)]
    if even:
        return voice.warning(
            "kernels without a centre",
            listed([f"{row.name} {row.kernel}" for row in even]) + ": an even side",
            "an odd kernel, 3×3, has a centre and keeps the map's size with padding 1",
            even,
        )
    evidence = f"{len(wide)} kernels, 0 of them without a centre: {names(wide)}"
    return voice.ok("kernels have a centre", evidence)


def _is_lopsided(row: LayerRow) -> bool:
    kernel, stride = row.kernel_size or (1, 1), row.stride or (1, 1)
    if map_size(row.output_shape) == (1, 1):
        return False
    return any(k % 2 == 0 and s % 2 == 1 for k, s in zip(kernel, stride, strict=True))


def idle_padding(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether padding is so wide that some features see nothing else, as a padded 1×1 has."""
    pointwise = [design.rows[place] for place in design.convolutions if design.is_pointwise(place)]
    padded = [place for place in design.convolutions if _pads_too_much(design.rows[place])]
    if padded:
        rows = [design.rows[place] for place in padded]
        told = [
            f"{row.name} {row.kernel} turns {field(map_size(design.reads(place)))} into "
            f"{field(map_size(row.output_shape))}"
            for row, place in zip(rows, padded, strict=True)
        ]
        return voice.error(
            "a 1×1 convolution is padded"
            if design.side(padded[0]) == 1
            else "a convolution is padded beyond its kernel",
            f"{listed(told)}: its border is computed from zeros alone",
            "padding=0 for a 1×1 kernel, (kernel − 1) ÷ 2 for the others",
            rows,
        )
    if not pointwise:
        return None
    evidence = f"{len(pointwise)} of them, padding 0: {names(pointwise)}"
    return voice.ok("1×1 convolutions are not padded", evidence, pointwise)


def _pads_too_much(row: LayerRow) -> bool:
    kernel, dilation = row.kernel_size or (1, 1), row.dilation or (1, 1)
    padding = row.padding or (0, 0)
    return any(p > (k - 1) * d for p, k, d in zip(padding, kernel, dilation, strict=True))


def dead_weights(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether each weight of a kernel ever meets a feature, and not only padding.

    On a map of 1×1 a padded 3×3 kernel uses its centre alone.
    """
    wide = [place for place in design.convolutions if design.side(place) > 1]
    if not wide:
        return None
    dead = [(place, lost) for place in wide if (lost := _dead(design, place))]
    if not dead:
        evidence = f"{len(wide)} kernels larger than 1×1, 0 of them larger than their map"
        return voice.ok("every weight of a kernel has work", evidence)
    rows = [design.rows[place] for place, _ in dead]
    told = [
        f"{lost:,} of {design.rows[place].name} at {field(map_size(design.reads(place)))}"
        for place, lost in dead
    ]
    spent = sum(lost for _, lost in dead)
    return voice.error(
        "weights that only ever meet padding",
        f"{listed(told)}: {share(spent, design.parameters)} of all parameters",
        "stop before the map is smaller than the kernel, or pool less",
        rows,
    )


def _dead(design: Design, place: int) -> int:
    """Return how many weights of a convolution are multiplied by padding alone."""
    row = design.rows[place]
    kernel, dilation = row.kernel_size or (1, 1), row.dilation or (1, 1)
    stride, padding = row.stride or (1, 1), row.padding or (0, 0)
    used = 1
    for axis in (0, 1):
        side, places = design.reads(place)[axis], row.output_shape[axis]
        starts = [at * stride[axis] - padding[axis] for at in range(places)]
        used *= sum(
            any(0 <= start + tap * dilation[axis] < side for start in starts)
            for tap in range(kernel[axis])
        )
    taps = kernel[0] * kernel[1]
    # A layer that is used again has no parameters of its own in the table.
    weights = max(0, row.parameters - row.bias * row.output_shape[2])
    return weights // taps * (taps - used)


def stride_skips(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether a stride is larger than its kernel's taps reach, so that features are not read.

    It is a doubt where another layer reads them, as beside the shortcut of a residual block.
    """
    stepping = [
        place
        for place in (*design.convolutions, *design.places(*POOLS))
        if max(design.rows[place].stride or (1, 1)) > 1
    ]
    if not stepping:
        return None
    skipping = [place for place in stepping if _seen_of_stride(design.rows[place]) < 1]
    if not skipping:
        evidence = f"{len(stepping)} layers step by more than 1, none by more than its kernel"
        return voice.ok("no feature is stepped over", evidence)
    lonely = [
        place
        for place in skipping
        if all(len(design.consumers[source]) == 1 for source in design.rows[place].sources)
    ]
    rows = [design.rows[place] for place in lonely or skipping]
    seen = min(_seen_of_stride(row) for row in rows)
    told = listed([f"{row.name} {row.kernel}" for row in rows])
    evidence = f"{told}: {100 * seen:.0f} % of the features are read"
    advice = "a kernel as large as the stride at least, or a pooling before it"
    if lonely:
        return voice.error("features that nobody looks at", evidence, advice, rows)
    return voice.warning("a shortcut steps over features", evidence, advice, rows)


def _seen_of_stride(row: LayerRow) -> float:
    """Return the share of features that kernels at this stride reach."""
    seen = 1.0
    for axis in (0, 1):
        size, step = (row.kernel_size or (1, 1))[axis], (row.stride or (1, 1))[axis]
        apart = (row.dilation or (1, 1))[axis]
        seen *= len({tap * apart % step for tap in range(min(size, step))}) / step
    return seen


def activation_between(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether an activation bends what goes from one layer to the next.

    Without one the two are a single linear map, whatever their number of weights. A layer narrower
    than both its neighbours is a factorization, and only looked at.
    """
    checked, merged = 0, []
    for place, row in enumerate(design.rows):
        if not _is_square_layer(row):
            continue
        onward = list(design.onward(place))
        if not onward or not _is_square_layer(design.rows[onward[-1]]):
            continue
        checked += 1
        if all(design.rows[step].kind in _LINEAR for step in onward[:-1]):
            merged.append((place, onward[-1]))
    if not merged:
        if not checked:
            return None
        evidence = f"{checked} pairs of layers, 0 of them without an activation between"
        return voice.ok("an activation follows every layer but the last", evidence)
    rows = [design.rows[first] for first, _ in merged]
    told = [f"{design.rows[a].name} and {design.rows[b].name}" for a, b in merged]
    evidence = f"{len(merged)} of {checked} pairs are one linear map: {listed(told)}"
    advice = f"an activation after {names(rows)}"
    if any(_is_forgotten(design, *pair) for pair in merged):
        return voice.error("layers without an activation between", evidence, advice, rows)
    return voice.warning("layers without an activation between", evidence, advice, rows)


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
