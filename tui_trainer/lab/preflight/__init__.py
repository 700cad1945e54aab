"""The preflight check: try the first steps of a run and report what would make it fail.

The engine trains the first steps with its probes, and the findings read them, as in the run; a few
experiments add what only a copy can show. Everything is tried on copies: a new model with its own
optimizer, rngs and order of images. A run in progress stays the same bit by bit, and the test set
stays sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.check_context import CheckContext, open_check
from tui_trainer.lab.preflight.data_items import data_items
from tui_trainer.lab.preflight.dead_units import unit_items
from tui_trainer.lab.preflight.first_steps import step_items
from tui_trainer.lab.preflight.layer_gradients import gradient_items
from tui_trainer.lab.preflight.logits import logit_items
from tui_trainer.lab.preflight.rule_items import merged
from tui_trainer.lab.preflight.shuffled_labels import shuffled_label_items
from tui_trainer.protocol.diagnosis import CheckItem, Diagnosis

Group = Callable[[CheckContext], Iterator[Diagnosis]]

GROUPS: tuple[tuple[Group, int], ...] = (
    (data_items, 2),
    (logit_items, 3),
    (gradient_items, 2),
    (unit_items, 1),
    (step_items, 5),
    (shuffled_label_items, 1),
)
"""The groups of check items with their numbers of items."""

TOTAL = sum(count for _, count in GROUPS)


def check(context: Context) -> Iterator[CheckItem]:
    """Try the first steps of a run from the beginning; yield each item as it is done.

    Raises:
        InputError: If the model cannot be rebuilt.
    """
    check_context = open_check(context)
    for group, _ in GROUPS:
        yield from items_of(group, check_context)


def items_of(group: Group, context: CheckContext) -> list[CheckItem]:
    """Return the items of a group, each with the findings of the first steps that belong to it."""
    with context.seeded_rng():
        items = list(group(context))
    return [merged(item, context.first.findings) for item in items]
