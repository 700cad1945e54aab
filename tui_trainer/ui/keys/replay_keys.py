"""The keys of a recorded run on show."""

from __future__ import annotations

from textual.binding import Binding

from tui_trainer.ui.keys.binding import key_for

SEEK = Binding.Group("seek", compact=True)
SPEED = Binding.Group("speed", compact=True)
EPOCH = Binding.Group("epoch", compact=True)

# The arrows and their like go before a panel that could scroll with them.
REPLAY_KEYS = [
    key_for("space", "toggle_play", "play", "Play, or stand still", show=True, shows_as="space"),
    key_for(
        "left",
        "jump(-1)",
        "back",
        "A twentieth of the run back",
        show=True,
        shows_as="←",
        group=SEEK,
        priority=True,
    ),
    key_for(
        "right",
        "jump(1)",
        "forward",
        "A twentieth of the run on",
        show=True,
        shows_as="→",
        group=SEEK,
        priority=True,
    ),
    key_for("home", "go_to_start", "start", "To the start of the run", priority=True),
    key_for("end", "go_to_end", "end", "To the end of the run", priority=True),
    key_for(
        "plus,equals_sign",
        "change_speed(1)",
        "faster",
        "Faster, up to ×1000",
        show=True,
        shows_as="+",
        group=SPEED,
    ),
    key_for(
        "minus",
        "change_speed(-1)",
        "slower",
        "Slower, down to ×1",
        show=True,
        shows_as="-",
        group=SPEED,
    ),
    key_for(
        "comma,b",
        "previous_epoch",
        "epoch back",
        "To the start of this epoch, or the one before",
        show=True,
        shows_as=",",
        group=EPOCH,
    ),
    key_for(
        "full_stop,n",
        "next_epoch",
        "epoch on",
        "To the end of this epoch",
        show=True,
        shows_as=".",
        group=EPOCH,
    ),
    key_for("escape", "close", "close", "Put the player away", show=True, shows_as="esc"),
]
