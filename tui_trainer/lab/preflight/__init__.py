"""The preflight check: try the first steps of a run and report what would make it fail.

Everything is tried on copies: a new model with its own optimizer, rngs and order of images. A run
in progress stays the same bit by bit, and the test set stays sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.check_context import CheckContext, open_check
from tui_trainer.lab.preflight.dead_units import unit_items
from tui_trainer.lab.preflight.first_steps import step_items
from tui_trainer.lab.preflight.input_scale import input_items
from tui_trainer.lab.preflight.layer_gradients import gradient_items
from tui_trainer.lab.preflight.logits import logit_items
from tui_trainer.lab.preflight.lr_range_test import lr_items
from tui_trainer.lab.preflight.overfit_one_batch import overfit_items
from tui_trainer.lab.preflight.shuffled_labels import shuffled_label_items
from tui_trainer.protocol.diagnosis import Diagnosis

Group = Callable[[CheckContext], Iterator[Diagnosis]]

GROUPS: tuple[tuple[Group, int], ...] = (
    (input_items, 1),
    (logit_items, 3),
    (gradient_items, 2),
    (unit_items, 1),
    (overfit_items, 1),
    (step_items, 3),
    (lr_items, 1),
    (shuffled_label_items, 1),
)
"""The groups of check items with their numbers of items, the fast ones first."""

TOTAL = sum(count for _, count in GROUPS)


def check(context: Context) -> Iterator[Diagnosis]:
    """Try the first steps of a run from the beginning; yield each item as it is done.

    Raises:
        InputError: If the model cannot be rebuilt.
    """
    check_context = open_check(context)
    for group, _ in GROUPS:
        with check_context.seeded_rng():
            items = list(group(check_context))
        yield from items
