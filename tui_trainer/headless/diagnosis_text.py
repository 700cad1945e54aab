"""A recorded run, evaluated by the current rules: its active and its cleared findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tui_trainer.course.topics import lesson_label
from tui_trainer.findings import RULES, evaluable_rules, with_findings
from tui_trainer.headless import event_text
from tui_trainer.headless.streams import standard_output
from tui_trainer.history.history import History
from tui_trainer.history.run_state import Episode
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, FindingCleared, FindingRaised, RunStarted
from tui_trainer.text import fmt


@dataclass(frozen=True, slots=True)
class RunDiagnosis:
    """The findings of a recorded run.

    Attributes:
        name: The run's name.
        started: Its first event.
        history: The state of the run after its last event.
        active: The findings active at the end, most severe first.
        timeline: The cleared findings, in the order in which they were raised.
        not_evaluated: The rules whose events were not recorded; those for scripts only of scripts.
    """

    name: str
    started: RunStarted
    history: History
    active: tuple[Episode, ...]
    cleared: tuple[Episode, ...]
    not_evaluated: tuple[str, ...]


def diagnose(name: str, events: Iterable[Event]) -> RunDiagnosis:
    """Evaluate the rules on a recorded run; findings recorded during the run are ignored.

    Raises:
        InputError: If no batch was trained.
    """
    history = evaluated(events)
    if history.started is None or history.last_step is None:
        raise InputError(f"{name}: nothing to diagnose: no batch was trained")
    resolved = sorted(history.past_findings, key=lambda episode: episode.step)
    seen = set(evaluable_rules(history))
    not_evaluated = tuple(
        rule.label
        for rule in RULES
        if rule.label not in seen and (history.started.script or not rule.is_for_scripts)
    )
    return RunDiagnosis(
        name, history.started, history, tuple(history.episodes), tuple(resolved), not_evaluated
    )


def evaluated(events: Iterable[Event]) -> History:
    """Return the history of a recorded run with the findings of the current rules."""
    recorded = (event for event in events if not isinstance(event, FindingRaised | FindingCleared))
    return History.of(with_findings(recorded))


def print_diagnosis(found: RunDiagnosis) -> None:
    """Write a diagnosis to stdout as text."""
    out = standard_output()
    # Without block characters, a plot shows only its first and last number.
    for line in diagnosis_lines(found, has_bars=not out.ascii_only):
        out.line(line)


def diagnosis_lines(found: RunDiagnosis, *, has_bars: bool = True) -> list[str]:
    """Return the run, its active and cleared findings, and the rules that were not evaluated."""
    lines = [f"{found.name}: {event_text.header(found.started)} · {_end_of_run(found.history)}"]
    for episode in found.active:
        lines += ["", *_active_lines(episode, has_bars=has_bars)]
    if not found.active:
        lines += ["", "✓ no active findings"]
    if found.cleared:
        lines += ["", "cleared:"]
        lines += [f"  {_resolved_line(episode)}" for episode in found.cleared]
    if found.not_evaluated:
        lines += ["", f"· {_not_evaluated_line(found)}"]
    return lines


def _end_of_run(history: History) -> str:
    """Return how the run ended, or its current step."""
    step = history.step
    if history.failure is not None:
        return f"failed at step {fmt.count(step)}"
    if history.finished is None:
        return f"step {fmt.count(step)}"
    return f"{history.finished.reason} at step {fmt.count(step)}"


def _active_lines(episode: Episode, *, has_bars: bool) -> list[str]:
    found = episode.finding
    since = f"since step {fmt.count(found.step)}"
    if episode.step != found.step:
        since += f", raised at step {fmt.count(episode.step)}"
    since += f", epoch {max(1, episode.epoch)}"
    head = fmt.one_line(f"{found.heading} · {since} · {lesson_label(found.lesson)}")
    return [head, *event_text.body_lines(found, has_bars=has_bars)]


def _resolved_line(episode: Episode) -> str:
    began = f"step {fmt.count(episode.step)} (epoch {max(1, episode.epoch)})"
    ended = f"step {fmt.count(episode.cleared_step or 0)} (epoch {episode.cleared_epoch})"
    found = episode.finding
    return f"{SIGNS[found.severity]} {began} to {ended}: {found.title}"


def _not_evaluated_line(found: RunDiagnosis) -> str:
    missing = []
    if not found.history.is_probed:
        missing.append("probes")
    if not found.started.val_size:
        missing.append("validation images")
    without = f" (recorded without {' and '.join(missing)})" if missing else ""
    return f"not evaluated{without}: {', '.join(found.not_evaluated)}"


def as_record(found: RunDiagnosis) -> dict[str, Any]:
    """Return the JSON record of a diagnosis."""
    history = found.history
    return {
        "run": {
            "name": found.name,
            "model": found.started.model,
            "dataset": found.started.dataset,
            "state": history.finished.reason if history.finished is not None else history.state,
            "step": history.step,
            "epoch": history.epoch,
            "epochs": found.started.epochs,
            "is_probed": history.is_probed,
            "not_evaluated": list(found.not_evaluated),
        },
        "active": [_record(episode) for episode in found.active],
        "timeline": [_record(episode) for episode in found.cleared],
    }


def _record(episode: Episode) -> dict[str, Any]:
    """Return an episode: the fields of its ``FindingRaised``, its topic, and its steps."""
    return {
        **event_text.diagnosis_record(episode.finding),
        "raised_step": episode.step,
        "raised_epoch": episode.epoch,
        "cleared_step": episode.cleared_step,
        "cleared_epoch": episode.cleared_epoch,
    }
