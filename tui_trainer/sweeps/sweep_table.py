"""A sweep as lines, for the window and for plain text: trials, best, importance, advice."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.sweeps.advice import advice_on, commands_of, importance_gap, matters, share_text
from tui_trainer.sweeps.figures import (
    GLYPHS,
    NAMES,
    ROLES,
    best_first,
    interval_words,
    objective_text,
    setting_text,
    settings_text,
    value_with_interval,
)
from tui_trainer.sweeps.progress import limits_of, seconds_left
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import UNWRAPPED, Lines, aligned, paragraph

GAP = "  "

Row = tuple[Cell, ...]


def heads_of(state: SweepState) -> list[str]:
    """Return the heads of the table of trials."""
    objective = NAMES[state.spec.objective].replace("validation", "val")
    workers = ["worker"] if state.has_several_hosts else []
    return ["trial", objective, *state.spec.space, "epochs", "time", "state", *workers, "reason"]


def right_columns(state: SweepState) -> set[int]:
    """Return the right-aligned columns: those of numbers."""
    return {0, *range(2, len(state.spec.space) + 4)}


def trial_rows(
    state: SweepState, trials: Sequence[TrialState], longest: int = UNWRAPPED
) -> list[list[str]]:
    """Return the head and the cells of trials, padded to the width of their columns.

    Args:
        state: The sweep.
        trials: The trials.
        longest: The widest cell of a setting; longer values are clipped.
    """
    rows = [trial_texts(state, trial, longest) for trial in trials]
    return padded_rows(state, rows)


def padded_rows(state: SweepState, rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the head and rows of :func:`trial_texts`, padded to the width of their columns."""
    return aligned([heads_of(state), *rows], right_columns(state))


def trial_texts(state: SweepState, trial: TrialState, longest: int = UNWRAPPED) -> list[str]:
    """Return the cells of a trial; values of more than ``longest`` columns are clipped."""
    settings = trial.settings
    epochs = f"{trial.epoch}/{trial.epochs}" if trial.epochs else str(trial.epoch)
    texts = [
        str(trial.number),
        _objective(state, trial),
        *(setting_text(settings[n]) if n in settings else "-" for n in state.spec.space),
        epochs,
        # That of a running trial would change its row, and so paint the table, every second.
        "…" if trial.phase == "running" else fmt.duration(trial.seconds),
        f"{GLYPHS[trial.phase]} {trial.phase}",
        *([_worker(trial)] if state.has_several_hosts else []),
        fmt.one_line(trial.reason),
    ]
    return [fmt.clip(text, longest) for text in texts]


def _worker(trial: TrialState) -> str:
    """Return the worker of a trial, and that its runs lie on that machine if they are not here."""
    return fmt.printable(f"{trial.worker}, runs there" if trial.is_elsewhere else trial.worker)


def _objective(state: SweepState, trial: TrialState) -> str:
    """Return the objective with its interval; what an unfinished trial has so far in brackets."""
    if trial.value is not None:
        return value_with_interval(state, trial)
    return "-" if trial.last is None else f"({objective_text(state.spec, trial.last)})"


def trial_role(trial: TrialState) -> str:
    """Return the role of a trial's row."""
    return "" if trial.phase == "completed" else ROLES[trial.phase]


def table_lines(state: SweepState) -> Lines:
    """Return the table of the trials, the best first."""
    trials = best_first(state)
    if not trials:
        return [[Cell("no trial has begun", style="muted")]]
    head, *rows = trial_rows(state, trials)
    lines: Lines = [[Cell(GAP.join(head).rstrip(), style="muted")]]
    for trial, row in zip(trials, rows, strict=True):
        lines.append([Cell(GAP.join(row).rstrip(), style=trial_role(trial))])
    return lines


def conclusion_lines(state: SweepState, width: int) -> Lines:
    """Return what the brackets of the table are, the best trial, importance and advice."""
    lines: Lines = []
    if state.best is not None:
        lines += paragraph(f"[…]: {interval_words(state)}", "muted", width)
    if any(trial.value is None and trial.last is not None for trial in state.trials):
        lines += paragraph("(…): after its last epoch; not comparable", "muted", width)
    lines += [[], *best_lines(state, width)]
    lines += [[], *importance_lines(state, width)]
    if advice := advice_lines(state, width):
        lines += [[], *advice]
    return lines


def head_text(state: SweepState) -> str:
    """Return what is searched, and how far it is."""
    spec = state.spec
    pruning = "no pruning" if spec.pruning == "none" else spec.pruning
    parts = [
        state.name,
        f"{spec.sampler}, {pruning}",
        fmt.plural(len(state.trials), "trial"),
        f"{len(state.completed)} completed",
        fmt.duration(state.seconds),
        state.ended if state.is_over else budget_text(state),
    ]
    return " · ".join(part for part in parts if part)


def budget_text(state: SweepState) -> str:
    """Return the used and the left budget: ``23 of 40 trials, 5:12 left``."""
    limits = limits_of(state)
    if not limits:
        return "no limit"
    left = seconds_left(state)
    text = ", ".join(limit.text for limit in limits)
    return text if left is None else f"{text}, about {fmt.duration(left)} left"


def best_lines(state: SweepState, width: int) -> Lines:
    """Return the best trial so far, with its interval and its settings."""
    best = state.best
    if best is None:
        return paragraph("No trial is completed: there is no best one yet.", "muted", width)
    name = NAMES[state.spec.objective]
    words = f"best: trial {best.number}, {name} {value_with_interval(state, best)}"
    lines = paragraph(words, "ok bold", width, hanging=2)
    lines += paragraph(settings_text(state, best), "", width, indent=2)
    return lines


BAR = 20
"""The widest bar of importance, in columns."""


def importance_lines(state: SweepState, width: int) -> Lines:
    """Return the importance of each setting as a bar with its interval."""
    if gap := importance_gap(state):
        return paragraph(gap, "muted", width)
    rows = [[each.setting, *share_text(each).split(" [")] for each in state.importance]
    texts = [[name, f"{share} [{bounds}"] for name, share, bounds in aligned(rows, {1})]
    used = sum(map(fmt.columns, texts[0])) + 2 * len(GAP) + 2
    room = max(6, min(BAR, width - used))
    if width < used + room:  # a long name of a setting: leave the bar out
        room = 0
    lines: Lines = [[Cell("share of the differences [95 %]", style="title")]]
    for each, (name, share) in zip(state.importance, texts, strict=True):
        role = "ok" if matters(each) else "muted"
        cells = [Cell(name + GAP, style="" if matters(each) else "muted")]
        if room:
            cells += [*share_bar(each.share, each.low, each.high, room, role), Cell(GAP)]
        mark = "●" if matters(each) else "·"
        lines.append([*cells, Cell(f"{mark} {share}".rstrip(), style=role)])
    rest = max(0.0, 1 - sum(each.share for each in state.importance))
    lines += paragraph(
        f"{100 * rest:.0f} % is chance, and what settings explain only together. "
        "·: its interval reaches 0",
        "muted",
        width,
    )
    return lines


def share_bar(share: float, low: float, high: float, width: int, role: str) -> list[Cell]:
    """Return a bar of a share, and over its end the interval as a line."""
    filled = round(share * width)
    start, end = int(low * width), max(int(low * width) + 1, round(high * width))
    cells: list[Cell] = []
    for place in range(width):
        in_interval = start <= place < end
        character = ("█" if not in_interval else "▓") if place < filled else "─"
        kind = role if place < filled else "axis" if in_interval else "border"
        text = character if place < filled or in_interval else " "
        if cells and cells[-1].style == kind:
            cells[-1] = Cell(cells[-1].text + text, style=kind)
        else:
            cells.append(Cell(text, style=kind))
    return cells


def advice_lines(state: SweepState, width: int) -> Lines:
    """Return the advice, and the commands that train the best settings again."""
    lines: Lines = []
    for sentence in advice_on(state):
        lines += paragraph(sentence.text, sentence.role, width, hanging=2)
    for command in commands_of(state):
        lines += [[], *paragraph(f"To {_after_to(command.purpose)}:", "", width)]
        lines += paragraph(command.text, "intervention", width, indent=2, hanging=2)
    return lines


def _after_to(purpose: str) -> str:
    """Move a condition behind the verb: ``when …: train it`` reads on after "To"."""
    condition, colon, rest = purpose.partition(": ")
    return f"{rest}, {condition}" if colon else purpose
