"""Rules about pooling: where it is, what precedes it, and which features it drops."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import CONVOLUTIONS, POOLS, Design, map_size
from tui_trainer.anatomy.review.reporter import Reporter, names, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, listed

MANY_CHANNELS = 64
"""Channels worth reducing before a pool: each 3×3 kernel after it has nine weights for each."""

EDGE = 0.02
"""The share of a map that may be dropped at its edges without a verdict."""


def max_pool_distance(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge how many layers with weights come between each max pooling and the logits.

    A maximum over logits passes the gradient to one position of the map, a mean to all. Such a
    model still trains, so it is only a note.
    """
    pools = [position for position in design.positions("max pool") if position in design.distances]
    if not pools:
        return None
    nearest = min(pools, key=lambda position: design.distances[position])
    row, distance = design.rows[nearest], design.distances[nearest]
    listing = listed(
        [f"{design.rows[position].name} {design.distances[position]}" for position in pools]
    )
    evidence = f"layers with weights between max pooling and the logits: {listing}"
    advice = f"move {row.name} earlier, or add a convolution after it"
    if distance == 0:
        title = "max pooling of the logits"
        return report.note(title, evidence, "average the logits instead", [row])
    if distance == 1:
        return report.note("max pooling right before the output layer", evidence, advice, [row])
    return report.ok("max pooling is far from the output layer", evidence, [row])


def transition_layer(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a 1×1 convolution reduces the channels before each pool.

    A pool without one is fine while there are few channels, and where a shortcut adds the pooled
    maps to those of a block, which then has as many: the rule then does not apply.
    """
    found: list[tuple[LayerRow, str]] = []
    idle: list[tuple[LayerRow, str]] = []
    bare: list[tuple[LayerRow, str]] = []
    for position in design.shrinking_pools:
        before = next(reversed(list(design.back(position))), None)
        if before is None or design.rows[before].kind not in CONVOLUTIONS:
            continue
        row, pool = design.rows[before], design.rows[position]
        entering, leaving = design.reads(before)[2], row.output_shape[2]
        if design.is_pointwise(before) and design.depthwise_of(before) is None:
            listing = f"{row.name} {entering} → {leaving} channels before {pool.name}"
            (found if leaving < entering else idle).append((row, listing))
        elif leaving >= MANY_CHANNELS and not _feeds_shortcut(design, position):
            bare.append((pool, f"{pool.name} passes on {leaving} channels"))
    flawed = idle + bare
    if flawed:
        rows = [row for row, _ in flawed]
        return report.note(
            "a transition layer that does not reduce channels"
            if idle
            else "pooling without a transition layer",
            listed([listing for _, listing in flawed]),
            "add a 1×1 convolution to fewer channels before pooling: it makes the next block "
            "cheaper",
            rows,
        )
    if not found:
        return None
    rows = [row for row, _ in found]
    return report.ok(
        "transition layers reduce the channels", listed([listing for _, listing in found]), rows
    )


def _feeds_shortcut(design: Design, position: int) -> bool:
    """Whether the maps of a row are added to later ones."""
    return any(design.rows[after].kind == "add" for after in design.companions_after(position))


def transition_position(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether channels are reduced at the end of a block, not between its convolutions.

    Bottlenecks inside a shortcut or branches are a different design, and not counted.
    """
    inside, after = [], []
    for position in design.convolutions:
        row = design.rows[position]
        if not design.is_pointwise(position) or design.depthwise_of(position) is not None:
            continue
        if position in design.heads or row.output_shape[2] >= design.reads(position)[2]:
            continue
        onward = list(design.onward(position))
        if any(step in design.shrinking_pools for step in onward):
            after.append(row)
        elif onward and _same_block(design, position, onward[-1]):
            inside.append(row)
    if inside:
        height, width, channels = inside[0].output_shape
        return report.note(
            "a transition layer inside a block",
            f"{names(inside)} reduces to {channels} channels and the block continues at "
            f"{height}×{width}",
            "reduce the channels at the end of the block, right before pooling",
            inside,
        )
    if not after:
        return None
    evidence = f"{names(after)}: {len(after)} at the end of a block, right before pooling"
    return report.ok("transition layers follow their blocks", evidence, after)


def _same_block(design: Design, position: int, following: int) -> bool:
    """Whether kernels larger than 1×1 read the same map size right before and right after."""
    before = list(design.back(position))
    ends = (following, before[-1] if before else 0)
    return all(
        design.rows[end].kind in CONVOLUTIONS
        and design.side(end) > 1
        and map_size(design.reads(end)) == map_size(design.rows[position].output_shape)
        for end in ends
    )


def average_pool_coverage(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether average pooling to 1×1 covers its whole map."""
    pools = [
        position
        for position in design.positions("average pool")
        if map_size(design.rows[position].output_shape)
        == (1, 1)
        != map_size(design.reads(position))
    ]
    if not pools:
        return None
    partial = [position for position in pools if any(design.rows[position].unused)]
    position = (partial or pools)[0]
    row, extent = design.rows[position], map_size(design.reads(position))
    dropped, total = _dropped(design, position)
    if not partial:
        evidence = f"{row.name} averages all {total} features of each {field(extent)} map"
        return report.ok("average pooling covers the whole map", evidence, [row])
    return report.note(
        "average pooling covers only part of the map",
        f"{row.name} {row.kernel} on {field(extent)}: {dropped} of {total} features dropped",
        "use global average pooling, nn.AdaptiveAvgPool2d(1): it covers any map",
        [design.rows[position] for position in partial],
    )


def dropped_edge(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether pools and convolutions reach the last rows and columns of their input."""
    stepping = []
    for position in (*design.positions(*POOLS), *design.convolutions):
        row = design.rows[position]
        stride, kernel = row.stride or (1, 1), row.kernel_size or (1, 1)
        is_global = map_size(row.output_shape) == (1, 1) and row.kind == "average pool"
        # A stride larger than the kernel skips features everywhere: ``stride_skips`` reports it.
        if max(stride) > 1 and not is_global and stride[0] <= kernel[0] and stride[1] <= kernel[1]:
            stepping.append(position)
    if not stepping:
        return None
    worst = max(
        stepping, key=lambda position: _dropped(design, position)[0] / _dropped(design, position)[1]
    )
    row, extent = design.rows[worst], map_size(design.reads(worst))
    dropped, total = _dropped(design, worst)
    evidence = f"{row.name} {row.kernel} on {field(extent)}"
    if dropped <= EDGE * total:
        evidence = f"{evidence}: {dropped} of {total} features dropped at the edge"
        return report.ok("pools and strides fit their maps", evidence, [row])
    rows = [
        design.rows[p] for p in stepping if _dropped(design, p)[0] > EDGE * _dropped(design, p)[1]
    ]
    return report.note(
        "the edge of a map is dropped",
        f"{evidence}: {dropped} of {total} features dropped, {share(dropped, total)}",
        "pad the map, or make its size divisible by the stride",
        rows,
    )


def _dropped(design: Design, position: int) -> tuple[int, int]:
    """Return how many features of a map no kernel position reads, and how many there are."""
    height, width = map_size(design.reads(position))
    down, across = design.rows[position].unused
    return height * width - (height - down) * (width - across), height * width
