"""The keys of the drawing pad."""

from __future__ import annotations

from textual.binding import Binding

from tui_trainer.ui.keys.binding import key_for

PEN = Binding.Group("move", compact=True)

PAD_KEYS = [
    key_for(
        "space",
        "toggle_pen",
        "pen",
        "Pen down, or up: while it is down, the arrows draw",
        show=True,
        shows_as="space",
    ),
    *(
        key_for(
            key,
            f"move_pen({x}, {y})",
            f"go {key}",
            f"Move the pen {key}",
            show=True,
            shows_as=arrow,
            group=PEN,
        )
        for key, arrow, x, y in (
            *(("up", "↑", 0, -1), ("down", "↓", 0, 1)),
            *(("left", "←", -1, 0), ("right", "→", 1, 0)),
        )
    ),
    key_for(
        "home",
        "move_pen(-1, -1)",
        "go aslant",
        "Move it aslant, as do pgup, end and pgdn: as on a number pad",
        shows_as="home …",
    ),
    *(
        Binding(key, f"move_pen({x}, {y})", show=False, system=True)
        for key, x, y in (("pageup", 1, -1), ("end", -1, 1), ("pagedown", 1, 1))
    ),
    key_for(
        "w,right_square_bracket",
        "thicken(1)",
        "brush",
        "A thicker brush: thin, normal, thick; w begins anew behind thick",
        show=True,
        shows_as="w",
    ),
    key_for("left_square_bracket", "thicken(-1)", "thinner", "A thinner brush", shows_as="["),
    key_for(
        "e",
        "toggle_eraser",
        "eraser",
        "Erase, or draw again; the right mouse button erases too",
        show=True,
    ),
    key_for("u", "undo", "undo", "Take the latest stroke back, or the clearing", show=True),
    key_for(
        "backspace,delete",
        "clear",
        "clear",
        "Clear the pad; u brings the drawing back",
        show=True,
        shows_as="⌫",
    ),
]
