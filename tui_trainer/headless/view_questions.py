"""Asking for views of a network one after the other, and taking in what they show."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.headless.questions import Choices, PendingChoices, QuestionSequence
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.events import Event, TestEvaluated
from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.protocol.inspection import View

OVERVIEW = "confusion"
"""The view that tells how many images were right: it is asked for first, whatever is shown."""

IMAGES, TEST = "images", "test"
"""The control of the images that are judged, and what it is turned to for the test set."""

LAYER = "layer"
"""The control of views that show one layer at a time."""

ALL = "all"
"""What it is turned to where they are shown together."""

LAYER_BY_LAYER = ("kernels", "maps", "histograms")
"""The views in which each layer costs little and is worth a look."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A view as it is shown.

    Attributes:
        view: Which one.
        exhibit: What it shows.
        others: What it shows of the other layers, if it was asked for them.
    """

    view: View
    exhibit: Exhibit
    others: tuple[Exhibit, ...] = ()


class ViewQuestions(QuestionSequence):
    """Asks for views until all choices are made, and keeps what they show.

    Args:
        views: What to ask for.
        chosen: The reader's choices by the names of their controls, as they were written. Each
            goes for all views that have such a control.
        on_test: Whether to judge the test set: a counted look.
        all_layers: Whether to ask for every layer where a view shows one at a time.
        looks: How often the test set was read before.

    Attributes:
        overview: What the view of that name shows of all images; None before it was answered.
        shown: The views that were answered for good, in order.
        looks: How often the test set has been read.
    """

    def __init__(
        self,
        views: Sequence[View],
        chosen: Mapping[str, str],
        *,
        on_test: bool = False,
        all_layers: bool = False,
        test_evaluations: int = 0,
    ) -> None:
        super().__init__()
        self._views = views
        self._chosen = chosen
        self._images: Choices = ((IMAGES, TEST),) if on_test else ()
        self._all_layers = all_layers
        self.overview: Exhibit | None = None
        self.shown: list[Shown] = []
        self.test_evaluations = test_evaluations

    def process(self, event: Event) -> None:
        """Take in what a question has led to."""
        super().process(event)
        if isinstance(event, TestEvaluated):
            self.test_evaluations = event.evaluation

    def questions(self) -> Iterator[Ask]:
        """Yield what to ask for, each once.

        Raises:
            InputError: If a choice cannot be made.
        """
        resolved = yield from self._choices()
        self.activity = "judging the images"
        self.overview = yield from self.ask(
            f"view/{OVERVIEW}", self._images, "confirmed" if self._images else "interactive"
        )
        for place, view in enumerate(self._views):
            self.activity = f"{view.title}: {place + 1} of {len(self._views)}"
            topic, choices = f"view/{view.name}", (*self._images, *resolved[view.name])
            exhibit = yield from self.ask(topic, choices)
            others = []
            for layer in self._other_layers(view, exhibit, choices):
                others.append((yield from self.ask(topic, (*choices, (LAYER, layer)))))
            self.shown.append(Shown(view, exhibit, tuple(others)))

    def _choices(self) -> Generator[Ask, None, dict[str, Choices]]:
        """Return the choices of each view, once its controls are known.

        Never on the test set: no look is spent on a choice that cannot be made.
        """
        resolved: dict[str, Choices] = {view.name: () for view in self._views}
        unknown, controls = dict(self._chosen), list[Control]()
        for view in self._views if self._chosen else ():
            self.activity = f"{view.title}: what can be chosen"
            pending = PendingChoices(self._chosen)
            controls += yield from self.resolve_choices(f"view/{view.name}", pending)
            resolved[view.name] = tuple(pending.resolved.items())
            unknown = {name: text for name, text in unknown.items() if name in pending.unresolved}
        if unknown:
            whose = self._views[0].name if len(self._views) == 1 else "evaluate"
            raise PendingChoices(unknown).unknown_control(whose, controls)
        return resolved

    def _other_layers(self, view: View, exhibit: Exhibit, choices: Choices) -> list[Value]:
        """Return what the control of the layer can be turned to beside where it stands."""
        if not self._all_layers or view.name not in LAYER_BY_LAYER or LAYER in dict(choices):
            return []
        control = next((each for each in exhibit.controls if each.name == LAYER), None)
        if control is None or control.value == ALL:
            return []
        return [step for step in control.steps if step not in (control.value, ALL)]
