"""The keys: one list, from which the footer, the help and the command palette are made."""

from __future__ import annotations

import re
from dataclasses import replace
from string import digits

from textual.binding import Binding

from tui_trainer.ui.keys.binding import bindings, key_text, keys_of

RUN_KEYS = bindings(
    "run",
    """
    *pause | space | toggle_pause | pause | Pause between two batches, or go on
    step | s | run_step | step | Train one batch, then pause
    epoch | e | run_epoch | epoch | Train to the end of the epoch, then pause
    stop | x | stop_run | stop | End the run here and read the test set
    *again | r | run_again | run again | Start the same run anew
    *check | c | check | check | Try the first steps on a fresh network: 15 seconds
    evaluate_test | T | evaluate_test | look at test | \
        Read the sealed test set now; every look is counted
    """,
)
KNOB_KEYS = bindings(
    "knobs",
    """
    *lr_up | +,= | adjust('learning_rate', 1) | lr: lr up | Learning rate up: 1, 2, 5 × 10ⁿ
    *lr_down | - | adjust('learning_rate', -1) | lr: lr down | Learning rate down: 1, 2, 5 × 10ⁿ
    *batch_size_up | >,. | adjust('batch_size', 1) | batch: batch up | Batch size doubled
    *batch_size_down | <,comma | adjust('batch_size', -1) | batch: batch down | Batch size halved
    *augmentation | a | adjust('augmentation', 1) | augment | Augmentation on or off
    *dropout_up | ] | adjust('dropout', 1) | dropout: dropout up | \
        Dropout up by 0.05, in a network that has it
    *dropout_down | [ | adjust('dropout', -1) | dropout: dropout down | Dropout down by 0.05
    *findings.apply_fix | f | apply_fix | fix | Apply what the chosen finding suggests
    """,
)
FINDING_KEYS = bindings(
    "findings",
    """
    previous | up | move_finding(-1) | finding up | \
        Choose the finding above: {findings.apply_fix} applies what it suggests
    next | down | move_finding(1) | finding down | Choose the finding below
    snooze | z | snooze_finding | snooze | \
        Hide the chosen finding until it comes anew, or gets worse
    unsnooze | Z | unsnooze_findings | wake | Bring back the findings that were snoozed
    """,
)
CHOICE_KEYS = FINDING_KEYS[:2]

WINDOW_KEYS = [
    *bindings(
        "window",
        """
        *next_view | v | next_view | view | Next view of a window too small for all panels
        next_theme | t | next_theme | theme | Next colour theme
        save_picture | p | save_picture | picture | Save the window as an SVG picture
        error_details | i | show_failure | details | Show the traceback of a failed run
        *help | ? | show_help | help | Every key and every sign
        *quit | q | quit | quit | Quit; asks first while a run is under way
        """,
    ),
    Binding("ctrl+z", "suspend_process", "suspend", show=False, system=True),
    Binding("ctrl+c,ctrl+q", "quit", "quit", show=False, priority=True, system=True),
]
MODE_KEYS = bindings(
    "screens",
    """
    *train | 1 | show_mode('train') | train | The run in training
    *model | 2 | show_mode('model') | model | The network: layers, review, field
    *inspect | 3 | show_mode('inspect') | inspect | What it has learned, and its errors
    *learn | 4 | show_mode('learn') | learn | The lessons, each with an experiment
    *runs | 5 | show_mode('runs') | runs | The recorded runs
    *lesson | l | open_lesson | lesson | The lesson of the chosen finding or verdict
    """,
)
TOUR_KEYS = bindings(
    "tour",
    """
    toggle | g | toggle_tour | guide | \
        Begin the guided path, or end it: ten minutes, step by step
    next | k | move_tour(1) | next step | To the next step of the guided path
    previous | K | move_tour(-1) | step back | To the step before
    """,
)
KEYMAP = [*RUN_KEYS, *KNOB_KEYS, *MODE_KEYS, *TOUR_KEYS, *WINDOW_KEYS]

TABLE_KEYS = bindings("runs", "*replay | enter | select_cursor | replay | Play the chosen run")
LIST_KEYS = bindings("runs", "*refresh | r | reload | refresh | Read the folder of runs again")

[_NEXT_PANEL] = bindings(
    "window", "*next_panel | tab | next_panel | panel | To the next panel: its keys are shown"
)
[ENLARGE] = bindings(
    "window",
    "enlarge | z | enlarge | enlarge | The pictures at full size, real ones where the terminal can",
)
LAYER_KEYS = bindings(
    "model",
    """
    *fold | enter | select_cursor | fold: fold | Fold a block of the layer table away, or open it
    *fold_all | z | screen.fold_all | fold: fold all | Fold all blocks away, or open all
    """,
)
MODEL_KEYS = [
    LAYER_KEYS[1],
    *bindings(
        "model",
        """
        *next_digit | d | next_digit | digit | Draw the receptive field on the next digit
        *compare | c | compare | compare | Compare with another network
        """,
    ),
    _NEXT_PANEL,
]
REVIEW_KEYS = bindings(
    "review",
    """
    previous | up | move_verdict(-1) | verdict above | Choose the verdict above
    next | down | move_verdict(1) | verdict below | Choose the verdict below
    """,
)
FIELD_KEYS = bindings(
    "receptive_field",
    """
    *up | up | screen.move_feature(-1, 0) | feature: feature up | \
        The receptive field of the feature above
    *down | down | screen.move_feature(1, 0) | feature: feature down | Of the feature below
    *left | left | screen.move_feature(0, -1) | feature: feature left | Of the feature to the left
    *right | right | screen.move_feature(0, 1) | feature: feature right | \
        Of the feature to the right
    previous_layer | pageup | screen.move_layer(-1) | layer before | \
        In the row above of the layer table
    next_layer | pagedown | screen.move_layer(1) | layer after | In the row below
    """,
)

VIEW_LIST_KEYS = bindings(
    "inspect",
    """
    lists.previous | up | move(-1) | view above | The view above
    lists.next | down | move(1) | view below | The view below
    *open | enter | screen.open_view | look | To the chosen view: its keys are shown
    """,
)
INSPECT_KEYS = [
    *bindings(
        "inspect",
        """
        *next | n | move_view(1) | view: next | The next view
        *previous | b | move_view(-1) | view: back | The view before
        """,
    ),
    replace(ENLARGE, show=True),
    _NEXT_PANEL,
    *bindings(
        "inspect",
        "*return | escape | go_back | return | Back to the view from which this one was opened",
    ),
]
LESSON_LIST_KEYS = bindings(
    "learn",
    """
    lists.previous | up | move(-1) | lesson above | The lesson above
    lists.next | down | move(1) | lesson below | The lesson below
    *open | enter | screen.open_experiment | try it | To the experiment of the chosen lesson
    """,
)
LEARN_KEYS = [
    *bindings(
        "learn",
        """
        *next | n | move_lesson(1) | lesson: next | The next lesson
        *previous | b | move_lesson(-1) | lesson: back | The lesson before
        *answer | o | toggle_answer | answer | Open the answer to the question, or fold it
        """,
    ),
    ENLARGE,
    _NEXT_PANEL,
    *bindings(
        "learn",
        """
        *stop | escape | stop_experiment | stop | \
            Stop the experiment that is under way; the run goes on
        """,
    ),
]
EXPERIMENT_KEYS = bindings(
    "experiment",
    """
    *previous_control | up | choose_control(-1) | control: control above | Choose the control before
    *next_control | down | choose_control(1) | control: control below | Choose the control after
    *turn_down | left | adjust_control(-1) | control: turn down | Turn the chosen control down
    *turn_up | right | adjust_control(1) | control: turn up | Turn the chosen control up
    *confirm | enter | confirm | go | Do what stands beside ▷; else type a number
    reset | backspace | reset_controls | put back | Put every control back to where it began
    """,
)
_SIGNS = {**{digit: digit for digit in digits}, "minus": "-", "full_stop": "."}
TYPING_KEYS = [
    Binding(key, f"screen.type_number('{sign}')", "type", show=False)
    for key, sign in _SIGNS.items()
]
"""What begins to type a number, where the chosen control takes one."""

NUMBER_KEYS = [
    Binding(key, f"add('{sign}')", "type", show=False)
    for key, sign in {**_SIGNS, "plus": "+", "e": "e", "E": "E"}.items()
]
"""What goes on with it. The line to type in takes these itself, but not those that were on their
way to the experiment when it opened: they arrive here."""

PAD_KEYS = bindings(
    "pad",
    """
    *pen | space | toggle_pen | pen | Pen down, or up: while it is down, the arrows draw
    *up | up | move_pen(0, -1) | move: go up | Move the pen up
    *down | down | move_pen(0, 1) | move: go down | Move the pen down
    *left | left | move_pen(-1, 0) | move: go left | Move the pen left
    *right | right | move_pen(1, 0) | move: go right | Move the pen right
    up_left | home | move_pen(-1, -1) | go aslant | \
        Move it aslant, as do {pad.up_right}, {pad.down_left} and {pad.down_right}: \
        as on a number pad
    up_right | pageup | move_pen(1, -1) | go up and right
    down_left | end | move_pen(-1, 1) | go down and left
    down_right | pagedown | move_pen(1, 1) | go down and right
    *thicker | w,] | change_brush(1) | brush | \
        A thicker brush: thin, normal, thick; {pad.thicker} begins anew behind thick
    thinner | [ | change_brush(-1) | thinner | A thinner brush
    *eraser | e | toggle_eraser | eraser | \
        Erase, or draw again; the right mouse button erases too
    *undo | u | undo | undo | Take the latest stroke back, or the clearing
    *clear | backspace,delete | clear | clear | Clear the pad; {pad.undo} brings the drawing back
    """,
)

# The arrows and their like go before a panel that could scroll with them.
REPLAY_KEYS = bindings(
    "replay",
    """
    *play | space | toggle_play | play | Play, or stand still
    *!back | left | jump(-1) | seek: back | A twentieth of the run back
    *!forward | right | jump(1) | seek: forward | A twentieth of the run on
    !start | home | go_to_start | start | To the start of the run
    !end | end | go_to_end | end | To the end of the run
    *faster | +,= | change_speed(1) | speed: faster | Faster, up to ×1000
    *slower | - | change_speed(-1) | speed: slower | Slower, down to ×1
    *previous_epoch | comma,b | previous_epoch | epoch: epoch back | \
        To the start of this epoch, or the one before
    *next_epoch | .,n | next_epoch | epoch: epoch on | To the end of this epoch
    *close | escape | close | close | Put the player away
    """,
)

EXPERIMENT = "An experiment or a view, once {window.next_panel} has led there"

GROUPS = {
    "The run": RUN_KEYS,
    "Its knobs": KNOB_KEYS,
    "Its findings": FINDING_KEYS,
    "The window": [*MODE_KEYS, *WINDOW_KEYS],
    "The network": [*LAYER_KEYS[:1], *MODEL_KEYS],
    "Its review, once {window.next_panel} has led there": REVIEW_KEYS,
    "The receptive field, once {window.next_panel} has led there": FIELD_KEYS,
    "What it has learned": [*VIEW_LIST_KEYS, *INSPECT_KEYS],
    "The drawing pad": PAD_KEYS,
    "The lessons": [*LESSON_LIST_KEYS, *LEARN_KEYS],
    EXPERIMENT: EXPERIMENT_KEYS,
    "The guided path": TOUR_KEYS,
    "The list of runs": [*TABLE_KEYS, *LIST_KEYS],
    "A recorded run": REPLAY_KEYS,
}
FIRST_TO_GO = (
    "show_mode('runs')",
    "show_mode('learn')",
    "show_mode('inspect')",
    "open_lesson",
    "adjust('augmentation', 1)",
    "show_mode('model')",
    *("dropout", "batch", "lr"),
    "show_mode('train')",
    *("lesson", "move", "undo", "clear", "toggle_eraser", "view"),
)
"""What a footer leaves out first where it has no room for all: actions and groups of keys.

The help has all of them.
"""

BINDINGS = {
    binding.id: binding for group in GROUPS.values() for binding in group if binding.id is not None
}
"""Every binding that a person's keys.toml can change, by its id; of those that share one, the
latest."""


def with_keys(text: str) -> str:
    """Return a text with the key in place of each id in braces, as in ``press {window.help}``."""
    return re.sub(r"\{([a-z_]+\.[a-z_]+)\}", lambda m: key_text(keys_of(BINDINGS[m[1]])[0]), text)
