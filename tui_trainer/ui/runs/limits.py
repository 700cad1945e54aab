"""What a run cannot do that others can: the reasons for dimmed keys."""

from __future__ import annotations

from tui_trainer.protocol import commands
from tui_trainer.protocol.events import RunStarted

_COMMANDS = {
    "toggle_pause": commands.Pause,
    "run_step": commands.RunStep,
    "run_epoch": commands.RunEpoch,
    "evaluate_test": commands.EvaluateTest,
    "stop_run": commands.Stop,
}
"""The command of each action without parameters."""

CHECK = "the check trains with mnist-tui's own loop; call run.check() in the script"

FIND_LR = "the finder trains with mnist-tui's own loop, and a script trains this run"
RACE = "a script trains this run, and only its own loop could go on from here"

_NOT_OF_SCRIPTS = {"check": CHECK, "race": RACE, "find_lr": FIND_LR}


def limit_of(started: RunStarted | None, action: str, parameters: tuple[object, ...]) -> str:
    """Return why a run cannot do what an action of the window asks for; empty if it can."""
    if started is None:
        return ""
    if started.script and action in _NOT_OF_SCRIPTS:
        return _NOT_OF_SCRIPTS[action]
    command = _COMMANDS.get(action)
    name = command.__name__ if command is not None else ""
    if action == "adjust" and parameters:
        name = str(parameters[0])
    return dict(started.unavailable).get(name, "")


def knob_limit(started: RunStarted | None, knob: str) -> str:
    """Return why a knob of a run cannot be set; empty if it can."""
    return limit_of(started, "adjust", (knob,))


def field_limit(started: RunStarted | None) -> str:
    """Return why a receptive field of a script's model cannot be drawn; empty if it can."""
    if started is None or not started.script or not started.layers:
        return ""
    height, width, _ = started.layers[0].output_shape
    is_square = height == width > 1
    return question_limit(started) if is_square else "the inputs of this model are no square images"


def question_limit(started: RunStarted | None) -> str:
    """Return why questions about the model of a run have no answers; empty if they have."""
    why = dict(started.unavailable).get(commands.Ask.__name__, "") if started is not None else ""
    return why and f"The model cannot be built without its script: {why}."
