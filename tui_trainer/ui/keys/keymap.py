"""The keys: one list, from which the footer, the help and the command palette are made."""

from __future__ import annotations

from textual.binding import Binding

from tui_trainer.ui.keys.binding import key_for
from tui_trainer.ui.keys.inspect_keys import INSPECT_KEYS, VIEW, VIEW_LIST_KEYS
from tui_trainer.ui.keys.learn_keys import EXPERIMENT_KEYS, LEARN_KEYS, LESSON, LESSON_LIST_KEYS
from tui_trainer.ui.keys.pad_keys import PAD_KEYS, PEN
from tui_trainer.ui.keys.replay_keys import REPLAY_KEYS

RATE = Binding.Group("lr", compact=True)
BATCH = Binding.Group("batch", compact=True)
DROPOUT = Binding.Group("dropout", compact=True)
FEATURE = Binding.Group("feature", compact=True)
FOLD = Binding.Group("fold")

RUN_KEYS = [
    key_for(
        "space",
        "toggle_pause",
        "pause",
        "Pause between two batches, or go on",
        show=True,
        shows_as="space",
    ),
    key_for("s", "run_step", "step", "Train one batch, then pause"),
    key_for("e", "run_epoch", "epoch", "Train to the end of the epoch, then pause"),
    key_for("x", "stop_run", "stop", "End the run here and read the test set"),
    key_for("r", "run_again", "run again", "Start the same run anew", show=True),
    key_for("c", "check", "check", "Try the first steps on a fresh network: 15 seconds", show=True),
    key_for(
        "T", "look_at_test", "look at test", "Read the sealed test set now; every look is counted"
    ),
]

KNOB_KEYS = [
    key_for(
        "plus,equals_sign",
        "climb('learning_rate', 1)",
        "lr up",
        "Learning rate up: 1, 2, 5 × 10ⁿ",
        show=True,
        shows_as="+",
        group=RATE,
    ),
    key_for(
        "minus",
        "climb('learning_rate', -1)",
        "lr down",
        "Learning rate down: 1, 2, 5 × 10ⁿ",
        show=True,
        shows_as="-",
        group=RATE,
    ),
    key_for(
        "greater_than_sign,full_stop",
        "climb('batch_size', 1)",
        "batch up",
        "Batch size doubled",
        show=True,
        shows_as=">",
        group=BATCH,
    ),
    key_for(
        "less_than_sign,comma",
        "climb('batch_size', -1)",
        "batch down",
        "Batch size halved",
        show=True,
        shows_as="<",
        group=BATCH,
    ),
    key_for("a", "climb('augmentation', 1)", "augment", "Augmentation on or off", show=True),
    key_for(
        "right_square_bracket",
        "climb('dropout', 1)",
        "dropout up",
        "Dropout up by 0.05, in a network that has it",
        show=True,
        shows_as="]",
        group=DROPOUT,
    ),
    key_for(
        "left_square_bracket",
        "climb('dropout', -1)",
        "dropout down",
        "Dropout down by 0.05",
        show=True,
        shows_as="[",
        group=DROPOUT,
    ),
    key_for("f", "apply_fix", "fix", "Apply what the chosen finding suggests", show=True),
]

CHOICE_KEYS = [
    key_for(
        "up",
        "move_finding(-1)",
        "finding up",
        "Choose the finding above: f applies what it suggests",
        shows_as="↑",
    ),
    key_for(
        "down",
        "move_finding(1)",
        "finding down",
        "Choose the finding below",
        shows_as="↓",
    ),
]
FINDING_KEYS = [
    *CHOICE_KEYS,
    key_for(
        "z",
        "snooze_finding",
        "snooze",
        "Hide the chosen finding until it comes anew, or gets worse",
    ),
    key_for("Z", "wake_findings", "wake", "Bring back the findings that were snoozed"),
]

WINDOW_KEYS = [
    key_for(
        "v",
        "next_view",
        "view",
        "Next view of a window too small for all panels",
        show=True,
    ),
    key_for("t", "next_theme", "theme", "Next colour theme"),
    key_for("p", "save_picture", "picture", "Save the window as an SVG picture"),
    key_for("i", "show_failure", "details", "Show the traceback of a failed run"),
    key_for(
        "question_mark",
        "show_help",
        "help",
        "Every key and every sign",
        show=True,
        shows_as="?",
    ),
    key_for("q", "leave", "quit", "Quit; asks first while a run is under way", show=True),
    Binding("ctrl+z", "suspend_process", "suspend", show=False, system=True),
    Binding("ctrl+c,ctrl+q", "leave", "quit", show=False, priority=True, system=True),
]

MODE_KEYS = [
    key_for("1", "show_mode('train')", "train", "The run in training", show=True),
    key_for("2", "show_mode('model')", "model", "The network: layers, review, field", show=True),
    key_for(
        "3", "show_mode('inspect')", "inspect", "What it has learned, and its errors", show=True
    ),
    key_for("4", "show_mode('learn')", "learn", "The lessons, each with an experiment", show=True),
    key_for("5", "show_mode('runs')", "runs", "The recorded runs", show=True),
    key_for(
        "l",
        "open_lesson",
        "lesson",
        "The lesson of the chosen finding or verdict",
        show=True,
    ),
]

TABLE_KEYS = [
    key_for("enter", "select_cursor", "replay", "Play the chosen run", show=True, shows_as="enter"),
]
LIST_KEYS = [
    key_for("r", "reload", "refresh", "Read the folder of runs again", show=True),
]

_FOLD_ALL = key_for(
    "z",
    "screen.fold_all",
    "fold all",
    "Fold all blocks away, or open all",
    show=True,
    group=FOLD,
)
LAYER_KEYS = [
    key_for(
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
REVIEW_KEYS = [
    key_for("up", "move_verdict(-1)", "verdict above", "Choose the verdict above", shows_as="↑"),
    key_for("down", "move_verdict(1)", "verdict below", "Choose the verdict below", shows_as="↓"),
]
FIELD_KEYS = [
    key_for(
        "up",
        "screen.move_feature(-1, 0)",
        "feature up",
        "The receptive field of the feature above",
        show=True,
        shows_as="↑",
        group=FEATURE,
    ),
    key_for(
        "down",
        "screen.move_feature(1, 0)",
        "feature down",
        "Of the feature below",
        show=True,
        shows_as="↓",
        group=FEATURE,
    ),
    key_for(
        "left",
        "screen.move_feature(0, -1)",
        "feature left",
        "Of the feature to the left",
        show=True,
        shows_as="←",
        group=FEATURE,
    ),
    key_for(
        "right",
        "screen.move_feature(0, 1)",
        "feature right",
        "Of the feature to the right",
        show=True,
        shows_as="→",
        group=FEATURE,
    ),
    key_for(
        "pageup",
        "screen.move_layer(-1)",
        "layer before",
        "In the row above of the layer table",
        shows_as="pgup",
    ),
    key_for(
        "pagedown",
        "screen.move_layer(1)",
        "layer after",
        "In the row below",
        shows_as="pgdn",
    ),
]
MODEL_KEYS = [
    _FOLD_ALL,
    key_for("d", "next_digit", "digit", "Draw the receptive field on the next digit", show=True),
    key_for("c", "compare", "compare", "Compare with another network", show=True),
    key_for("tab", "next_panel", "panel", "To the next panel: its keys are shown", show=True),
]

GUIDE_KEYS = [
    key_for(
        "g", "toggle_guide", "guide", "Begin the guided path, or end it: ten minutes, step by step"
    ),
    key_for("k", "move_guide(1)", "next step", "To the next step of the guided path"),
    key_for("K", "move_guide(-1)", "step back", "To the step before"),
]

EXPERIMENT = "An experiment or a view, once tab has led there"

GROUPS = {
    "The run": RUN_KEYS,
    "Its knobs": KNOB_KEYS,
    "Its findings": FINDING_KEYS,
    "The window": [*MODE_KEYS, *WINDOW_KEYS],
    "The network": [*LAYER_KEYS[:1], *MODEL_KEYS],
    "Its review, once tab has led there": REVIEW_KEYS,
    "The receptive field, once tab has led there": FIELD_KEYS,
    "What it has learned": [*VIEW_LIST_KEYS, *INSPECT_KEYS],
    "The drawing pad": PAD_KEYS,
    "The lessons": [*LESSON_LIST_KEYS, *LEARN_KEYS],
    EXPERIMENT: EXPERIMENT_KEYS,
    "The guided path": GUIDE_KEYS,
    "The list of runs": [*TABLE_KEYS, *LIST_KEYS],
    "A recorded run": REPLAY_KEYS,
}
FIRST_TO_GO = (
    "show_mode('runs')",
    "show_mode('learn')",
    "show_mode('inspect')",
    "open_lesson",
    "climb('augmentation', 1)",
    "show_mode('model')",
    *(group.description for group in (DROPOUT, BATCH, RATE)),
    "show_mode('train')",
    LESSON.description,
    PEN.description,
    *("undo", "clear", "toggle_eraser"),
    VIEW.description,
)
"""What a footer leaves out first where it has no room for all: actions and groups of keys.

The help has all of them.
"""

KEYMAP = [*RUN_KEYS, *KNOB_KEYS, *MODE_KEYS, *GUIDE_KEYS, *WINDOW_KEYS]
