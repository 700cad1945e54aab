"""The keys: one list, from which the footer, the help and the command palette are made."""

from __future__ import annotations

import re

from textual.binding import Binding

RATE = Binding.Group("lr", compact=True)
BATCH = Binding.Group("batch", compact=True)
DROPOUT = Binding.Group("dropout", compact=True)
SEEK = Binding.Group("seek", compact=True)
SPEED = Binding.Group("speed", compact=True)
EPOCH = Binding.Group("epoch", compact=True)
FEATURE = Binding.Group("feature", compact=True)
FOLD = Binding.Group("fold")


def _key(
    key: str,
    action: str,
    description: str,
    tooltip: str,
    *,
    shows_as: str | None = None,
    show: bool = False,
    group: Binding.Group | None = None,
    priority: bool = False,
) -> Binding:
    """Build a binding whose id is its action, so that a person's keymap can name it."""
    identity = ".".join(re.findall(r"[\w-]+", action))
    return Binding(
        key,
        action,
        description,
        show=show,
        key_display=shows_as,
        tooltip=tooltip,
        id=identity,
        group=group,
        priority=priority,
    )


RUN_KEYS = [
    _key(
        "space",
        "toggle_pause",
        "pause",
        "Pause between two batches, or go on",
        show=True,
        shows_as="space",
    ),
    _key("s", "run_step", "step", "Train one batch, then pause"),
    _key("e", "run_epoch", "epoch", "Train to the end of the epoch, then pause"),
    _key("x", "stop_run", "stop", "End the run here and read the test set"),
    _key("r", "run_again", "run again", "Start the same run anew", show=True),
    _key(
        "T", "look_at_test", "look at test", "Read the sealed test set now; every look is counted"
    ),
]

KNOB_KEYS = [
    _key(
        "plus,equals_sign",
        "climb('learning_rate', 1)",
        "lr up",
        "Learning rate up: 1, 2, 5 × 10ⁿ",
        show=True,
        shows_as="+",
        group=RATE,
    ),
    _key(
        "minus",
        "climb('learning_rate', -1)",
        "lr down",
        "Learning rate down: 1, 2, 5 × 10ⁿ",
        show=True,
        shows_as="-",
        group=RATE,
    ),
    _key(
        "greater_than_sign,full_stop",
        "climb('batch_size', 1)",
        "batch up",
        "Batch size doubled",
        show=True,
        shows_as=">",
        group=BATCH,
    ),
    _key(
        "less_than_sign,comma",
        "climb('batch_size', -1)",
        "batch down",
        "Batch size halved",
        show=True,
        shows_as="<",
        group=BATCH,
    ),
    _key("a", "climb('augmentation', 1)", "augment", "Augmentation on or off", show=True),
    _key(
        "right_square_bracket",
        "climb('dropout', 1)",
        "dropout up",
        "Dropout up by 0.05, in a network that has it",
        show=True,
        shows_as="]",
        group=DROPOUT,
    ),
    _key(
        "left_square_bracket",
        "climb('dropout', -1)",
        "dropout down",
        "Dropout down by 0.05",
        show=True,
        shows_as="[",
        group=DROPOUT,
    ),
    _key("f", "apply_fix", "fix", "Apply what the gravest finding suggests", show=True),
]

WINDOW_KEYS = [
    _key(
        "v",
        "next_view",
        "view",
        "Next view of a window too small for all panels",
        show=True,
    ),
    _key("t", "next_theme", "theme", "Next colour theme"),
    _key("p", "save_picture", "picture", "Save the window as an SVG picture"),
    _key("i", "show_failure", "details", "Show the traceback of a failed run"),
    _key(
        "question_mark",
        "show_help",
        "help",
        "Every key and every sign",
        show=True,
        shows_as="?",
    ),
    _key("q", "leave", "quit", "Quit; asks first while a run is under way", show=True),
    Binding("ctrl+z", "suspend_process", "suspend", show=False, system=True),
    Binding("ctrl+c,ctrl+q", "leave", "quit", show=False, priority=True, system=True),
]

MODE_KEYS = [
    _key("1", "show_mode('train')", "train", "The run in training", show=True),
    _key("2", "show_mode('model')", "model", "The network: layers, review, field", show=True),
    _key("5", "show_mode('runs')", "runs", "The recorded runs", show=True),
]

TABLE_KEYS = [
    _key("enter", "select_cursor", "replay", "Play the chosen run", show=True, shows_as="enter"),
]
LIST_KEYS = [
    _key("r", "reload", "refresh", "Read the folder of runs again", show=True),
]

_FOLD_ALL = _key(
    "z",
    "screen.fold_all",
    "fold all",
    "Fold all blocks away, or open all",
    show=True,
    group=FOLD,
)
LAYER_KEYS = [
    _key(
        "enter",
        "select_cursor",
        "fold",
        "Fold a block of the layer table away, or open it",
        show=True,
        shows_as="enter",
        group=FOLD,
    ),
    _FOLD_ALL,
]
FIELD_KEYS = [
    _key(
        "up",
        "screen.move_feature(-1, 0)",
        "feature up",
        "The receptive field of the feature above",
        show=True,
        shows_as="↑",
        group=FEATURE,
    ),
    _key(
        "down",
        "screen.move_feature(1, 0)",
        "feature down",
        "Of the feature below",
        show=True,
        shows_as="↓",
        group=FEATURE,
    ),
    _key(
        "left",
        "screen.move_feature(0, -1)",
        "feature left",
        "Of the feature to the left",
        show=True,
        shows_as="←",
        group=FEATURE,
    ),
    _key(
        "right",
        "screen.move_feature(0, 1)",
        "feature right",
        "Of the feature to the right",
        show=True,
        shows_as="→",
        group=FEATURE,
    ),
    _key(
        "pageup",
        "screen.move_layer(-1)",
        "layer before",
        "In the row above of the layer table",
        shows_as="pgup",
    ),
    _key(
        "pagedown",
        "screen.move_layer(1)",
        "layer after",
        "In the row below",
        shows_as="pgdn",
    ),
]
MODEL_KEYS = [
    _FOLD_ALL,
    _key("d", "next_digit", "digit", "Draw the receptive field on the next digit", show=True),
    _key("c", "compare", "compare", "Compare with another network", show=True),
    _key("tab", "next_panel", "panel", "To the next panel: its keys are shown", show=True),
]

# The arrows and their like go before a panel that could scroll with them.
REPLAY_KEYS = [
    _key("space", "toggle_play", "play", "Play, or stand still", show=True, shows_as="space"),
    _key(
        "left",
        "jump(-1)",
        "back",
        "A twentieth of the run back",
        show=True,
        shows_as="←",
        group=SEEK,
        priority=True,
    ),
    _key(
        "right",
        "jump(1)",
        "forward",
        "A twentieth of the run on",
        show=True,
        shows_as="→",
        group=SEEK,
        priority=True,
    ),
    _key("home", "go_to_start", "start", "To the start of the run", priority=True),
    _key("end", "go_to_end", "end", "To the end of the run", priority=True),
    _key(
        "plus,equals_sign",
        "change_speed(1)",
        "faster",
        "Faster, up to ×1000",
        show=True,
        shows_as="+",
        group=SPEED,
    ),
    _key(
        "minus",
        "change_speed(-1)",
        "slower",
        "Slower, down to ×1",
        show=True,
        shows_as="-",
        group=SPEED,
    ),
    _key(
        "comma,b",
        "previous_epoch",
        "epoch back",
        "To the start of this epoch, or the one before",
        show=True,
        shows_as=",",
        group=EPOCH,
    ),
    _key(
        "full_stop,n",
        "next_epoch",
        "epoch on",
        "To the end of this epoch",
        show=True,
        shows_as=".",
        group=EPOCH,
    ),
    _key("escape", "close", "close", "Put the player away", show=True, shows_as="esc"),
]

GROUPS = {
    "The run": RUN_KEYS,
    "Its knobs": KNOB_KEYS,
    "The window": [*MODE_KEYS, *WINDOW_KEYS],
    "The network": [*LAYER_KEYS[:1], *MODEL_KEYS],
    "The receptive field, once tab has led there": FIELD_KEYS,
    "The list of runs": [*TABLE_KEYS, *LIST_KEYS],
    "A recorded run": REPLAY_KEYS,
}
KEYMAP = [*RUN_KEYS, *KNOB_KEYS, *MODE_KEYS, *WINDOW_KEYS]
