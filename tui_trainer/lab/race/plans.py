"""What a race compares: the values of one knob below and above the current one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tui_trainer.engine.run import Run
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.protocol.commands import KNOBS, Knob
from tui_trainer.text import fmt

SETTINGS: Mapping[str, str] = {
    "lr": "base_lr",
    "batch size": "batch_size",
    "augmentation": "augmentation",
    "dropout": "dropout",
}
"""The words of the control and the knobs that they race."""

FACTORS = (1.5, 2.0, 3.0, 10.0)
"""By how much a learning rate is divided and multiplied."""

DROPOUT_STEP = 0.1
"""How far the values of dropout are apart."""

MOST_DROPOUT = 0.95

BATCHES = (50.0, 100.0, 200.0, 500.0, 1_000.0)
"""The numbers of batches that can be chosen; 100 take a few seconds in a small model."""

REPEATS = (1.0, 2.0, 3.0, 5.0)
"""How often the current setting is trained again, to measure chance."""

NOT_HERE = "only the process that trains a run can race it: open the race in its window"

LEAST_BATCHES = 10
"""The fewest batches of a race: fewer show nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A race that can be started.

    Attributes:
        setting: The knob.
        names: The names of the arms, in the order of the table.
        knobs: The knob to set for each arm; None for the current setting.
        current: The index of the current setting.
        repeats: How often the current setting is trained again.
        batches: The number of batches of the run's batch size.
        images: The training images of each arm.
        note: What differs from what was asked for; empty if nothing.
    """

    setting: str
    names: tuple[str, ...]
    knobs: tuple[Knob | None, ...]
    current: int
    repeats: int
    batches: int
    images: int
    note: str = ""

    @property
    def arms(self) -> int:
        """The number of arms, repetitions included."""
        return len(self.names) + self.repeats


def planned(run: Run, controls: Controls) -> Plan:
    """Return the race that the choices ask for.

    Raises:
        ValueError: If the run cannot race now; the message says why.
    """
    left = _images_left(run)
    knobs = run.knobs()
    words = tuple(word for word, knob in SETTINGS.items() if knob in knobs)
    wanted = controls.choices.get("what")
    if wanted in SETTINGS and wanted not in words:
        raise ValueError("this model has no dropout layer; race lr, batch size or augmentation")
    setting = SETTINGS[controls.word(word_control("what", words, label="race"))]
    if setting == "augmentation" and run.config.augment_until <= run.done:
        raise ValueError("augmentation has ended (--augment-until): it cannot be raced")
    values = _values(setting, knobs[setting], controls)
    batches = controls.whole(number_control("batches", "batches", 100, BATCHES, 10, 10_000))
    repeats = controls.whole(number_control("repeats", "repeats", 3, REPEATS))
    size = run.batches.batch_size
    images = min(batches * size, left)
    note = ""
    if images < batches * size:
        batches = -(-images // size)
        note = f"the epoch ends after {batches} batches, and the race with it"
    if batches < LEAST_BATCHES:
        raise ValueError(
            f"only {fmt.plural(batches, 'batch', 'es')} left in this epoch, and a race needs "
            f"{LEAST_BATCHES}; race in the next one"
        )
    current = values.index(knobs[setting])
    return Plan(
        setting=setting,
        names=tuple(f"{fmt.KNOB_NAMES[setting]} {fmt.knob(setting, value)}" for value in values),
        knobs=tuple(None if at == current else KNOBS[setting](v) for at, v in enumerate(values)),
        current=current,
        repeats=repeats,
        batches=batches,
        images=images,
        note=note,
    )


def _images_left(run: Run) -> int:
    """Return the training images that are left in this epoch.

    Raises:
        ValueError: If the run does not train, or nothing could be compared.
    """
    progress = run.progress
    if run.control.state == "viewing":
        raise ValueError(NOT_HERE)
    if run.ranks.world_size > 1:
        raise ValueError("several processes train this run: race in a run of one process")
    if run.control.state == "diverged":
        raise ValueError("the run has diverged: rewind it, then race")
    if progress.epochs_done >= run.config.epochs or run.control.stop is not None:
        raise ValueError("the run is over: there are no batches left to race")
    if not len(run.data.val):
        raise ValueError("there is no validation split to compare on (--val-size)")
    is_between = progress.epoch == progress.epochs_done
    return len(run.data.train) if is_between else run.batches.stream.remaining


def _values(setting: str, now: float, controls: Controls) -> tuple[float, ...]:
    """Return the values to race in increasing order, with the current one."""
    match setting:
        case "base_lr":
            factor = controls.number(number_control("factor", "factor", 3, FACTORS))
            return (_rounded(now / factor), now, _rounded(now * factor))
        case "batch_size":
            return tuple(float(v) for v in (now // 2, now, 2 * now) if v >= 1)
        case "augmentation":
            return (0.0, 1.0)
        case _:
            around = (round(now - DROPOUT_STEP, 2), now, round(now + DROPOUT_STEP, 2))
            return tuple(dict.fromkeys(min(max(value, 0.0), MOST_DROPOUT) for value in around))


def _rounded(lr: float) -> float:
    """Return a learning rate with three significant digits, as the window shows it."""
    return float(f"{lr:.3g}")
