"""All key bindings; the footer, the help and the command palette are made from this list."""

from __future__ import annotations

import re
from dataclasses import replace
from string import digits

from textual.binding import Binding

from tui_trainer.ui.keys.binding import bindings, key_text, keys_of

RUN_KEYS = bindings(
    "run",
    """
    *pause | space | toggle_pause | pause | Pause after this batch, or resume
    step | s | run_step | step | Train one batch, then pause
    epoch | e | run_epoch | epoch | Train to the end of the epoch, then pause
    stop | x | stop_run | stop | Stop training now and evaluate the test set
    *again | r | run_again | run again | Start the same run again
    *resume | R | resume_run | resume | \
        In an attached window: resume a run without a trainer in the background
    *check | c | check | check | Run the preflight check on a fresh model: 15 seconds
    find_lr | L | find_lr | find lr | \
        Learning rate finder: range tests over several seeds from here
    race | F | race | race | \
        Fork and race: try the next batches with several learning rates or other settings
    evaluate_test | T | evaluate_test | evaluate test | \
        Evaluate the test set now; every evaluation is counted
    """,
)
KNOB_KEYS = bindings(
    "knobs",
    """
    *lr_up | +,= | adjust('base_lr', 1) | lr: lr up | \
        Raise the learning rate to the next of 1, 2, 5 × 10ⁿ
    *lr_down | - | adjust('base_lr', -1) | lr: lr down | \
        Lower the learning rate to the next of 1, 2, 5 × 10ⁿ
    *batch_size_up | >,. | adjust('batch_size', 1) | batch: batch up | Double the batch size
    *batch_size_down | <,comma | adjust('batch_size', -1) | batch: batch down | Halve the batch size
    *augmentation | a | adjust('augmentation', 1) | augment | Turn augmentation on or off
    *dropout_up | ] | adjust('dropout', 1) | dropout: dropout up | \
        Raise dropout by 0.05, in a model that has dropout layers
    *dropout_down | [ | adjust('dropout', -1) | dropout: dropout down | Lower dropout by 0.05
    *epochs_up | } | adjust('epochs', 1) | epochs: one more epoch | \
        Train one epoch more; the schedule stretches over the new number
    *epochs_down | { | adjust('epochs', -1) | epochs: one epoch less | \
        Train one epoch less; the schedule shrinks to the new number
    *findings.apply_fix | f | apply_fix | fix | Apply the advice of the chosen finding
    """,
)
FINDING_KEYS = bindings(
    "findings",
    """
    previous | up | move_finding(-1) | finding up | \
        Choose the finding above: {findings.apply_fix} applies its advice
    next | down | move_finding(1) | finding down | Choose the finding below
    open | enter | open_finding | causes | Show the chosen finding with all its causes
    snooze | z | snooze_finding | snooze | \
        Hide the chosen finding until it is raised again or gets worse
    unsnooze | Z | unsnooze_findings | unsnooze | Show the snoozed findings again
    """,
)
CHOICE_KEYS = FINDING_KEYS[:2]

WINDOW_KEYS = [
    *bindings(
        "window",
        """
        *next_view | v | next_view | page | Next view, in a window too small for all panels
        next_theme | t | next_theme | theme | Next color theme
        save_picture | p | save_picture | picture | Save a screenshot of the window as SVG
        error_details | i | show_failure | details | Show the traceback of a failed run
        *help | ? | show_help | help | List all keys and symbols
        *quit | q | quit | quit | Quit; asks first during training
        """,
    ),
    Binding("ctrl+z", "suspend_process", "suspend", show=False, system=True),
    Binding("ctrl+c,ctrl+q", "quit", "quit", show=False, priority=True, system=True),
]
MODE_KEYS = bindings(
    "screens",
    """
    *train | 1 | show_mode('train') | train | The current run: curves, layers, findings
    *model | 2 | show_mode('model') | model | The model: layers, design review, receptive field
    *inspect | 3 | show_mode('inspect') | inspect | What the model has learned, and its errors
    *learn | 4 | show_mode('learn') | learn | The lessons, each with an experiment
    *runs | 5 | show_mode('runs') | runs | The recorded runs
    *lesson | l | open_lesson | lesson | Open the lesson of the chosen finding or verdict
    """,
)
TOUR_KEYS = bindings(
    "tour",
    """
    toggle | g | toggle_tour | tour | Start or end the guided tour: ten minutes, step by step
    next | k | move_tour(1) | next step | Next step of the guided tour
    previous | K | move_tour(-1) | step back | Previous step of the guided tour
    """,
)
SEEDS_KEYS = bindings(
    "seeds",
    """
    *results | S | show_results | results | \
        In a window that trains several seeds: the results so far, or close them
    """,
)
KEYMAP = [*RUN_KEYS, *KNOB_KEYS, *MODE_KEYS, *TOUR_KEYS, *WINDOW_KEYS]

[NEXT_PANEL] = bindings(
    "window",
    "*next_panel | tab | next_panel | panel | Focus the next panel; the footer has its keys",
)
TABLE_KEYS = bindings(
    "runs",
    """
    *replay | enter | select_cursor | replay | Replay the chosen run; unfold or fold a group
    *mark | space | screen.mark | mark | Mark the chosen run or group: its curves stay, and differ
    mark_all | a | screen.mark_all | mark all | Mark all listed runs or groups, or remove all marks
    *filter | / | screen.filter | filter | \
        List only some runs: words, or for example val_acc > 99% and model = small
    *sort | s | screen.sort | sort | Sort by a column; by the same one again, in reverse
    reverse | R | screen.reverse | reverse | Reverse the order
    *group | g | screen.group | group | \
        Group the runs by settings: mean and 95 % interval over the runs of a group
    columns | c | screen.columns | columns | Choose the columns of the list
    *open | o | screen.open_in | open in | Open the chosen run in another screen
    rename | e | screen.rename | rename | Rename the chosen run
    note | n | screen.note | note | Write a note on the chosen run
    tag | # | screen.tag | tag | Tag the chosen run, or all runs of the chosen group
    delete | D,delete | screen.delete | delete | Move the chosen run to the trash; asks first
    """,
)
LIST_KEYS = [
    *bindings(
        "runs",
        """
        *metric | d | next_metric | metric | Draw the next metric
        *lens | b | toggle_lens | lens | \
            The batch-size lens: the same runs against steps, images and seconds
        test | x | paired_test | McNemar | \
            Compare the marked runs on the same validation images: McNemar's test
        *refresh | r | reload | refresh | Read the folder of runs again
        """,
    ),
    NEXT_PANEL,
]

TRIAL_KEYS = bindings(
    "sweep",
    """
    previous | up | screen.move_trial(-1) | trial above | Choose the trial above
    next | down | screen.move_trial(1) | trial below | Choose the trial below
    """,
)
SWEEP_KEYS = [
    *bindings(
        "sweep",
        """
        *open | enter | open_trial | open | \
            Open the chosen trial: replay its run, or watch it while it is trained
        *sort | s | sort_trials | sort | Sort the trials: the best first, or the latest first
        *stop | x | app.stop_sweep | stop | \
            Stop the sweep: its workers save their runs after the batch; it can be resumed
        *metric | d | next_metric | metric | Draw the next metric of the curves
        """,
    ),
    NEXT_PANEL,
]
TRIALS_TABLE_KEYS = [replace(SWEEP_KEYS[0], action="select_cursor")]

[ENLARGE] = bindings(
    "window",
    "enlarge | z | enlarge | enlarge | Show the images at full size, in pixels if the terminal can",
)
CHART_KEYS = bindings(
    "chart",
    """
    *cursor_left | left | move_cursor(-1) | cursor: cursor left | \
        Read the values of all curves at a place; move it to the left
    *cursor_right | right | move_cursor(1) | cursor: cursor right | Move that place to the right
    cursor_start | home | cursor_to(0) | cursor to the start | Read the values at the start
    cursor_end | end | cursor_to(1) | cursor to the end | Read the latest values
    *zoom_in | up | zoom(1) | zoom: zoom in | Zoom in, as with the mouse wheel
    *zoom_out | down | zoom(-1) | zoom: zoom out | Zoom out
    pan_left | pageup | pan(-1) | pan left | Show the part before, as by dragging with the mouse
    pan_right | pagedown | pan(1) | pan right | Show the part after
    *whole | w | show_whole | whole | Show the whole run again
    *x_axis | h | next_x | x axis | Next unit of the x axis: epochs, steps, images, time
    *y_scale | y | next_y | scale | Next scale of the y axis: log or nines, linear
    *smoothing | m | next_smoothing | smoothing | Next smoothing: light, strong, each batch
    *enlarge | enter | enlarge_chart | enlarge | Show this chart alone, or all panels again
    *leave | escape | leave | leave | Remove the cursor, then leave the chart
    """,
)
LAYER_KEYS = bindings(
    "model",
    """
    *fold | enter | select_cursor | fold: fold | Fold or unfold a block of the layer table
    *fold_all | z | screen.fold_all | fold: fold all | Fold or unfold all blocks
    """,
)
MODEL_KEYS = [
    LAYER_KEYS[1],
    *bindings(
        "model",
        """
        *next_digit | d | next_digit | image | Show the receptive field on the next image
        *compare | c | compare | compare | Compare with another model
        """,
    ),
    NEXT_PANEL,
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
        Receptive field of the feature above
    *down | down | screen.move_feature(1, 0) | feature: feature down | Of the feature below
    *left | left | screen.move_feature(0, -1) | feature: feature left | Of the feature to the left
    *right | right | screen.move_feature(0, 1) | feature: feature right | \
        Of the feature to the right
    previous_layer | pageup | screen.move_layer(-1) | layer before | \
        Of the previous row of the layer table
    next_layer | pagedown | screen.move_layer(1) | layer after | Of the next row
    """,
)

VIEW_LIST_KEYS = bindings(
    "inspect",
    """
    lists.previous | up | move(-1) | view above | Choose the view above
    lists.next | down | move(1) | view below | Choose the view below
    *open | enter | screen.open_view | open | Focus the chosen view; the footer has its keys
    """,
)
INSPECT_KEYS = [
    *bindings(
        "inspect",
        """
        *next | n | move_view(1) | view: next | Next view
        *previous | b | move_view(-1) | view: back | Previous view
        *picture | o | open_picture | open a picture | Predict a picture, for images in color
        """,
    ),
    replace(ENLARGE, show=True),
    NEXT_PANEL,
    *bindings(
        "inspect",
        "*return | escape | go_back | return | Back to the view that opened this one",
    ),
]
LESSON_LIST_KEYS = bindings(
    "learn",
    """
    lists.previous | up | move(-1) | lesson above | Choose the lesson above
    lists.next | down | move(1) | lesson below | Choose the lesson below
    *open | enter | screen.open_experiment | try it | Focus the experiment of the chosen lesson
    """,
)
LEARN_KEYS = [
    *bindings(
        "learn",
        """
        *next | n | move_lesson(1) | lesson: next | Next lesson
        *previous | b | move_lesson(-1) | lesson: back | Previous lesson
        *answer | o | toggle_answer | answer | Show or hide the answer to the question
        """,
    ),
    ENLARGE,
    NEXT_PANEL,
    *bindings(
        "learn",
        """
        *stop | escape | stop_experiment | stop | Stop the experiment; training continues
        """,
    ),
]
EXPERIMENT_KEYS = bindings(
    "experiment",
    """
    *previous_control | up | choose_control(-1) | control: control above | \
        Choose the previous control
    *next_control | down | choose_control(1) | control: control below | Choose the next control
    *turn_down | left | adjust_control(-1) | control: decrease control | Decrease the chosen control
    *turn_up | right | adjust_control(1) | control: increase control | Increase the chosen control
    *confirm | enter | confirm | confirm | Do what the line with ▷ says; without one, type a number
    reset | backspace | reset_controls | reset controls | Reset all controls
    """,
)
_SIGNS = {**{digit: digit for digit in digits}, "minus": "-", "full_stop": "."}
TYPING_KEYS = [
    Binding(key, f"screen.type_number('{sign}')", "type", show=False)
    for key, sign in _SIGNS.items()
]
"""Keys that start to type a number, if the chosen control takes one."""

NUMBER_KEYS = [
    Binding(key, f"add('{sign}')", "type", show=False)
    for key, sign in {**_SIGNS, "plus": "+", "e": "e", "E": "E"}.items()
]
"""Keys that continue the number. The input line handles them itself, except for those that were on
their way to the experiment while it opened: these arrive here."""

PAD_KEYS = bindings(
    "pad",
    """
    *pen | space | toggle_pen | pen | Pen down or up: while it is down, the arrow keys draw
    *up | up | move_pen(0, -1) | move: move up | Move the pen up
    *down | down | move_pen(0, 1) | move: move down | Move the pen down
    *left | left | move_pen(-1, 0) | move: move left | Move the pen left
    *right | right | move_pen(1, 0) | move: move right | Move the pen right
    up_left | home | move_pen(-1, -1) | move diagonally | \
        Diagonally; so do {pad.up_right}, {pad.down_left} and {pad.down_right}, \
        as on a number pad
    up_right | pageup | move_pen(1, -1) | move up and right
    down_left | end | move_pen(-1, 1) | move down and left
    down_right | pagedown | move_pen(1, 1) | move down and right
    *thicker | w,] | change_brush(1) | brush | Next brush: thin, normal, thick, then thin again
    thinner | [ | change_brush(-1) | thinner | A thinner brush
    *eraser | e | toggle_eraser | eraser | \
        Switch between pen and eraser; the right mouse button erases too
    *undo | u | undo | undo | Undo the last stroke or clear
    *clear | backspace,delete | clear | clear | Clear the pad; {pad.undo} restores the drawing
    """,
)

FIND_LR_KEYS = bindings(
    "find_lr",
    """
    *take_over | f | take_over | take over | Set the base learning rate to the suggestion
    *leave | escape | leave | leave | Stop the tests, then leave the finder; the run goes on
    """,
)
RACE_KEYS = [
    *bindings(
        "race",
        """
        *first | a | choose_arm(1) | choose: arm a | Go on with the first arm: asks from where
        *second | b | choose_arm(2) | choose: arm b | Go on with the second arm
        *third | c | choose_arm(3) | choose: arm c | Go on with the third arm
        *leave | escape | leave | leave | Stop the race, then leave it; the run goes on
        """,
    ),
]

# The arrow keys, home and end have priority over a panel that could scroll with them.
REPLAY_KEYS = bindings(
    "replay",
    """
    *play | space | toggle_play | play | Play or pause
    *!back | left | jump(-1) | seek: back | Back by a twentieth of the run
    *!forward | right | jump(1) | seek: forward | Forward by a twentieth of the run
    !start | home | go_to_start | start | To the start of the run
    !end | end | go_to_end | end | To the end of the run
    *faster | +,= | change_speed(1) | speed: faster | Faster, up to ×1000
    *slower | - | change_speed(-1) | speed: slower | Slower, down to ×1
    *previous_epoch | comma,b | previous_epoch | epoch: epoch back | \
        To the start of this epoch, or the one before
    *next_epoch | .,n | next_epoch | epoch: epoch on | To the end of this epoch
    *close | escape | close | close | Close the replay
    """,
)

EXPERIMENT = "An experiment or a view, once {window.next_panel} has focused it"

GROUPS = {
    "The run": RUN_KEYS,
    "The knobs": KNOB_KEYS,
    "The findings": FINDING_KEYS,
    "A chart, once {window.next_panel} has focused it": CHART_KEYS,
    "The window": [*MODE_KEYS, *WINDOW_KEYS],
    "The model": [*LAYER_KEYS[:1], *MODEL_KEYS],
    "The design review, once {window.next_panel} has focused it": REVIEW_KEYS,
    "The receptive field, once {window.next_panel} has focused it": FIELD_KEYS,
    "What the model has learned": [*VIEW_LIST_KEYS, *INSPECT_KEYS],
    "The drawing pad": PAD_KEYS,
    "The lessons": [*LESSON_LIST_KEYS, *LEARN_KEYS],
    EXPERIMENT: EXPERIMENT_KEYS,
    "A race": RACE_KEYS,
    "The learning rate finder": FIND_LR_KEYS,
    "The guided tour": TOUR_KEYS,
    "Several seeds": SEEDS_KEYS,
    "A sweep": [*TRIAL_KEYS, *SWEEP_KEYS],
    "The list of runs": [*TABLE_KEYS, *LIST_KEYS],
    "A recorded run": REPLAY_KEYS,
}
FIRST_TO_GO = (
    "epochs",
    "show_mode('runs')",
    "show_mode('learn')",
    "show_mode('inspect')",
    "open_lesson",
    "adjust('augmentation', 1)",
    "show_mode('model')",
    *("dropout", "batch", "lr"),
    "show_mode('train')",
    *("lesson", "move", "undo", "clear", "toggle_eraser", "view"),
    *("epoch", "speed", "check", "run_again", "next_smoothing", "show_whole"),
    *("reload", "toggle_lens", "next_panel", "next_metric", "apply_fix", "toggle_pause"),
    "screen.open_in",
)
"""Actions and groups that a footer without room for all keys omits, in this order.

The help lists all of them.
"""

BINDINGS = {
    binding.id: binding for group in GROUPS.values() for binding in group if binding.id is not None
}
"""Every binding that keys.toml can change, by its id; the last one of those that share an id."""


def with_keys(text: str) -> str:
    """Replace each id in braces by its key, as in ``press {window.help}``."""
    return re.sub(r"\{([a-z_]+\.[a-z_]+)\}", lambda m: key_text(keys_of(BINDINGS[m[1]])[0]), text)
