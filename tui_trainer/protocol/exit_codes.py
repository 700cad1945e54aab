"""The exit codes of the process."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """An exit code of ``mnist-tui``, with its meaning.

    Attributes:
        meaning: A description for ``--help`` and ``docs/scripts.md``.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """Return a member with a number and a meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    FINISHED = 0, "the run completed, or the user stopped it"
    FAILED = 1, "the training failed; --debug prints the traceback"
    BAD_INPUT = 2, "an option, a file or a setting cannot be used"
    TARGET_MISSED = 3, "the target accuracy was missed, or was not measured"
    DIVERGED = 4, "the training diverged: the loss is not finite"
    DESIGN_ERROR = 5, "the design review found an error in the model"
    CHECK_FAILED = 6, "the preflight check found an error"
    UNSAVED = 7, "the run completed, but some of its files were not saved"
    REPLAY_DIFFERS = 8, "the replay ended with other weights than the recorded run"
    REJECTED = 9, "the trainer rejected the command"
    NO_TRAINER = 10, "no process trains the run"
    UNCONFIRMED = 11, "the trainer did not confirm the command in time; it may apply it later"
    COMMAND_TOO_LATE = 12, "the run or its trainer ended before the command had its result"
    NO_SUGGESTION = 13, "find-lr can suggest no learning rate"
    REQUIREMENT_MISSED = 14, "verify: a requirement is not met"
    SUBMISSION_FAILED = 15, "verify: a submission has no result: it failed, or reached a limit"
    DISCONNECTED = 129, "the terminal was closed or disconnected (SIGHUP)"
    INTERRUPTED = 130, "interrupted (Ctrl+C)"
    OUTPUT_CLOSED = 141, "the reader of standard output closed it (SIGPIPE)"
    TERMINATED = 143, "terminated (SIGTERM)"


CODES_BY_REASON = {
    "interrupted": ExitCode.INTERRUPTED,
    "terminated": ExitCode.TERMINATED,
    "disconnected": ExitCode.DISCONNECTED,
    "diverged": ExitCode.DIVERGED,
}
"""The exit codes by the ``RunFinished.reason`` of an unplanned end."""


def exit_code_help() -> str:
    """Return one line per code, ``number  meaning``, numbers right-aligned."""
    return "\n".join(f"{code.value:>3}  {code.meaning}" for code in ExitCode)
