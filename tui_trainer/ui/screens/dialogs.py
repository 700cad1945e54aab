"""Modal dialogs: a question, a choice, a comparison, the preflight check, a finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.protocol.events import FindingRaised
from tui_trainer.render.comparison_lines import comparison_lines
from tui_trainer.render.layer_comparison import Comparison
from tui_trainer.text.lines import Lines
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.screens.base_screen import ViewScreen
from tui_trainer.ui.widgets.check_panel import CheckPanel
from tui_trainer.ui.widgets.finding_panel import FindingPanel
from tui_trainer.ui.widgets.panel import TextPanel

Answer = bool | Literal["other"]


class ConfirmScreen(ModalScreen[Answer]):
    """Asks a question; returns True for yes. Escape and n mean no.

    Args:
        question: The question.
        detail: What yes does.
        yes: The label of yes.
        no: The label of no.
        other: The label of another answer, ``l``; empty for none.
    """

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [
        Binding("y", "answer(True)", "yes"),
        Binding("l", "answer('other')", "other"),
        Binding("n,escape", "answer(False)", "no"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(
        self, question: str, detail: str, yes: str, no: str = "cancel", other: str = ""
    ) -> None:
        super().__init__()
        self._question, self._detail, self._yes, self._no = question, detail, yes, no
        self._other = other

    def compose(self) -> ComposeResult:
        """The question and its buttons."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield Static(self._detail, markup=False)
            with Horizontal(classes="buttons -three" if self._other else "buttons"):
                yield Button(f"y  {self._yes}", id="yes", variant="error", compact=True)
                if self._other:
                    yield Button(f"l  {self._other}", id="other", compact=True)
                yield Button(f"n  {self._no}", id="no", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Focus the harmless answer."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer with a button."""
        self.dismiss("other" if event.button.id == "other" else event.button.id == "yes")

    def action_answer(self, answer: Answer) -> None:
        """Answer with a key."""
        if answer != "other" or self._other:
            self.dismiss(answer)


class ChooseScreen(ModalScreen[str | None]):
    """Asks for one of several names; returns None after escape."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [Binding("escape,q", "dismiss(None)", "close")]

    def __init__(self, question: str, names: Sequence[str]) -> None:
        super().__init__()
        self._question, self._names = question, names

    def compose(self) -> ComposeResult:
        """The question and the names."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield OptionList(*(Option(name, id=name) for name in self._names), markup=False)

    def on_mount(self) -> None:
        """Focus the list."""
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer with the chosen name."""
        self.dismiss(event.option.id)


class PanelScreen(ModalScreen[None]):
    """Shows a focused panel until it is closed."""

    BINDINGS: ClassVar = [Binding("escape,q", "dismiss", "close")]
    HORIZONTAL_BREAKPOINTS = ViewScreen.HORIZONTAL_BREAKPOINTS

    def __init__(self, panel: TextPanel) -> None:
        super().__init__()
        self._panel = panel

    def compose(self) -> ComposeResult:
        """The panel."""
        yield self._panel

    def on_mount(self) -> None:
        """Focus the panel."""
        self._panel.focus()


class ComparisonPanel(TextPanel):
    """The figures of two models, then their stages in rows."""

    DEFAULT_CSS = """
    ComparisonPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, names: tuple[str, str], comparison: Comparison) -> None:
        super().__init__(f"{names[0]} and {names[1]}", id="comparison")
        self._names, self._comparison = names, comparison
        self.border_subtitle = "esc closes"

    def lines(self, width: int) -> Lines:
        """Return the comparison."""
        return comparison_lines(self._names, self._comparison, width - 1)


class CompareScreen(PanelScreen):
    """Shows a comparison of two models."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [
        Binding("enter", "dismiss", "close"),
        Binding("c", "dismiss", "close", id="model.compare"),
    ]

    def __init__(self, names: tuple[str, str], comparison: Comparison) -> None:
        super().__init__(ComparisonPanel(names, comparison))


class CheckScreen(PanelScreen):
    """Shows the items of the preflight check as they arrive; closing it does not stop the check."""

    CSS_PATH = "check.tcss"
    BINDINGS: ClassVar = [
        Binding("c", "dismiss", "close", id="run.check"),
        Binding("r", "again", "again", id="run.again"),
    ]

    def __init__(self, run: LiveRun) -> None:
        super().__init__(CheckPanel(run, id="check"))
        self._run = run

    def on_mount(self) -> None:
        """Start the check, unless it has items already."""
        self._run.check.begin()
        self.query_one(CheckPanel).show(self._run)

    def show_run(self, run: LiveRun) -> None:
        """Show new items; a new run has not been checked."""
        if run is self._run:
            self.query_one(CheckPanel).show(run)

    def action_again(self) -> None:
        """Run the check again once it is done."""
        self._run.check.begin(again=True)
        self.query_one(CheckPanel).show(self._run)


class FindingScreen(PanelScreen):
    """Shows a finding with all its causes, as it is now."""

    CSS_PATH = "dialog.tcss"
    BINDINGS: ClassVar = [
        Binding("enter", "dismiss", "close", id="findings.open"),
        Binding("f", "apply", "fix", id="findings.apply_fix"),
    ]

    def __init__(self, run: ShownRun, found: FindingRaised) -> None:
        self._finding = FindingPanel(run, found)
        super().__init__(self._finding)

    def show(self) -> None:
        """Show its current numbers."""
        self._finding.show()

    async def action_apply(self) -> None:
        """Close, then apply its advice, if a knob can."""
        if self._finding.is_fixable:
            self.dismiss()
            await self.app.run_action("app.apply_fix")
