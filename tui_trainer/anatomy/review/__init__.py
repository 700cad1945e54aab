"""The design review: rules over the layer table that say what is good, doubtful or wrong.

A rule is a function from the design to a diagnosis, or to None where it has nothing to judge. It is
an ``error`` only where the fault follows from the table by argument; a matter of taste or of size
is a ``warning``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tui_trainer.anatomy.review.design import Design
from tui_trainer.anatomy.review.kernel_sizes import (
    activation_between,
    dead_weights,
    even_kernel,
    idle_padding,
    kernel_growth,
    stride_skips,
)
from tui_trainer.anatomy.review.norms import (
    bias_with_norm,
    dropout_before_norm,
    norm_before_activation,
    norm_distance,
    norm_presence,
)
from tui_trainer.anatomy.review.output_layer import (
    activation_before_scores,
    dropout_before_scores,
    softmax_output,
)
from tui_trainer.anatomy.review.pooling import (
    average_pool_coverage,
    dropped_edge,
    max_pool_distance,
    transition_layer,
    transition_position,
)
from tui_trainer.anatomy.review.receptive_fields import (
    final_receptive_field,
    first_pooling,
    late_convolution,
)
from tui_trainer.anatomy.review.spending import budget as _budget
from tui_trainer.anatomy.review.spending import fully_connected_share, unused_parameters
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import BUDGET, LayerRow

__all__ = ["RULES", "review"]

Rule = Callable[[Design], Diagnosis | None]

RULES: Mapping[str, Rule] = {
    "final-receptive-field": final_receptive_field,
    "first-pooling": first_pooling,
    "max-pool-distance": max_pool_distance,
    "norm-distance": norm_distance,
    "activation-before-scores": activation_before_scores,
    "dropout-before-scores": dropout_before_scores,
    "softmax-output": softmax_output,
    "norm-presence": norm_presence,
    "norm-before-activation": norm_before_activation,
    "transition-layer": transition_layer,
    "transition-position": transition_position,
    "kernel-growth": kernel_growth,
    "bias-with-norm": bias_with_norm,
    "late-convolution": late_convolution,
    "fully-connected-share": fully_connected_share,
    "budget": _budget,
    "even-kernel": even_kernel,
    "average-pool-coverage": average_pool_coverage,
    "dropped-edge": dropped_edge,
    "idle-padding": idle_padding,
    "unused-parameters": unused_parameters,
    "stride-skips": stride_skips,
    "dead-weights": dead_weights,
    "activation-between": activation_between,
    "dropout-before-norm": dropout_before_norm,
}
"""The rules by their names, in the order in which they speak."""


def review(rows: Sequence[LayerRow], *, budget: int = BUDGET) -> tuple[Diagnosis, ...]:
    """Judge the design of a network by its layer table.

    Args:
        rows: The layer table, whole: the input first, then each row behind those that it reads.
        budget: The limit on parameters, 1 at least.

    Returns:
        What each rule that applies has to say, in the order of :data:`RULES`.

    Raises:
        ValueError: If the budget is below 1, or the table has nothing but the input.
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}: it must be 1 parameter at least")
    if not any(row.is_layer for row in rows):
        raise ValueError("the layer table is empty: a review needs a layer behind the input")
    design = Design(rows, budget)
    verdicts: list[Diagnosis] = []
    for rule in RULES.values():
        with suppress(Exception):  # a table that a rule does not understand: the others do
            if (verdict := rule(design)) is not None:
                verdicts.append(verdict)
    return tuple(verdicts)
