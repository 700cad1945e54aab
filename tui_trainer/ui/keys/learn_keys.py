"""The keys of the lessons and of their experiments."""

from __future__ import annotations

from string import digits

from textual.binding import Binding

from tui_trainer.ui.keys.binding import key_for

CONTROL = Binding.Group("control", compact=True)
LESSON = Binding.Group("lesson", compact=True)

ENLARGE = key_for(
    "z",
    "enlarge",
    "enlarge",
    "The pictures at full size, real ones where the terminal can",
)

LESSON_LIST_KEYS = [
    key_for("up", "move(-1)", "lesson above", "The lesson above", shows_as="↑"),
    key_for("down", "move(1)", "lesson below", "The lesson below", shows_as="↓"),
    key_for(
        "enter",
        "screen.to_experiment",
        "try it",
        "To the experiment of the chosen lesson",
        show=True,
        shows_as="enter",
    ),
]
LEARN_KEYS = [
    key_for(
        "n", "move_lesson(1)", "next", "The next lesson", show=True, shows_as="n", group=LESSON
    ),
    key_for(
        "b", "move_lesson(-1)", "back", "The lesson before", show=True, shows_as="b", group=LESSON
    ),
    key_for("o", "open_answer", "answer", "Open the answer to the question, or fold it", show=True),
    ENLARGE,
    key_for("tab", "next_panel", "panel", "To the next panel: its keys are shown", show=True),
    key_for(
        "escape",
        "stop_trying",
        "stop",
        "Stop the experiment that is under way; the run goes on",
        show=True,
        shows_as="esc",
    ),
]
EXPERIMENT_KEYS = [
    key_for(
        "up",
        "choose_control(-1)",
        "control above",
        "Choose the control before",
        show=True,
        shows_as="↑",
        group=CONTROL,
    ),
    key_for(
        "down",
        "choose_control(1)",
        "control below",
        "Choose the control after",
        show=True,
        shows_as="↓",
        group=CONTROL,
    ),
    key_for(
        "left",
        "turn_control(-1)",
        "turn down",
        "Turn the chosen control down",
        show=True,
        shows_as="←",
        group=CONTROL,
    ),
    key_for(
        "right",
        "turn_control(1)",
        "turn up",
        "Turn the chosen control up",
        show=True,
        shows_as="→",
        group=CONTROL,
    ),
    key_for(
        "enter",
        "go",
        "go",
        "Do what stands beside ▷; else type a number",
        show=True,
        shows_as="enter",
    ),
    key_for(
        "backspace",
        "put_back",
        "put back",
        "Put every control back to where it began",
        shows_as="⌫",
    ),
]
TYPING_KEYS = [
    Binding(key, f"screen.type_number('{sign}')", "type", show=False)
    for key, sign in (*((digit, digit) for digit in digits), ("minus", "-"), ("full_stop", "."))
]
"""What begins to type a number, where the chosen control takes one."""

NUMBER_KEYS = [
    Binding(key, f"add('{sign}')", "type", show=False)
    for key, sign in (
        *((digit, digit) for digit in digits),
        *(("minus", "-"), ("plus", "+"), ("full_stop", "."), ("e", "e"), ("E", "E")),
    )
]
"""What goes on with it. The line to type in takes these itself, but not those that were on their
way to the experiment when it opened: they arrive here."""
