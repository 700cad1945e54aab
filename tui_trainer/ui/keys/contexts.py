"""Which keys act at the same time: where two of them must not be the same."""

from __future__ import annotations

from collections.abc import Iterator

from textual.actions import parse
from textual.binding import Binding

from tui_trainer.ui.keys.keymap import (
    EXPERIMENT_KEYS,
    FIELD_KEYS,
    FINDING_KEYS,
    GUIDE_KEYS,
    INSPECT_KEYS,
    KNOB_KEYS,
    LAYER_KEYS,
    LEARN_KEYS,
    LESSON_LIST_KEYS,
    LIST_KEYS,
    MODE_KEYS,
    MODEL_KEYS,
    PAD_KEYS,
    REPLAY_KEYS,
    REVIEW_KEYS,
    RUN_KEYS,
    TABLE_KEYS,
    TYPING_KEYS,
    VIEW_LIST_KEYS,
    WINDOW_KEYS,
)

PAUSE, BATCH_SIZE, LESSON = RUN_KEYS[0], KNOB_KEYS[2:4], MODE_KEYS[-1]
CURSOR = Binding("up,down,left,right,home,end,pageup,pagedown", "cursor", "moving the cursor")
"""Textual's own keys in a table."""

TYPING = Binding(",".join(binding.key for binding in TYPING_KEYS), "type_number", "typing a number")

APP_KEYS = {
    "train": [*RUN_KEYS, *KNOB_KEYS, *GUIDE_KEYS, LESSON],
    "model": [PAUSE, *BATCH_SIZE, LESSON],
    "inspect": [PAUSE, *GUIDE_KEYS],
    "learn": [PAUSE, *KNOB_KEYS, *GUIDE_KEYS],
    "runs": [],
}
"""The app's keys that act on each screen, without those that act on all."""

_ACTIONS = {
    screen: {parse(binding.action)[1:] for binding in keys} for screen, keys in APP_KEYS.items()
}

PANELS = {
    "train": ("train", [FINDING_KEYS]),
    "model, layers": ("model", [MODEL_KEYS, LAYER_KEYS, [CURSOR]]),
    "model, review": ("model", [MODEL_KEYS, REVIEW_KEYS]),
    "model, receptive field": ("model", [MODEL_KEYS, FIELD_KEYS]),
    "inspect, list": ("inspect", [INSPECT_KEYS, VIEW_LIST_KEYS]),
    "inspect, view": ("inspect", [INSPECT_KEYS, EXPERIMENT_KEYS, [TYPING]]),
    "inspect, drawing pad": ("inspect", [INSPECT_KEYS, PAD_KEYS]),
    "learn, list": ("learn", [LEARN_KEYS, LESSON_LIST_KEYS]),
    "learn, experiment": ("learn", [LEARN_KEYS, EXPERIMENT_KEYS, [TYPING]]),
    "runs": ("runs", [LIST_KEYS, TABLE_KEYS, [CURSOR]]),
    "replay": ("runs", [REPLAY_KEYS, FINDING_KEYS, [LESSON]]),
}
"""The screens with the panel that has the focus: the app's keys, and what is added to them."""


def acts_on(screen: str, action: str, parameters: tuple[object, ...]) -> bool:
    """Return whether an action on the run has an effect that a screen shows."""
    return (action, parameters) in _ACTIONS.get(screen, ())


def contexts() -> Iterator[tuple[str, list[Binding]]]:
    """Return each place where keys act together, and their bindings."""
    for place, (screen, lists) in PANELS.items():
        own = [binding for bindings in lists for binding in bindings]
        yield place, [*own, *APP_KEYS[screen], *MODE_KEYS[:-1], *WINDOW_KEYS]
