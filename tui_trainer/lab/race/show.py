"""The topic ``race``: what would be raced, then the race itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import capture
from tui_trainer.lab.arms import Arm, RejectedError, fork
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, with_controls
from tui_trainer.lab.race import results
from tui_trainer.lab.race.plans import NOT_HERE, Plan, planned
from tui_trainer.lab.racing import Racing
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.exhibit import Block, Choices, Curves, Exhibit, Table, Words
from tui_trainer.text import fmt

SLICE = 0.25
"""Seconds between two exhibits; a race can be stopped at each."""

PORTIONS = 25
"""Turns of each arm: the curves grow side by side."""

TRAINED = 0.9
"""The share of the progress at which all arms are trained; their evaluation follows."""

EVALUATING = 3.0
"""By how much an image is evaluated faster than trained, about."""


def begin(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit]:
    """Start to show what would be raced; after enter, to race.

    Raises:
        ValueError: If no run is trained here.
    """
    if context.racing is None:
        raise ValueError(NOT_HERE)
    racing = context.racing
    # Now, while the process has the rng states of the run: those of an answer are others.
    state = capture(racing.run) if confirmed else None

    def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
        plan = planned(racing.run, controls)
        if state is None:
            yield Exhibit(blocks=(_setup(plan), *_notes(plan)), trains=_announced(racing.run, plan))
        else:
            yield from _race(racing, plan, state, context.clock)

    return with_controls(show)(context, choices, confirmed)


def _race(
    racing: Racing, plan: Plan, state: Checkpoint, clock: Callable[[], float]
) -> Iterator[Exhibit]:
    yield Exhibit(blocks=(), progress=0.0)
    arms = _forks(racing.run, plan, state)
    for share in _trained(arms, plan, clock):
        yield Exhibit(blocks=(_curves(arms),), progress=TRAINED * share)
    for place, arm in enumerate(arms, 1):
        arm.finish()
        share = TRAINED + (1 - TRAINED) * place / len(arms)
        yield Exhibit(blocks=(_curves(arms),), progress=share)
    racing.keep(arms)
    yield _outcome(racing.run, arms, plan)


def _outcome(run: Run, arms: Sequence[Arm], plan: Plan) -> Exhibit:
    pairs, images = results.compared(arms, plan.current), len(run.data.val)
    blocks: tuple[Block, ...] = (results.ends(arms, plan, pairs),)
    if pairs:
        blocks += (results.differences(arms, plan, pairs, images),)
    return Exhibit(
        blocks=(*blocks, _curves(arms)),
        result=results.result(arms, plan, pairs),
        evidence=results.evidence(plan, run.progress.step, images),
        figures=results.figures(arms, pairs),
    )


def _setup(plan: Plan) -> Table:
    current = plan.names[plan.current]
    rows = [
        (key, name, "as it is" if name == current else "")
        for key, name in zip(results.KEYS, plan.names, strict=False)
    ]
    again = f"{plan.repeats} times, with other images and random numbers: chance"
    return Table(
        caption=f"from here, {fmt.plural(plan.batches, 'batch', 'es')} each",
        heads=("key", "arm", ""),
        rows=(*rows, ("", f"{current} again", again)),
        marked=plan.current,
    )


def _notes(plan: Plan) -> tuple[Block, ...]:
    text = (
        f"Copies of the run train the next {fmt.count(plan.images)} images, the same in the same "
        "order. The run waits, and nothing of it changes unless you choose an arm."
    )
    blocks: tuple[Block, ...] = (Words(text=text),)
    if plan.note:
        blocks += (Words(text=f"{plan.note[0].upper()}{plan.note[1:]}.", tone="note"),)
    return blocks


def _announced(run: Run, plan: Plan) -> str:
    """Return what enter starts, with its time if the speed of the run is known."""
    words = f"train {plan.arms} × {fmt.plural(plan.batches, 'batch', 'es')}"
    progress = run.progress
    seconds = run.stopwatch.seconds - progress.epoch_began
    if not progress.epoch_images or seconds <= 0:
        return words
    images = plan.images + len(run.data.val) / EVALUATING
    estimate = plan.arms * images * seconds / progress.epoch_images
    return f"{words}: about {max(1, round(estimate))} s"


def _forks(run: Run, plan: Plan, state: Checkpoint) -> list[Arm]:
    """Return the arms at the fork, in the order of the table.

    Raises:
        ValueError: If the run cannot have one of the settings.
    """
    arms = list[Arm]()
    for name, knob in zip(plan.names, plan.knobs, strict=True):
        try:
            arms.append(fork(run, state, name, knob))
        except RejectedError as error:
            raise ValueError(f"{name}: {error}") from None
    for again in range(1, plan.repeats + 1):
        number = f" {again}" if plan.repeats > 1 else ""
        arms.append(fork(run, state, f"{plan.names[plan.current]} again{number}", again=again))
    return arms


def _trained(arms: Sequence[Arm], plan: Plan, clock: Callable[[], float]) -> Iterator[float]:
    """Train the arms in turns, always the one that is behind; yield the share that is done."""
    portion = max(1, plan.images // PORTIONS)
    shown = clock()
    while running := [a for a in arms if a.images < plan.images and not a.diverged_at]:
        arm = min(running, key=lambda each: each.images)
        goal = min(plan.images, arm.images + portion)
        arm.train(goal, plan.images, arm.run.stopwatch.now + SLICE)
        if clock() - shown >= SLICE:
            shown = clock()
            yield sum(min(a.images, plan.images) for a in arms) / (plan.images * len(arms))


def _curves(arms: Sequence[Arm]) -> Curves:
    return Curves(
        caption="training loss, smoothed",
        x_label="training images since the fork",
        curves=tuple(curve for arm in arms if (curve := arm.curve()).x),
        is_log=True,
    )
