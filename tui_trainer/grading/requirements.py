"""Requirements on a model and its training, and whether figures meet them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tui_trainer.grading.figures import ModelFigures, Pair
from tui_trainer.history.seed_results import SeedResult
from tui_trainer.history.target import Target
from tui_trainer.protocol.components import COMPONENTS
from tui_trainer.protocol.errors import InputError
from tui_trainer.text import fmt

MOST = 10**12
"""The largest number that a requirement can name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement, and whether it is met.

    Attributes:
        name: Its name, as its option: ``params``, ``has batch-norm``.
        wanted: What it asks for.
        is_met: Whether it is met; one that cannot be checked is not.
        figure: The figure behind the verdict, as text.
        value: The figure as a number, a pair or names, for JSON.
        note: What to know about the figure, such as its noise.
    """

    name: str
    wanted: str
    is_met: bool
    figure: str
    value: Any = None
    note: str = ""

    @property
    def line(self) -> str:
        """The requirement with its figure in one line, without a mark."""
        note = f" ({self.note})" if self.note else ""
        is_clear = self.name.startswith(("has ", "no ", "accuracy"))
        wanted = "" if is_clear else f" {self.wanted}"
        return f"{self.name}{wanted}: {self.figure}{note}"

    def record(self) -> dict[str, Any]:
        """Return the check as JSON."""
        return {
            "name": self.name,
            "wanted": self.wanted,
            "met": self.is_met,
            "figure": self.figure,
            "value": self.value,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What each submission has to meet; None and empty ask for nothing.

    Attributes:
        params: The most parameters.
        multiply_adds: The most multiply-adds for one image.
        receptive_field: The smallest receptive field of a logit, in pixels along each side.
        last_receptive_field: The smallest one before averaging.
        has: Kinds of layers that the logits must depend on.
        no: Kinds that they must not depend on.
        review: Whether the design review must find no error.
        target: The accuracy that the training of each seed must reach.
    """

    params: int | None = None
    multiply_adds: int | None = None
    receptive_field: int | None = None
    last_receptive_field: int | None = None
    has: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    review: bool = False
    target: Target | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: Naming the option that cannot be used.
        """
        for name in ("params", "multiply_adds", "receptive_field", "last_receptive_field"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MOST:
                option = f"--{name.replace('_', '-')} {value}"
                raise InputError(f"{option}: choose from 1 to {MOST:,}")
        if both := sorted({*self.has} & {*self.no}):
            raise InputError(f"--no {both[0]}: is also given with --has; remove one of them")

    def checks(
        self, figures: ModelFigures | None, seeds: Sequence[SeedResult] | None = None
    ) -> tuple[Check, ...]:
        """Return each requirement with its verdict.

        Args:
            figures: The figures of the model; None if it could not be built.
            seeds: The results of the training; None if it was not trained.
        """
        if figures is None:
            return ()
        trained = () if self.target is None or seeds is None else _accuracy(self.target, seeds)
        return (*self._of_model(figures), *trained)

    def _of_model(self, figures: ModelFigures) -> Iterator[Check]:
        if self.params is not None:
            yield _at_most("params", self.params, figures.parameters)
        if self.multiply_adds is not None:
            yield _at_most("multiply-adds", self.multiply_adds, figures.multiply_adds)
        if self.receptive_field is not None:
            yield _field("receptive_field", self.receptive_field, figures)
        if self.last_receptive_field is not None:
            yield _field("last_receptive_field", self.last_receptive_field, figures)
        for kind in self.has:
            yield _component(kind, figures, is_wanted=True)
        for kind in self.no:
            yield _component(kind, figures, is_wanted=False)
        if self.review:
            yield _review(figures)


def kinds_of(option: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds of layers that an option names, each once: ``a,b`` or given repeatedly.

    Raises:
        InputError: If there is no such kind.
    """
    names = [name.strip().lower() for value in values for name in value.split(",")]
    for name in names:
        if name not in COMPONENTS:
            shown = fmt.clip(fmt.printable(name), 40) or "''"
            raise InputError(f"{option} {shown}: choose from {', '.join(COMPONENTS)}")
    return tuple(dict.fromkeys(names))


# --- the model


def _at_most(name: str, limit: int, found: int) -> Check:
    return Check(name, f"at most {fmt.count(limit)}", found <= limit, fmt.count(found), found)


def _field(attribute: str, side: int, figures: ModelFigures) -> Check:
    found: Pair | None = getattr(figures, attribute)
    name, wanted = attribute.replace("_", "-"), f"at least {side}×{side}"
    if found is None:
        return Check(name, wanted, False, "undefined", None, figures.undefined)
    note = f"measured: {figures.undefined}" if attribute in figures.measured else ""
    return Check(name, wanted, min(found) >= side, fmt.field(found), found, note)


def _component(kind: str, figures: ModelFigures, *, is_wanted: bool) -> Check:
    name = f"{'has' if is_wanted else 'no'} {kind}"
    wanted = COMPONENTS[kind]
    if figures.components is None:
        return Check(name, wanted, False, "cannot be checked", None, figures.undefined)
    found = figures.components.get(kind, ())
    note = ""
    if not found and (defined := figures.defined.get(kind)):
        note = f"{fmt.listed(defined, 3)}: defined, but no logit depends on it"
    figure = "none"
    if found:
        figure = f"{len(found)}, {fmt.listed([name or 'forward' for name in found], 3)}"
    return Check(name, wanted, bool(found) is is_wanted, figure, list(found), note)


def _review(figures: ModelFigures) -> Check:
    errors = figures.review_errors
    if errors is None:
        return Check("review", "no error", False, "cannot be checked", None, figures.undefined)
    figure = fmt.plural(len(errors), "error") + (f": {fmt.listed(errors, 2)}" if errors else "")
    return Check("review", "no error", not errors, figure, list(errors))


# --- its training


def _accuracy(target: Target, seeds: Sequence[SeedResult]) -> tuple[Check, ...]:
    """Return a check per seed: each of them must reach the target."""
    return tuple(_of_seed(target, each) for each in seeds)


def _of_seed(target: Target, each: SeedResult) -> Check:
    name, verdict = f"accuracy of seed {each.seed}", each.verdict
    if verdict is None:
        return Check(name, target.words, False, f"the training is {each.state}")
    lowest = verdict.lowest
    value = None if lowest is None else lowest[1]
    return Check(name, target.words, verdict.is_reached, verdict.reason, value, _noise(each))


def _noise(each: SeedResult) -> str:
    """Return the interval of the accuracy that decides, and whether it leaves the verdict open."""
    if each.verdict is None or each.interval is None:
        return ""
    low, high = each.interval
    wanted, text = each.verdict.target.accuracy, f"95 % interval {fmt.interval(each.interval)}"
    if not each.verdict.problem and low <= wanted <= high:
        side = "reached" if each.verdict.is_reached else "missed"
        return f"{text} includes the target: not clearly {side}"
    return text
