"""A line that asks for a text: a filter, a note, a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import clip, columns


@dataclass(frozen=True)
class Prompt:
    """What to ask for.

    Attributes:
        label: What the text is, before the input.
        value: The text to begin with.
        check: Checks a text; it raises InputError, with the ``column`` of the mistake if it has
            one.
        submit: Called with a text that has passed the check.
        preview: Called with each such text while it is typed; None for nothing.
        cancel: Called if the line is closed without a text.
        hint: What to type.
        words: Words that can be completed.
    """

    label: str
    value: str
    check: Callable[[str], object]
    submit: Callable[[str], object]
    preview: Callable[[str], object] | None = None
    cancel: Callable[[], object] = lambda: None
    hint: str = ""
    words: tuple[str, ...] = ()


class WordSuggester(Suggester):
    """Completes the last word of a text."""

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = sorted(words)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the text with its last word completed; None if no word begins like that."""
        match = re.search(r"[a-z_]+$", value)
        if match is None:
            return None
        found = (word for word in self._words if word.startswith(match[0]))
        word = next(found, match[0])
        return value + word[len(match[0]) :] if word != match[0] else None


class PromptLine(Vertical):
    """Asks for a text at the bottom of a screen; below it is a hint, or the place of a mistake."""

    DEFAULT_CSS = """
    PromptLine { display: none; height: 2; background: $surface; padding: 0 1; }
    PromptLine.-open { display: block; }
    PromptLine > Horizontal { height: 1; }
    PromptLine Static { width: auto; height: 1; color: $role-title; }
    PromptLine Input { width: 1fr; margin: 0 0 0 1; }
    PromptLine > #prompt-note { width: 1fr; color: $role-muted; }
    PromptLine.-invalid > #prompt-note { color: $role-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", show=False)]

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._prompt: Prompt | None = None

    def compose(self) -> ComposeResult:
        """The label and the input, then the hint."""
        with Horizontal():
            yield Static(id="prompt-label", markup=False)
            yield Input(compact=True, select_on_focus=False)
        yield Static(id="prompt-note", markup=False)

    @property
    def is_open(self) -> bool:
        """Whether a text is being typed."""
        return self._prompt is not None

    def ask(self, prompt: Prompt) -> None:
        """Ask for a text."""
        self._prompt = prompt
        self.query_one("#prompt-label", Static).update(f"{prompt.label}:")
        line = self.query_one(Input)
        line.suggester = WordSuggester(prompt.words) if prompt.words else None
        with line.prevent(Input.Changed):
            line.value = prompt.value
        line.cursor_position = len(prompt.value)
        self.add_class("-open")
        self._show_problem(None)
        self.screen.set_focus(line)

    def action_cancel(self) -> None:
        """Close the line without a text."""
        if (prompt := self._close()) is not None:
            prompt.cancel()

    def _close(self) -> Prompt | None:
        prompt, self._prompt = self._prompt, None
        self.remove_class("-open")
        return prompt

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the effect of the text, or its mistake."""
        event.stop()
        if self._is_valid(event.value) and self._prompt and self._prompt.preview:
            self._prompt.preview(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take a valid text."""
        event.stop()
        if self._is_valid(event.value) and (prompt := self._close()) is not None:
            prompt.submit(event.value)

    def on_resize(self, event: Resize) -> None:
        """Show the mistake at its place."""
        if self.is_open:
            self._is_valid(self.query_one(Input).value)

    def _is_valid(self, text: str) -> bool:
        if self._prompt is None:
            return False
        try:
            self._prompt.check(text)
        except InputError as error:
            self._show_problem(error)
            return False
        self._show_problem(None)
        return True

    def _show_problem(self, error: InputError | None) -> None:
        """Show a mistake below its place, or the hint."""
        self.set_class(error is not None, "-invalid")
        note = self.query_one("#prompt-note", Static)
        prompt = self._prompt
        if prompt is None:
            return
        if error is None:
            note.update(f"{prompt.hint} · enter to apply, esc to cancel".removeprefix(" · "))
            return
        words = str(getattr(error, "problem", error))
        place = getattr(error, "column", None)
        if place is None:
            note.update(f"✗ {words}")
            return
        line = self.query_one(Input)
        column = columns(prompt.label) + 2 + place - round(line.scroll_offset.x)
        note.update(pointed(words, column, self.size.width))


def pointed(words: str, column: int, width: int) -> str:
    """Return a line of ``width`` columns that points up at a column, with words next to it."""
    column = min(max(column, 0), width - 1)
    behind = f"{' ' * column}▲ {words}"
    if columns(behind) <= width:
        return behind
    before = f"{words} ▲"
    if columns(before) <= column + 1:
        return before.rjust(column + 1)
    return clip(behind, width) if column < width // 2 else clip(words, column - 1) + " ▲"
