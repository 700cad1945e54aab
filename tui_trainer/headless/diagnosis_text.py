"""A recorded run, judged by the rules of today: what stands at its end, what came and went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tui_trainer.course.topics import topic
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
    """What the rules say of a run.

    Attributes:
        name: What the run is called.
        started: How it began.
        history: What is true of it at its end.
        standing: The findings that stand then, the gravest first.
        timeline: Those that came and went, in the order in which they came.
        blind: What could not be watched for: the record does not tell what that needs.
    """

    name: str
    started: RunStarted
    history: History
    active: tuple[Episode, ...]
    timeline: tuple[Episode, ...]
    not_evaluated: tuple[str, ...]


def diagnose(name: str, events: Iterable[Event]) -> RunDiagnosis:
    """Judge a recorded run anew; what was found while it ran is left aside.

    Raises:
        InputError: If nothing was trained in it.
    """
    history = History.of(with_findings(_without_findings(events)))
    if history.started is None or history.last_step is None:
        raise InputError(f"{name}: no batch was trained in it, so there is nothing to diagnose")
    resolved = sorted(history.past_findings, key=lambda episode: episode.step)
    seen = set(evaluable_rules(history))
    not_evaluated = tuple(rule.label for rule in RULES if rule.label not in seen)
    return RunDiagnosis(
        name, history.started, history, tuple(history.episodes), tuple(resolved), not_evaluated
    )


def _without_findings(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if not isinstance(event, FindingRaised | FindingCleared))


def print_diagnosis(found: RunDiagnosis) -> None:
    """Write a diagnosis to stdout for a person to read."""
    out = standard_output()
    # A stream that cannot show bars gets the numbers' ends alone.
    for line in diagnosis_lines(found, has_bars=not out.ascii_only):
        out.line(line)


def diagnosis_lines(found: RunDiagnosis, *, has_bars: bool = True) -> list[str]:
    """Return the run, what stands, what came and went, and what could not be looked for."""
    lines = [f"{found.name}: {event_text.header(found.started)} · {_end_of_run(found.history)}"]
    for episode in found.active:
        lines += ["", *_active_lines(episode, has_bars=has_bars)]
    if not found.active:
        lines += ["", "✓ nothing is found at the end"]
    if found.timeline:
        lines += ["", "came and went:"]
        lines += [f"  {_resolved_line(episode)}" for episode in found.timeline]
    if found.not_evaluated:
        lines += ["", f"· {_not_evaluated_line(found)}"]
    return lines


def _end_of_run(history: History) -> str:
    """Return how the run ended, or how far it has come."""
    step = history.step
    if history.failure is not None:
        return f"failed after step {fmt.count(step)}"
    if history.finished is None:
        return f"as far as step {fmt.count(step)}"
    return f"{history.finished.reason} after step {fmt.count(step)}"


def _active_lines(episode: Episode, *, has_bars: bool) -> list[str]:
    found = episode.finding
    since = f"since step {fmt.count(found.step)}"
    if episode.step != found.step:
        since += f", told at step {fmt.count(episode.step)}"
    since += f", epoch {max(1, episode.epoch)}"
    head = fmt.one_line(f"{found.heading} · {since} · {topic(found.lesson)}")
    return [head, *event_text.body_lines(found, has_bars=has_bars)]


def _resolved_line(episode: Episode) -> str:
    began = f"step {fmt.count(episode.step)} (epoch {max(1, episode.epoch)})"
    ended = f"step {fmt.count(episode.cleared_step or 0)} (epoch {episode.cleared_epoch})"
    found = episode.finding
    return f"{SIGNS[found.severity]} {began} to {ended}: {found.title}"


def _not_evaluated_line(found: RunDiagnosis) -> str:
    lacks = []
    if not found.history.is_probed:
        lacks.append("probes")
    if not found.started.val_size:
        lacks.append("validation images")
    without = f"recorded without {' and '.join(lacks)}: " if lacks else ""
    return f"{without}not watched for: {', '.join(found.not_evaluated)}"


def as_record(found: RunDiagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON tells it."""
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
            "not_watched": list(found.not_evaluated),
        },
        "standing": [_record(episode) for episode in found.active],
        "timeline": [_record(episode) for episode in found.timeline],
    }


def _record(episode: Episode) -> dict[str, Any]:
    """Return an episode: the fields of its ``FindingRaised``, its topic, and when it was said."""
    return {
        **event_text.diagnosis_record(episode.finding),
        "raised_step": episode.step,
        "raised_epoch": episode.epoch,
        "cleared_step": episode.cleared_step,
        "cleared_epoch": episode.cleared_epoch,
    }
