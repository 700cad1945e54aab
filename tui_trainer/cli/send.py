"""``mnist-tui send``: a command for the trainer of a run, from a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from tui_trainer.cli.options import Debug, JsonObject, option
from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import KNOBS, Command
from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.errors import CommandError, InputError, SettingError
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Diverged,
    Rewound,
    RunFailed,
    RunFinished,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.settings import shown
from tui_trainer.recording.answer import Answer, answer_of
from tui_trainer.recording.folder import RunFolder, find_run
from tui_trainer.text import fmt

TIMEOUT, LONGEST_TIMEOUT = 10.0, 86_400.0

SWITCH = {"on": 1.0, "off": 0.0}

VALUES = {
    "lr": "base_lr",
    "batch": "batch_size",
    "dropout": "dropout",
    "augment": "augmentation",
    "epochs": "epochs",
}
"""The actions that set a knob, with its name in ``KNOBS``."""

ACTIONS: Mapping[str, Callable[[], Command]] = {
    "pause": commands.Pause,
    "resume": commands.Resume,
    "step": commands.RunStep,
    "epoch": commands.RunEpoch,
    "test": commands.EvaluateTest,
    "stop": commands.Stop,
}
"""The actions without a value."""

REWIND = "rewind"


def send(
    run: Annotated[str, typer.Argument(help="Run name or folder", metavar="RUN")],
    action: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join((*VALUES, REWIND))} with a value; or {', '.join(ACTIONS)}",
            metavar="ACTION",
        ),
    ],
    value: Annotated[
        str | None,
        typer.Argument(
            help="A number; for augment: on or off; for rewind: the new learning rate",
            metavar="VALUE",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, option(f"Seconds to wait for the trainer ({TIMEOUT:g})", "--timeout")
    ] = TIMEOUT,
    as_json: JsonObject = False,
    debug: Debug = False,
) -> None:
    """Send a command to the process that trains a run, and print its answer.

    Exits with 0 once the trainer has confirmed the command. `step` waits for the batch,
    `test` for the accuracy and `stop` for the end of the run.
    """
    command = command_of(action, value)
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise InputError(
            f"--timeout {timeout:g}: choose above 0 and at most {LONGEST_TIMEOUT:,.0f} seconds"
        )
    folder = find_run(run)
    answer = answer_of(folder, command, timeout)
    if as_json and (event := answer.event) is not None:
        standard_output().event(event)
    if problem := problem_of(answer, folder, timeout):
        raise problem
    if not as_json:
        standard_output().line(words_of(answer))


# --- the command


def command_of(action: str, value: str | None) -> Command:
    """Return the command of an action, checked by the rules of the settings.

    Raises:
        InputError: If there is no such action, or its value cannot be used.
    """
    if action in ACTIONS:
        if value is not None:
            raise InputError(f"{action} {shown(value)}: {action} takes no value; remove it")
        return ACTIONS[action]()
    if action not in VALUES and action != REWIND:
        names = ", ".join((*VALUES, *ACTIONS, REWIND))
        raise InputError(f"unknown action {shown(action)}; choose {names}")
    if value is None:
        example = {"augment": "off", "epochs": "20", "batch": "256", "dropout": "0.1"}
        raise InputError(
            f"{action}: needs a value, as in `mnist-tui send RUN {action} "
            f"{example.get(action, '0.01')}`"
        )
    number = _checked(action, VALUES.get(action, "base_lr"), value)
    return commands.Rewind(number) if action == REWIND else KNOBS[VALUES[action]](number)


def _checked(action: str, knob: str, value: str) -> float:
    """Return the value of a knob.

    Raises:
        InputError: If the setting does not allow it.
    """
    if knob == "augmentation":
        if value not in SWITCH:
            raise InputError(f"{action} {shown(value)}: choose on or off")
        return SWITCH[value]
    row = next(row for row in SETTINGS.values() if row.knob == knob)
    number: float | str
    try:
        number = row.kind(value)
    except ValueError:
        number = value
    try:
        row.check(number)
    except SettingError as error:
        raise InputError(f"{action}: {error.problem}") from None
    return float(number) if row.kind is float else int(number)


# --- the answer


def problem_of(answer: Answer, folder: RunFolder, timeout: float) -> InputError | None:
    """Return the error to report; None if the command was confirmed."""
    is_step = isinstance(answer.command, commands.RunStep)
    match answer.result:
        case CommandRejected(reason=why):
            return CommandError(f"{folder.name}: rejected: {why}", ExitCode.REJECTED)
        case RunFailed(message=message):
            text = f"{folder.name}: the training failed: {message}"
            return CommandError(text, ExitCode.COMMAND_TOO_LATE)
        case RunFinished(reason=why) if answer.confirmed is None or is_step:
            text = "the run ended before the trainer applied the command"
            if why == "detached":
                text = "a process in the background takes over this run; send it again"
            return CommandError(f"{folder.name}: {text}", ExitCode.COMMAND_TOO_LATE)
        case None if answer.is_alone:
            text = "the trainer ended before it applied the command"
            if answer.confirmed is not None:
                text = "the trainer ended after it confirmed the command, and before the result"
            return CommandError(f"{folder.name}: {text}", ExitCode.COMMAND_TOO_LATE)
        case None if answer.in_progress is None:
            text = f"not confirmed in {timeout:g} s: the trainer is busy, and may apply it later"
            return CommandError(f"{folder.name}: {text}", ExitCode.UNCONFIRMED)
    return None


def words_of(answer: Answer) -> str:
    """Return the answer of a trainer that has confirmed the command, in one line."""
    match answer.result:
        case None:
            return _progress(answer)
        case SettingChanged() as changed:
            return f"{changed.words} at step {changed.step}"
        case StepDone() as done:
            lr = fmt.learning_rate(done.lr)
            return f"step {done.step}: loss {fmt.loss(done.loss).strip()}, lr {lr}; paused"
        case Diverged() as diverged:
            return f"step {diverged.step}: diverged, the loss is not finite"
        case TestEvaluated() as test:
            accuracy = fmt.accuracy_with_interval(test.test_accuracy, test.test_interval)
            return f"test accuracy {accuracy} at step {test.step}, evaluation {test.evaluation}"
        case Rewound() as rewound:
            return f"rewound from step {rewound.from_step} to step {rewound.step}"
        case RunFinished() as finished:
            return _end(finished)
    step = answer.confirmed.step if answer.confirmed is not None else 0
    match answer.command:
        case commands.Pause():
            return f"paused at step {step}"
        case commands.RunEpoch():
            return f"training to the end of the epoch, from step {step}; then it pauses"
    return f"training from step {step}"


def _progress(answer: Answer) -> str:
    match answer.in_progress:
        case StateChanged(step=step):
            return f"evaluating the test set since step {step}; not finished yet"
        case CommandApplied(step=step) if isinstance(answer.command, commands.Stop):
            return f"stopping at step {step}; the test evaluation is not finished yet"
        case CommandApplied(step=step):
            return f"training step {step + 1}; not finished yet"
    return "confirmed"


def _end(finished: RunFinished) -> str:
    if finished.test_accuracy is None:
        return f"{finished.reason} at step {finished.step}; the test set was not evaluated"
    accuracy = fmt.accuracy_with_interval(finished.test_accuracy, finished.test_interval)
    text = f"{finished.reason} at step {finished.step}; test accuracy {accuracy}"
    return f"{text}, evaluation {finished.test_evaluations}"
