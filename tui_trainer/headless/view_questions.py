"""The questions for the views of a model, and their answers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.headless.questions import Choices, PendingChoices, QuestionSequence
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.events import Event, TestEvaluated
from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.protocol.inspection import View

OVERVIEW = "confusion"
"""The view with the number of correct images; it is always asked first."""

IMAGES, TEST = "images", "test"
"""The control of the evaluated images, and its value for the test set."""

LAYER = "layer"
"""The control of views that show one layer at a time."""

ALL = "all"
"""Its value for all layers together."""

LAYER_BY_LAYER = ("kernels", "maps", "histograms")
"""The views that cost little per layer, for a report of every layer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An answered view.

    Attributes:
        view: The view.
        exhibit: Its exhibit.
        others: Its exhibits of the other layers, if requested.
    """

    view: View
    exhibit: Exhibit
    others: tuple[Exhibit, ...] = ()


class ViewQuestions(QuestionSequence):
    """The questions for views; keeps their exhibits.

    Args:
        views: The views.
        chosen: The values as written, by control name. Each applies to all views with such a
            control.
        on_test: Whether to evaluate the test set, which is counted.
        all_layers: Whether to ask for every layer if a view shows one at a time.
        after_overview: Whether to ask for them also after an overview of all layers.
        test_evaluations: The number of earlier test evaluations.

    Attributes:
        overview: The exhibit of the overview for all images; None before.
        shown: The answered views, in order.
        test_evaluations: The number of test evaluations so far.
    """

    def __init__(
        self,
        views: Sequence[View],
        chosen: Mapping[str, str],
        *,
        on_test: bool = False,
        all_layers: bool = False,
        after_overview: bool = False,
        test_evaluations: int = 0,
    ) -> None:
        super().__init__()
        self._views = views
        self._chosen = chosen
        self._images: Choices = ((IMAGES, TEST),) if on_test else ()
        self._all_layers = all_layers
        self._after_overview = after_overview
        self.overview: Exhibit | None = None
        self.shown: list[Shown] = []
        self.test_evaluations = test_evaluations

    def process(self, event: Event) -> None:
        """Store the answer, or the number of a test evaluation."""
        super().process(event)
        if isinstance(event, TestEvaluated):
            self.test_evaluations = event.evaluation

    def questions(self) -> Iterator[Ask]:
        """Yield the questions, each once.

        Raises:
            InputError: If a control has no such value.
        """
        resolved = yield from self._choices()
        self.activity = "evaluating the images"
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
        """Return the control values of each view, once its controls are known.

        Not on the test set: an invalid value must not cost a test evaluation.
        """
        resolved: dict[str, Choices] = {view.name: () for view in self._views}
        unknown, controls = dict(self._chosen), list[Control]()
        for view in self._views if self._chosen else ():
            self.activity = f"{view.title}: finding its controls"
            pending = PendingChoices(self._chosen)
            controls += yield from self.resolve_choices(f"view/{view.name}", pending)
            resolved[view.name] = tuple(pending.resolved.items())
            unknown = {name: text for name, text in unknown.items() if name in pending.unresolved}
        if unknown:
            whose = self._views[0].name if len(self._views) == 1 else "evaluate"
            raise PendingChoices(unknown).unknown_control(whose, controls)
        return resolved

    def _other_layers(self, view: View, exhibit: Exhibit, choices: Choices) -> list[Value]:
        """Return the other values of the layer control."""
        if not self._all_layers or view.name not in LAYER_BY_LAYER or LAYER in dict(choices):
            return []
        control = next((each for each in exhibit.controls if each.name == LAYER), None)
        if control is None or (control.value == ALL and not self._after_overview):
            return []
        return [step for step in control.steps if step not in (control.value, ALL)]
