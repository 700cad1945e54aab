"""The message on the terminal after the window has closed."""

from __future__ import annotations

from tui_trainer.history.seed_table import result_lines
from tui_trainer.history.target import Target, verdict_on
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.recording.resume_hint import recorded_line
from tui_trainer.text import fmt
from tui_trainer.text.fmt import printable
from tui_trainer.text.lines import PROSE, plain
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.attach_app import AttachApp
from tui_trainer.ui.seeds_app import SeedsApp


def exit_message(window: MnistTui) -> tuple[ExitCode, str]:
    """Return the exit code, and the result of the run that the window showed."""
    history = window.live_run.history
    if window.start_error is not None:
        return ExitCode.BAD_INPUT, f"mnist-tui: error: {window.start_error}"
    if history.failure is not None:
        return ExitCode.FAILED, f"mnist-tui: training failed: {history.failure.message}"
    if isinstance(window, SeedsApp):
        return _seeds_message(window)
    started, step = history.started, history.last_step
    continues = ""
    if isinstance(window, AttachApp) and not (history.is_over or window.ends_script):
        continues = (
            f"the training continues; watch it again with: mnist-tui attach {window.run_name}"
        )
    if started is None or step is None:
        return ExitCode.FINISHED, continues
    reason = history.finished.reason if history.finished else "quit"
    if history.is_viewing:
        reason = "inspected"
    if isinstance(window, AttachApp) and history.finished is None:
        reason = "killed" if history.is_over else "watched"
    parts = [
        f"{started.model}: {reason} in epoch {step.epoch} of {started.epochs}, "
        f"step {fmt.count(step.step)}, after {fmt.duration(step.seconds)} of training"
    ]
    last = history.last_epoch
    if last is not None and last.val_accuracy is not None:
        result = fmt.accuracy_with_interval(last.val_accuracy, last.val_interval)
        parts.append(f"validation {result} after epoch {last.epoch}")
    for test in history.tests[-1:]:
        result = fmt.accuracy_with_interval(test.test_accuracy, test.test_interval)
        parts.append(f"test {result}, evaluations: {test.evaluation}")
    target = Target.of(window.live_run.config.as_dict())
    if target is not None and history.finished is not None:
        parts.append(verdict_on(history, target).line)
    parts += [f"not saved: {path}: {why}" for path, why in history.unsaved.items()]
    if continues:
        parts.append(continues)
    elif history.folder is not None and not window.leaves_training:
        is_resumable = reason != "completed" and not history.is_viewing
        parts.append(recorded_line(history, is_resumable=is_resumable))
    code = CODES_BY_REASON.get(window.exit_reason or "", ExitCode.FINISHED)
    if code == ExitCode.FINISHED and history.unsaved:
        code = ExitCode.UNSAVED
    return code, "\n".join(parts)


def _seeds_message(window: SeedsApp) -> tuple[ExitCode, str]:
    """Return the exit code and the results of a group; of an unfinished one, how to resume it."""
    group, unsaved = window.group, window.live_run.history.unsaved
    lines = [f"not saved: {path}: {why}" for path, why in unsaved.items()]
    if not window.is_complete:
        code = CODES_BY_REASON.get(window.exit_reason or "", ExitCode.FINISHED)
        return code, "\n".join([*lines, group.resume_line])
    results = window.final_results
    lines = [*plain(result_lines(results, PROSE)), *lines, f"recorded in {printable(group.path)}"]
    return ExitCode.UNSAVED if unsaved else results.exit_code, "\n".join(lines)
