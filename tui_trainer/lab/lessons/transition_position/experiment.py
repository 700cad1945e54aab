"""Position of transition layers: one at each position of a stack, three of them trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import nn

from tui_trainer.lab.compare import arm, compare
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.lessons.transition_position.arithmetic import KERNELS, STEM, Placed, placed
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.protocol.exhibit import Exhibit, Table, Words, counting
from tui_trainer.text.fmt import count, short_count

PLACES = tuple(range(1, len(KERNELS) + 1))

AFTER = counting("after", "after layer", len(PLACES), first=1, value=2.0)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the stack with its transition at each position, or train three positions."""
    after = controls.whole(AFTER)
    side, classes, channels = context.data.image_size, context.data.classes, context.data.channels
    stacks = [placed(place, side=side, classes=classes, channels=channels) for place in PLACES]
    blocks = (_table(stacks, after, side), _about(stacks[after - 1], stacks))
    raced = trained(after)
    if not confirmed:
        positions = ", ".join(map(str, raced))
        yield Exhibit(
            blocks=blocks,
            trains=f"train it with the transition after layer {positions}: about 15 s",
        )
        return
    arms = [
        arm(
            context,
            f"after layer {place}",
            context.build(partial(with_transition, KERNELS, place, classes, channels)),
        )
        for place in raced
    ]
    yield from compare(context, arms, setup=blocks)


def with_transition(
    kernels: Sequence[int], after: int, classes: int, channels: int = 1
) -> nn.Sequential:
    """Build 3×3 convolutions with a transition to half the channels after number ``after``.

    Another, pooled convolution comes first, so that they see a whole digit with any transition.
    """
    plan: list[Conv | str] = [Conv(STEM), POOL]
    for number, width in enumerate(kernels, start=1):
        plan.append(Conv(width))
        if number == after:
            plan += [Conv(width // 2, side=1), POOL]
    return stack(plan, classes, channels=channels)


def trained(after: int) -> tuple[int, ...]:
    """Return the three positions that are trained: the first, the last, and the chosen one.

    If the chosen one is an end, the middle is the third.
    """
    first, last = PLACES[0], PLACES[-1]
    middle = after if first < after < last else PLACES[len(PLACES) // 2]
    return first, middle, last


def _table(stacks: list[Placed], after: int, side: int) -> Table:
    """Return map sizes, field, parameters and cost by position of the transition."""
    half = side // 2
    return Table(
        caption=f"{len(KERNELS)} convolutions on {half}×{half}, one transition: 1×1, then pool",
        heads=("after", "map sides", "field", "parameters", "mult-adds"),
        rows=tuple(
            (
                f"layer {one.after}",
                " ".join(f"{each:{len(str(half))}}" for each in one.sides),
                f"{one.field}×{one.field}",
                count(one.parameters),
                short_count(one.multiply_adds),
            )
            for one in stacks
        ),
        marked=after - 1,
    )


def _about(chosen: Placed, stacks: list[Placed]) -> Words:
    """Return a sentence about the chosen position."""
    kernels = " → ".join(map(str, KERNELS))
    maps = KERNELS[chosen.after - 1]
    costliest = max(stacks, key=lambda one: one.multiply_adds)
    share = 100 * chosen.multiply_adds / costliest.multiply_adds
    return Words(
        text=f"A first convolution of {STEM} kernels, pooled, then {kernels}. After layer "
        f"{chosen.after} the transition mixes {maps} channels into {maps // 2} and pools: "
        f"{chosen.after} run on full-size maps, {len(KERNELS) - chosen.after} on a quarter "
        f"of the size, with {share:.0f} % of the multiply-adds of the most expensive position, "
        f"after layer {costliest.after}."
    )
