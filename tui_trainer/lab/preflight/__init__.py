"""The first steps of a run, tried before it: is there a reason why it would fail?

Everything is tried on copies: a fresh network, its own optimizer, generators and order of images. A
run under way is left as it is, to the last bit, and the test set stays sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.bench import Lab, open_lab
from tui_trainer.lab.preflight.control import control_items
from tui_trainer.lab.preflight.dead_units import unit_items
from tui_trainer.lab.preflight.first_steps import step_items
from tui_trainer.lab.preflight.input_scale import input_items
from tui_trainer.lab.preflight.layer_gradients import gradient_items
from tui_trainer.lab.preflight.logits import score_items
from tui_trainer.lab.preflight.overfit_one_batch import overfit_items
from tui_trainer.lab.preflight.rate_range import rate_items
from tui_trainer.protocol.diagnosis import Diagnosis

Group = Callable[[Lab], Iterator[Diagnosis]]

GROUPS: tuple[tuple[Group, int], ...] = (
    (input_items, 1),
    (score_items, 3),
    (gradient_items, 2),
    (unit_items, 1),
    (overfit_items, 1),
    (step_items, 3),
    (rate_items, 1),
    (control_items, 1),
)
"""What is tried, and how many items come of each; the quick ones first."""

TOTAL = sum(count for _, count in GROUPS)


def check(context: Context) -> Iterator[Diagnosis]:
    """Try the first steps of a run from the beginning; yield each item as it is done.

    Raises:
        InputError: If the network cannot be built anew.
    """
    lab = open_lab(context)
    for group, _ in GROUPS:
        with lab.apart():
            items = list(group(lab))
        yield from items
