from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.run_query import parse_filter
from tui_trainer.ui.widgets.prompt_line import Prompt, PromptLine, WordSuggester, pointed


class Asking(App[None]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {f"role-{role}": "#ffffff" for role in ("title", "muted", "error")}

    def compose(self) -> ComposeResult:
        yield PromptLine(id="prompt")

    @property
    def prompt(self) -> PromptLine:
        return self.query_one(PromptLine)

    @property
    def note(self) -> str:
        return str(self.query_one("#prompt-note", Static).content)


def prompt(*, value: str = "", calls: list[str]) -> Prompt:
    return Prompt(
        "filter",
        value,
        check=parse_filter,
        submit=lambda text: calls.append(f"submit {text}"),
        preview=lambda text: calls.append(f"preview {text}"),
        cancel=lambda: calls.append("cancel"),
        hint="a word",
        words=("val_acc", "val_loss"),
    )


async def test_a_text_is_previewed_and_submitted() -> None:
    app, calls = Asking(), list[str]()
    async with app.run_test(size=(80, 24)) as pilot:
        app.prompt.ask(prompt(value="smal", calls=calls))
        assert app.note == "a word · enter to apply, esc to cancel"
        await pilot.press("l", "enter")
        assert calls == ["preview small", "submit small"]
        assert not app.prompt.is_open


async def test_a_mistake_is_shown_at_its_place_and_not_submitted() -> None:
    app, calls = Asking(), list[str]()
    async with app.run_test(size=(80, 24)) as pilot:
        app.prompt.ask(prompt(value="model = ", calls=calls))
        await pilot.press("enter")
        await pilot.pause()
        assert app.prompt.is_open
        assert app.note.index("▲") == len("filter: model =")
        await pilot.press("escape")
        assert calls == ["cancel"]


async def test_a_mistake_without_a_place_is_shown() -> None:
    def check(text: str) -> None:
        raise InputError(f"{text}: no name")

    app, calls = Asking(), list[str]()
    async with app.run_test(size=(80, 24)) as pilot:
        app.prompt.ask(Prompt("rename", "x", check=check, submit=calls.append))
        await pilot.press("enter")
        await pilot.pause()
        assert app.note == "✗ x: no name"
        assert calls == []


@pytest.mark.parametrize(
    ("column", "expected"),
    [(0, "▲ no such field"), (4, "    ▲ no such field"), (28, "              no such field ▲")],
)
def test_a_line_points_at_a_column(column: int, expected: str) -> None:
    line = pointed("no such field", column, 32)
    assert line == expected
    assert len(line) <= 32


async def test_the_last_word_is_completed() -> None:
    suggester = WordSuggester(("val_acc", "val_loss", "and"))
    assert await suggester.get_suggestion("small an") == "small and"
    assert await suggester.get_suggestion("val_l") == "val_loss"
    assert await suggester.get_suggestion("val_acc") is None
    assert await suggester.get_suggestion("x > 3") is None
