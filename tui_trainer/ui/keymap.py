"""The keys: one list, from which the footer, the help and the command palette are made."""

from __future__ import annotations

from textual.binding import Binding

RATE = Binding.Group("lr", compact=True)
BATCH = Binding.Group("batch", compact=True)
DROPOUT = Binding.Group("dropout", compact=True)


def _key(
    key: str,
    action: str,
    description: str,
    tooltip: str,
    *,
    shows_as: str | None = None,
    show: bool = False,
    group: Binding.Group | None = None,
) -> Binding:
    """Build a binding whose id is its action, so that a person's keymap can name it."""
    identity = action.replace("('", ".").replace("', ", ".").replace("')", "").replace(")", "")
    return Binding(
        key,
        action,
        description,
        show=show,
        key_display=shows_as,
        tooltip=tooltip,
        id=identity,
        group=group,
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
    _key("s", "run_step", "step", "Train one batch, then pause", show=True),
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
        "Next view of a small window: curves, layers, findings",
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
    Binding("ctrl+c,ctrl+q", "leave", "quit", show=False, priority=True, system=True),
]

GROUPS = {"The run": RUN_KEYS, "Its knobs": KNOB_KEYS, "The window": WINDOW_KEYS}
KEYMAP = [*RUN_KEYS, *KNOB_KEYS, *WINDOW_KEYS]
