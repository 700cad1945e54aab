"""Rules about batch norm: where it is, where it is missing, and what it makes redundant."""

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

LAST_BATCH = 0.9
"""The momentum from which batch norm's running statistics are mostly those of the last batch."""


def norm_distance(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether there is no batch norm after the output layer.

    There it fixes the spread of each class's logits over the batch, and so the model's confidence.
    It is only a note: the learned scale can undo that, and short runs do well with it.
    """
    norms = [
        position for position in design.positions("batch norm") if position in design.distances
    ]
    if not norms:
        return None
    found = at_the_end(design, "batch norm")
    if found:
        return report.note(
            "batch norm of the logits",
            f"0 layers with weights between {names(found)} and the logits: the other images of "
            "the batch scale each class's logit",
            f"remove {names(found)}: nothing should follow the output layer",
            found,
        )
    last = min(norms, key=lambda position: design.distances[position])
    row, distance = design.rows[last], design.distances[last]
    evidence = f"{plural(distance, 'layer')} with weights between {row.name} and the logits"
    return report.ok("no batch norm after the output layer", evidence, [row])


def norm_presence(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a norm follows every convolution but the last: batch, group or layer norm.

    A pool or an addition may be in between; a depthwise convolution and the 1×1 that completes it
    count as one. A model without any norm also trains, but more slowly and at lower learning rates
    (S. Ioffe and C. Szegedy, "Batch Normalization", ICML 2015), so it is only a note.
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
    norm = _norm_of(design)
    is_batch = norm == "batch norm"
    if not bare:
        every = (
            "batch norm after every convolution but the last"
            if is_batch
            else "a norm after every convolution but the last"
        )
        return report.ok(every, evidence)
    advice = f"add {norm} after {names(bare)}"
    title = "convolutions without batch norm" if is_batch else "convolutions without a norm"
    if len(bare) == len(judged):
        title, advice = "no batch norm", "add batch norm after each convolution but the last"
    return report.note(title, f"{evidence}; none after {names(bare)}", advice, bare)


def _norm_of(design: Design) -> str:
    """Return ``batch norm`` for a model that has it or no norm, ``a norm`` for others."""
    kinds = {row.kind for row in design.rows if is_norm(row)}
    return "batch norm" if kinds <= {"batch norm"} else "a norm"


def norm_before_activation(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether batch norm comes right after its convolution, before the activation."""
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
        return report.note(
            "batch norm after the activation",
            f"{names(late)}: {len(late)} of {len(norms)} come after an activation",
            "use the usual order: convolution, batch norm, activation",
            late,
        )
    evidence = f"{len(norms)} of {len(norms)} come between convolution and activation"
    return report.ok("batch norm before the activation", evidence)


def bias_with_norm(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether layers have biases that the following batch norm cancels.

    It subtracts each channel's mean over the batch, which includes the bias; a pool in between
    passes the bias on unchanged.
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
    return report.note(
        "redundant biases before batch norm",
        f"{listing}: {spent:,} redundant parameters, {share(spent, design.parameters)} of all",
        "set bias=False where batch norm follows",
        wasted,
    )


def norm_momentum(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the running statistics of batch norms move, and average several batches.

    A batch counts with the weight momentum. That is 0.1 by default; in Keras it is the weight of
    the old statistics, 0.99.
    """
    norms = [row for row in design.rows if row.momentum is not None]
    still = [row for row in norms if row.momentum == 0]
    jumping = [row for row in norms if (row.momentum or 0.0) >= LAST_BATCH]
    found = still or jumping
    if not norms:
        return None
    evidence = f"momentum {(found or norms)[0].momentum:g} in {names(found or norms)}"
    if still:
        return report.warning(
            "batch norm's running statistics never move",
            f"{evidence}: evaluation uses the statistics from before training",
            "use the default momentum of 0.1",
            still,
        )
    if jumping:
        return report.note(
            "batch norm's running statistics are those of the last batch",
            f"{evidence}: evaluation depends on which batch was the last",
            "use the default momentum of 0.1; a momentum of 0.99 in Keras is 0.01 in PyTorch",
            jumping,
        )
    return report.ok("batch norm averages several batches", evidence, norms)


def dropout_before_norm(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether batch norm directly reads the output of dropout.

    Dropout raises the variance in training but not in evaluation, so batch norm's running variance
    is wrong in evaluation (X. Li and others, "Understanding the Disharmony between Dropout and
    Batch Normalization by Variance Shift", CVPR 2019).
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
        return report.note(
            "dropout right before batch norm",
            f"{names(shifted)}: {len(shifted)} of {len(drops)} dropout layers shift its running "
            "variance",
            "move dropout after batch norm and its activation",
            shifted,
        )
    evidence = f"{len(drops)} of {len(drops)} dropout layers not directly followed by batch norm"
    return report.ok("no dropout right before batch norm", evidence)
