"""The base of screens with an exhibit: they send its controls' values to the engine."""

from __future__ import annotations

from tui_trainer.protocol.exhibit import Control
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.screens.base_screen import LiveScreen
from tui_trainer.ui.screens.exhibit_views import unavailable_reason
from tui_trainer.ui.screens.picture_screen import PicturesScreen, pictures_in
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.number_line import NumberLine


class ExhibitScreen(LiveScreen):
    """A screen with an :class:`ExhibitPanel` and a :class:`NumberLine`."""

    def __init__(self) -> None:
        super().__init__()
        self._control = 0

    @property
    def choosing(self) -> ExhibitQuestions | None:
        """The questions whose controls the screen shows; None before there is a run."""
        raise NotImplementedError

    def show_exhibit(self) -> None:
        """Show the current exhibit."""
        raise NotImplementedError

    @property
    def can_choose(self) -> ExhibitQuestions | None:
        """The questions of the controls, if the engine can answer; else None."""
        return None if self._run is None or unavailable_reason(self._run) else self.choosing

    def refresh_keys(self, *state: object) -> None:
        """Refresh the bindings, but only if the state that they depend on has changed."""
        view = self.query_one(ExhibitPanel).view
        super().refresh_keys(
            *(bool(view.controls), view.takes_numbers, bool(view.trains), view.is_running),
            *(view.is_in_matrix, view.exhibit is not None and view.exhibit.opens is not None),
            *(self._has_pictures, *state),
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide actions without effect."""
        match action:
            case "type_number":
                view = self.query_one(ExhibitPanel).view
                return view.takes_numbers and (parameters != ("-",) or view.takes_negatives)
            case "enlarge":
                return self._has_pictures
            case "next_panel":
                return not self.is_small
        return super().check_action(action, parameters)

    @property
    def _has_pictures(self) -> bool:
        exhibit = self.query_one(ExhibitPanel).view.exhibit
        return exhibit is not None and bool(pictures_in(exhibit.blocks))

    def action_enlarge(self) -> None:
        """Show the current pictures as large as they fit."""
        view = self.query_one(ExhibitPanel).view
        if view.exhibit is not None:
            self.app.push_screen(PicturesScreen(view.title, view.exhibit.blocks))

    def on_exhibit_panel_chosen(self, message: ExhibitPanel.Chosen) -> None:
        """Choose another control for the arrow keys."""
        self._control = message.place
        self.show_exhibit()

    def on_exhibit_panel_control_changed(self, message: ExhibitPanel.ControlChanged) -> None:
        """Ask for the exhibit with a changed control."""
        self._set_control(message.turned)

    def on_exhibit_panel_cell_chosen(self, message: ExhibitPanel.CellChosen) -> None:
        """Ask for the exhibit with another cell."""
        if choosing := self.can_choose:
            choosing.choose(message.choices)
            self.show_exhibit()

    def action_type_number(self, typed: str) -> None:
        """Open the number line with its first characters; at once, because the next key follows."""
        control = self.query_one(ExhibitPanel).view.control
        if control is not None:
            self.query_one(NumberLine).open(control, typed)

    def on_exhibit_panel_number_requested(self) -> None:
        """Open the empty number line."""
        self.action_type_number("")

    def on_number_line_submitted(self, message: NumberLine.Submitted) -> None:
        """Ask for the exhibit with that number."""
        self._set_control(message.turned)

    def on_number_line_closed(self) -> None:
        """Focus the exhibit again."""
        self.query_one(ExhibitPanel).focus()

    def on_exhibit_panel_reset_requested(self) -> None:
        """Reset all controls."""
        if choosing := self.can_choose:
            choosing.reset_controls()
            self.show_exhibit()

    def on_exhibit_panel_confirmed(self) -> None:
        """Confirm: train, or evaluate the test set."""
        if choosing := self.can_choose:
            choosing.confirm()
            self.show_exhibit()

    def _set_control(self, control: Control) -> None:
        if choosing := self.can_choose:
            choosing.set_control(control)
            self.show_exhibit()
