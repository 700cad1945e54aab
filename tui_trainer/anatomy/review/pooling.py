"""Rules about pooling: where it stands, what stands before it, and what it leaves out."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import CONVOLUTIONS, POOLS, Design, map_size
from tui_trainer.anatomy.review.reporter import Voice, names, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, listed

MANY_CHANNELS = 64
"""Channels worth squeezing before a pool: each 3×3 kernel behind it has nine weights for each."""

EDGE = 0.02
"""The share of a map that may be left out at its edges without a word."""


def max_pool_distance(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge how many layers with weights come between each max pooling and the scores.

    A maximum of the scores lets one place of the map learn from each image, where a mean lets all.
    It trains nevertheless: a doubt.
    """
    pools = [place for place in design.places("max pool") if place in design.distances]
    if not pools:
        return None
    nearest = min(pools, key=lambda place: design.distances[place])
    row, distance = design.rows[nearest], design.distances[nearest]
    told = listed([f"{design.rows[place].name} {design.distances[place]}" for place in pools])
    evidence = f"layers with weights between a max pooling and the scores: {told}"
    advice = f"move {row.name} forward, or put a convolution after it"
    if distance == 0:
        title = "max pooling of the scores themselves"
        return voice.warning(title, evidence, "average the scores instead", [row])
    if distance == 1:
        return voice.warning("max pooling right before the prediction", evidence, advice, [row])
    return voice.ok("max pooling is far from the prediction", evidence, [row])


def transition_layer(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether maps are squeezed by a 1×1 convolution before they are pooled.

    A pool without one is fine while there are few channels: then nothing is said.
    """
    found: list[tuple[LayerRow, str]] = []
    idle: list[tuple[LayerRow, str]] = []
    bare: list[tuple[LayerRow, str]] = []
    for place in design.shrinking_pools:
        before = next(reversed(list(design.back(place))), None)
        if before is None or design.rows[before].kind not in CONVOLUTIONS:
            continue
        row, pool = design.rows[before], design.rows[place]
        entering, leaving = design.reads(before)[2], row.output_shape[2]
        if design.is_pointwise(before) and design.depthwise_of(before) is None:
            told = f"{row.name} {entering} → {leaving} channels before {pool.name}"
            (found if leaving < entering else idle).append((row, told))
        elif leaving >= MANY_CHANNELS:
            bare.append((pool, f"{pool.name} passes on {leaving} channels"))
    faults = idle + bare
    if faults:
        rows = [row for row, _ in faults]
        return voice.warning(
            "a transition that does not squeeze" if idle else "pooling without a transition layer",
            listed([told for _, told in faults]),
            "a 1×1 convolution to fewer channels before the pooling makes what follows cheaper",
            rows,
        )
    if not found:
        return None
    rows = [row for row, _ in found]
    return voice.ok("transition layers squeeze", listed([told for _, told in found]), rows)


def transition_position(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether maps are squeezed at the end of a block, not between its convolutions.

    Bottlenecks with a shortcut or branches around them are another thing, and not counted.
    """
    inside, after = [], []
    for place in design.convolutions:
        row = design.rows[place]
        if not design.is_pointwise(place) or design.depthwise_of(place) is not None:
            continue
        if place in design.heads or row.output_shape[2] >= design.reads(place)[2]:
            continue
        onward = list(design.onward(place))
        if any(step in design.shrinking_pools for step in onward):
            after.append(row)
        elif onward and _same_block(design, place, onward[-1]):
            inside.append(row)
    if inside:
        height, width, channels = inside[0].output_shape
        return voice.warning(
            "a transition inside a block",
            f"{names(inside)} squeezes to {channels} channels and the block goes on at "
            f"{height}×{width}",
            "squeeze at the end of the block, right before the pooling",
            inside,
        )
    if not after:
        return None
    evidence = f"{names(after)}: {len(after)} at the end of a block, followed by pooling"
    return voice.ok("transitions stand after their blocks", evidence, after)


def _same_block(design: Design, place: int, following: int) -> bool:
    """Whether kernels larger than 1×1 read the same size of map just before and just after."""
    before = list(design.back(place))
    ends = (following, before[-1] if before else 0)
    return all(
        design.rows[end].kind in CONVOLUTIONS
        and design.side(end) > 1
        and map_size(design.reads(end)) == map_size(design.rows[place].output_shape)
        for end in ends
    )


def average_pool_coverage(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether an average pooling to a single place covers its whole map."""
    pools = [
        place
        for place in design.places("average pool")
        if map_size(design.rows[place].output_shape) == (1, 1) != map_size(design.reads(place))
    ]
    if not pools:
        return None
    partial = [place for place in pools if any(design.rows[place].unused)]
    place = (partial or pools)[0]
    row, extent = design.rows[place], map_size(design.reads(place))
    lost, total = _lost(design, place)
    if not partial:
        evidence = f"{row.name} averages all {total} features of each {field(extent)} map"
        return voice.ok("the average covers its whole map", evidence, [row])
    return voice.error(
        "the average covers only part of its map",
        f"{row.name} {row.kernel} on {field(extent)}: {lost} of {total} features thrown away",
        "global average pooling, nn.AdaptiveAvgPool2d(1), covers any map",
        [design.rows[place] for place in partial],
    )


def dropped_edge(design: Design, voice: Voice) -> Diagnosis | None:
    """Judge whether pools and convolutions reach the last rows and columns of what they read."""
    stepping = []
    for place in (*design.places(*POOLS), *design.convolutions):
        row = design.rows[place]
        stride, kernel = row.stride or (1, 1), row.kernel_size or (1, 1)
        is_global = map_size(row.output_shape) == (1, 1) and row.kind == "average pool"
        # A stride beyond the kernel skips features everywhere: that is told by its own rule.
        if max(stride) > 1 and not is_global and stride[0] <= kernel[0] and stride[1] <= kernel[1]:
            stepping.append(place)
    if not stepping:
        return None
    worst = max(stepping, key=lambda place: _lost(design, place)[0] / _lost(design, place)[1])
    row, extent = design.rows[worst], map_size(design.reads(worst))
    lost, total = _lost(design, worst)
    evidence = f"{row.name} {row.kernel} on {field(extent)}"
    if lost <= EDGE * total:
        evidence = f"{evidence}: {lost} of {total} features at the edge left out"
        return voice.ok("strides fit the maps", evidence, [row])
    rows = [design.rows[p] for p in stepping if _lost(design, p)[0] > EDGE * _lost(design, p)[1]]
    return voice.warning(
        "the edge of a map is thrown away",
        f"{evidence}: {lost} of {total} features left out, {share(lost, total)}",
        "pad the map, or make its side divisible by the stride",
        rows,
    )


def _lost(design: Design, place: int) -> tuple[int, int]:
    """Return how many features of a map no kernel reaches, and how many it has."""
    height, width = map_size(design.reads(place))
    down, across = design.rows[place].unused
    return height * width - (height - down) * (width - across), height * width
