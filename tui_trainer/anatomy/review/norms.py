"""Rules about batch norm: where it stands, where it lacks, and what it makes useless."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import (
    ACTIVATIONS,
    POOLS,
    Design,
    at_the_end,
    is_norm,
    map_size,
)
from tui_trainer.anatomy.review.reporter import Reporter, names, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.text.fmt import listed, plural


def norm_distance(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether batch norm keeps away from the scores: none after the prediction.

    There it fixes how sure the network may be of each class, whatever the image. That is a doubt:
    its own scale can be learnt to give the freedom back, and short runs do well with it.
    """
    norms = [
        position for position in design.positions("batch norm") if position in design.distances
    ]
    if not norms:
        return None
    found = at_the_end(design, "batch norm")
    if found:
        return report.warning(
            "batch norm of the scores",
            f"0 layers with weights between {names(found)} and the scores: each class is scaled by "
            "the other images of its batch",
            f"leave {names(found)} out: the last layer stands alone",
            found,
        )
    last = min(norms, key=lambda position: design.distances[position])
    row, distance = design.rows[last], design.distances[last]
    evidence = f"{plural(distance, 'layer')} with weights between {row.name} and the scores"
    return report.ok("batch norm ends before the prediction", evidence, [row])


def norm_presence(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a norm follows every convolution but the last.

    A pool or an addition may stand between; a depthwise convolution and the 1×1 that completes it
    count as one. A network without any norm trains too, more slowly and at smaller learning rates
    (S. Ioffe and C. Szegedy, "Batch Normalization", ICML 2015): that is a doubt and no fault.
    """
    judged = [
        position
        for position in design.convolutions
        if position not in design.heads
        and position not in design.completed
        and map_size(design.rows[position].output_shape) != (1, 1)
    ]
    if not judged:
        return None
    bare = [
        design.rows[position]
        for position in judged
        if not any(is_norm(design.rows[after]) for after in design.companions_after(position))
    ]
    evidence = f"{len(judged) - len(bare)} of {len(judged)} convolutions before the last"
    if not bare:
        return report.ok("batch norm after every convolution but the last", evidence)
    if len(bare) == len(judged):
        title, advice = "no batch norm", "batch norm after each convolution but the last"
    else:
        title, advice = "convolutions without batch norm", f"batch norm after {names(bare)}"
    return report.warning(title, f"{evidence}; none after {names(bare)}", advice, bare)


def norm_before_activation(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a norm comes right after its convolution, before the activation."""
    late, norms = [], []
    for position in design.convolutions:
        onward = [design.rows[step] for step in design.onward(position)]
        norm = next((at for at, row in enumerate(onward) if row.kind == "batch norm"), None)
        if norm is None:
            continue
        norms.append(onward[norm])
        if any(row.kind in ACTIVATIONS for row in onward[:norm]):
            late.append(onward[norm])
    if not norms:
        return None
    if late:
        return report.warning(
            "batch norm after the activation",
            f"{names(late)}: {len(late)} of {len(norms)} stand behind an activation",
            "convolution, batch norm, activation is the usual order",
            late,
        )
    evidence = f"{len(norms)} of {len(norms)} stand between convolution and activation"
    return report.ok("batch norm before the activation", evidence)


def bias_with_norm(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether biases are spent where batch norm takes them away again.

    It subtracts each channel's mean over the batch, and a bias is part of that mean; a pool between
    the two moves it unchanged.
    """
    normed, wasted = [], []
    for position in (*design.convolutions, *design.positions("fully connected")):
        kinds = (design.rows[step].kind for step in design.onward(position))
        if next((kind for kind in kinds if kind not in POOLS), "") == "batch norm":
            normed.append(design.rows[position])
            if design.rows[position].bias and design.rows[position].parameters:
                wasted.append(design.rows[position])
    if not normed:
        return None
    if not wasted:
        evidence = f"{len(normed)} layers before batch norm, 0 with a bias"
        return report.ok("no bias before batch norm", evidence)
    spent = sum(row.output_shape[2] for row in wasted)
    listing = listed([f"{row.name} {row.output_shape[2]}" for row in wasted])
    return report.warning(
        "biases that batch norm takes away",
        f"{listing}: {spent:,} parameters, {share(spent, design.parameters)} of all, do nothing",
        "bias=False where batch norm follows",
        wasted,
    )


def dropout_before_norm(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether batch norm reads what dropout has just thinned out.

    Dropout widens the variance in training and not in evaluation, so the norm's running statistics
    do not fit (X. Li and others, "Understanding the Disharmony between Dropout and Batch
    Normalization by Variance Shift", CVPR 2019).
    """
    drops, norms = design.positions("dropout"), design.positions("batch norm")
    if not drops or not norms:
        return None
    shifted = []
    for position in drops:
        onward = [design.rows[step] for step in design.onward(position)]
        if any(row.kind == "batch norm" for row in onward):
            shifted.append(design.rows[position])
    if shifted:
        return report.warning(
            "dropout right before batch norm",
            f"{names(shifted)}: {len(shifted)} of {len(drops)} shift the variance that it learns",
            "dropout after batch norm and its activation",
            shifted,
        )
    evidence = f"{len(drops)} of {len(drops)} dropout layers stand behind batch norm or far from it"
    return report.ok("dropout does not disturb batch norm", evidence)
