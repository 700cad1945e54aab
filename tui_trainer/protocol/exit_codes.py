"""What the process tells the shell when a run without the window is over."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """An exit code of ``mnist-tui --no-ui``, with its meaning in words.

    Attributes:
        meaning: What the code says about the run, for ``--help`` and the README.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """Make a member from its number and its meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    FINISHED = 0, "the run completed, or was stopped on purpose"
    FAILED = 1, "the training failed; --debug shows the traceback"
    BAD_INPUT = 2, "an option, a file or a setting cannot be used"
    TARGET_MISSED = 3, "the run ended without showing the target accuracy on the test set"
    DIVERGED = 4, "the loss is no longer a finite number"
    DESIGN_WRONG = 5, "the design review finds something wrong with a network"
    CHECK_FAILED = 6, "the check of the first steps finds that a training would fail"
    UNSAVED = 7, "the run ended well, but not all of it could be saved"
    REPLAY_DIFFERS = 8, "a replayed run ended with other weights than the recorded one"
    DISCONNECTED = 129, "the terminal was closed, or the connection to it lost"
    INTERRUPTED = 130, "interrupted by Ctrl+C"
    OUTPUT_CLOSED = 141, "whoever read the output closed it"
    TERMINATED = 143, "told to end by SIGTERM"


ENDINGS = {
    "interrupted": ExitCode.INTERRUPTED,
    "terminated": ExitCode.TERMINATED,
    "disconnected": ExitCode.DISCONNECTED,
    "diverged": ExitCode.DIVERGED,
}
"""The codes of the reasons that ``RunFinished`` can give for an end that was not planned."""


def exit_code_help() -> str:
    """Return one line a code, ``number  meaning``, the numbers right-aligned."""
    return "\n".join(f"{code.value:>3}  {code.meaning}" for code in ExitCode)
