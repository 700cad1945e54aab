"""The design review: rules that judge a model by its layer table.

A rule maps a design to a diagnosis, or to None where it does not apply. An ``error`` loses the run
or makes its numbers wrong, a ``warning`` costs more accuracy than noise does; what costs only time
or parameters, or is a matter of taste, is a ``note``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tui_trainer.anatomy.review.activations import hidden_softmax, nonlinearity
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
    norm_momentum,
    norm_presence,
)
from tui_trainer.anatomy.review.output_layer import (
    activation_before_logits,
    dropout_before_logits,
    softmax_output,
)
from tui_trainer.anatomy.review.parameter_budget import budget as _budget
from tui_trainer.anatomy.review.parameter_budget import fully_connected_share, unused_parameters
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
from tui_trainer.anatomy.review.reporter import Reporter
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import BUDGET, LayerRow

__all__ = ["RULES", "review"]

Rule = Callable[[Design, Reporter], Diagnosis | None]

RULES: Mapping[str, tuple[int, Rule]] = {
    "final-receptive-field": (5, final_receptive_field),
    "first-pooling": (11, first_pooling),
    "max-pool-distance": (16, max_pool_distance),
    "norm-distance": (17, norm_distance),
    "activation-before-logits": (6, activation_before_logits),
    "dropout-before-logits": (14, dropout_before_logits),
    "softmax-output": (6, softmax_output),
    "norm-presence": (9, norm_presence),
    "norm-before-activation": (9, norm_before_activation),
    "transition-layer": (12, transition_layer),
    "transition-position": (13, transition_position),
    "kernel-growth": (8, kernel_growth),
    "bias-with-norm": (9, bias_with_norm),
    "late-convolution": (18, late_convolution),
    "fully-connected-share": (18, fully_connected_share),
    "budget": (8, _budget),
    "even-kernel": (4, even_kernel),
    "average-pool-coverage": (18, average_pool_coverage),
    "dropped-edge": (2, dropped_edge),
    "idle-padding": (3, idle_padding),
    "unused-parameters": (1, unused_parameters),
    "stride-skips": (4, stride_skips),
    "dead-weights": (4, dead_weights),
    "activation-between": (1, activation_between),
    "dropout-before-norm": (14, dropout_before_norm),
    "hidden-softmax": (6, hidden_softmax),
    "nonlinearity": (1, nonlinearity),
    "norm-momentum": (9, norm_momentum),
}
"""The rules by code, each with its lesson, in the order of their verdicts."""


def review(rows: Sequence[LayerRow], *, budget: int = BUDGET) -> tuple[Diagnosis, ...]:
    """Judge the design of a model by its layer table.

    Args:
        rows: The complete layer table: the input first, then each row after the rows it reads.
        budget: The limit on parameters, at least 1.

    Returns:
        The verdict of each rule that applies, in the order of :data:`RULES`.

    Raises:
        ValueError: If the budget is below 1, or the table has nothing but the input.
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}; it must be at least 1 parameter")
    if not any(row.is_layer for row in rows):
        raise ValueError("the layer table is empty; a review needs a layer after the input")
    design = Design(rows, budget)
    verdicts: list[Diagnosis] = []
    for code, (lesson, rule) in RULES.items():
        with suppress(Exception):  # one rule that fails must not hide the verdicts of the others
            if (verdict := rule(design, Reporter(code, lesson))) is not None:
                verdicts.append(verdict)
    return tuple(verdicts)
