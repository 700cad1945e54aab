"""The first steps of a run, tried before it: is there a reason why it would fail?

Everything is tried on copies: a fresh network, its own optimizer, generators and order of images. A
run under way is left as it is, to the last bit, and the test set stays sealed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tui_trainer.engine.run import Run
from tui_trainer.lab.preflight.bench import Lab, open_lab
from tui_trainer.lab.preflight.control import control_items
from tui_trainer.lab.preflight.dead_units import unit_items
from tui_trainer.lab.preflight.first_steps import step_items
from tui_trainer.lab.preflight.input_scale import input_items
from tui_trainer.lab.preflight.layer_gradients import gradient_items
from tui_trainer.lab.preflight.logits import score_items
from tui_trainer.lab.preflight.overfit_one_batch import overfit_items
from tui_trainer.lab.preflight.plan import Plan
from tui_trainer.lab.preflight.rate_range import rate_items
from tui_trainer.protocol.answers import ItemChecked
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


def check(
    run: Run, *, clock: Callable[[], float] = time.perf_counter, plan: Plan | None = None
) -> Iterator[ItemChecked]:
    """Try the first steps of a run from the beginning; tell each item as it is done.

    Args:
        run: A run, before its first batch or in the middle; it is only read.
        clock: Seconds that only go up.
        plan: How much is tried; as much as there is time for if None.

    Raises:
        InputError: If the network cannot be built anew.
    """
    lab = open_lab(run.config, run.data, run.device, run.layers, clock, plan)
    done = 0
    for group, _ in GROUPS:
        began = lab.clock()
        with lab.apart():
            items = list(group(lab))
        seconds = lab.clock() - began  # of the whole group: told with its first item
        for item in items:
            done += 1
            yield ItemChecked(item=item, done=done, total=TOTAL, seconds=seconds)
            seconds = 0.0
