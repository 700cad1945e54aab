"""Which bindings are active at the same time: no two of them may share a key."""

from __future__ import annotations

from collections.abc import Iterator

from textual.actions import parse
from textual.binding import Binding

from tui_trainer.ui.keys import keymap

PAUSE, BATCH_SIZE, LESSON = keymap.RUN_KEYS[0], keymap.KNOB_KEYS[2:4], keymap.MODE_KEYS[-1]
CURSOR = Binding("up,down,left,right,home,end,pageup,pagedown", "cursor", "moving the cursor")
"""Textual's built-in keys of a table."""

TYPING = Binding(
    ",".join(binding.key for binding in keymap.TYPING_KEYS), "type_number", "typing a number"
)

APP_KEYS = {
    "train": [*keymap.RUN_KEYS, *keymap.KNOB_KEYS, *keymap.TOUR_KEYS, LESSON],
    "model": [PAUSE, *BATCH_SIZE, LESSON],
    "inspect": [PAUSE, *keymap.TOUR_KEYS],
    "learn": [PAUSE, *keymap.KNOB_KEYS, *keymap.TOUR_KEYS],
    "runs": [],
    "sweep": [],
}
"""The app's bindings on each screen, without those that are active on all screens."""

RUN_ACTIONS = {parse(key.action)[1] for key in (*keymap.RUN_KEYS, *keymap.KNOB_KEYS)}
"""Actions that only the screens of the live run have."""

_ACTIONS = {
    screen: {parse(binding.action)[1:] for binding in keys} for screen, keys in APP_KEYS.items()
}

PANELS = {
    "train": ("train", [keymap.FINDING_KEYS, [keymap.NEXT_PANEL]]),
    "train, chart": ("train", [keymap.CHART_KEYS, keymap.FINDING_KEYS, [keymap.NEXT_PANEL]]),
    "model, layers": ("model", [keymap.MODEL_KEYS, keymap.LAYER_KEYS, [CURSOR]]),
    "model, review": ("model", [keymap.MODEL_KEYS, keymap.REVIEW_KEYS]),
    "model, receptive field": ("model", [keymap.MODEL_KEYS, keymap.FIELD_KEYS]),
    "inspect, list": ("inspect", [keymap.INSPECT_KEYS, keymap.VIEW_LIST_KEYS]),
    "inspect, view": ("inspect", [keymap.INSPECT_KEYS, keymap.EXPERIMENT_KEYS, [TYPING]]),
    "inspect, drawing pad": ("inspect", [keymap.INSPECT_KEYS, keymap.PAD_KEYS]),
    "learn, list": ("learn", [keymap.LEARN_KEYS, keymap.LESSON_LIST_KEYS]),
    "learn, experiment": ("learn", [keymap.LEARN_KEYS, keymap.EXPERIMENT_KEYS, [TYPING]]),
    "find-lr": ("runs", [keymap.FIND_LR_KEYS, keymap.EXPERIMENT_KEYS, [TYPING]]),
    "race": ("runs", [keymap.RACE_KEYS, keymap.EXPERIMENT_KEYS, [TYPING]]),
    "runs": ("runs", [keymap.LIST_KEYS, keymap.TABLE_KEYS, [CURSOR]]),
    "replay": ("runs", [keymap.REPLAY_KEYS, keymap.FINDING_KEYS, [keymap.NEXT_PANEL, LESSON]]),
    "replay, chart": (
        "runs",
        [
            [*keymap.CHART_KEYS, keymap.NEXT_PANEL],
            [keymap.REPLAY_KEYS[0], *keymap.REPLAY_KEYS[5:], *keymap.FINDING_KEYS],
        ],
    ),
    "sweep": ("sweep", [keymap.SWEEP_KEYS, [CURSOR]]),
    "sweep, parallel coordinates": ("sweep", [keymap.SWEEP_KEYS, keymap.TRIAL_KEYS]),
    "sweep, chart": ("sweep", [keymap.CHART_KEYS, keymap.SWEEP_KEYS]),
    "runs, chart": ("runs", [keymap.CHART_KEYS, keymap.LIST_KEYS]),
}
"""Each screen with its focused panel: the screen's name, and the bindings that they add."""

OVERRIDING = {binding.id for binding in keymap.CHART_KEYS}
"""Bindings of a panel that is focused only on purpose: they may share keys with the app and the
screen, whose bindings act again once the panel is left."""


def acts_on(screen: str, action: str, parameters: tuple[object, ...]) -> bool:
    """Return whether a screen shows the effect of an action on the run."""
    return (action, parameters) in _ACTIONS.get(screen, ())


def contexts() -> Iterator[tuple[str, list[Binding]]]:
    """Yield each context, and all bindings that are active in it."""
    for place, (screen, lists) in PANELS.items():
        added = [binding for bindings in lists for binding in bindings]
        everywhere = [*keymap.MODE_KEYS[:-1], *keymap.WINDOW_KEYS, *keymap.SEEDS_KEYS]
        yield place, [*added, *APP_KEYS[screen], *everywhere]
