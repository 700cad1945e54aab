"""The facts of an assignment, gathered from recorded runs: evaluated, measured and compared."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.exported_run import ExportedRun
from tui_trainer.cli.same_images import Column, CorrectByCheckpoint, read_column, same_images
from tui_trainer.cli.saved import SavedRun, answers
from tui_trainer.cli.targets import LAST, target_accuracy
from tui_trainer.headless.assignment.facts import HELD, Step
from tui_trainer.headless.assignment.questions import AssignmentQuestions
from tui_trainer.headless.diagnosis_text import evaluated
from tui_trainer.headless.evaluation_text import evaluate
from tui_trainer.headless.event_text import setting_line
from tui_trainer.history.history import History
from tui_trainer.history.target import Target
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.errors import SettingError
from tui_trainer.protocol.events import Event, Rewound, RunResumed, RunStarted, SettingChanged
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.reference import model_name
from tui_trainer.protocol.settings import option_of
from tui_trainer.recording.about import read_about
from tui_trainer.recording.comparison import RunComparison, compare
from tui_trainer.text.fmt import count, one_line, printable

if TYPE_CHECKING:
    from tui_trainer.protocol.diagnosis import Diagnosis


def steps_of(runs: Sequence[ExportedRun], targets: Sequence[str]) -> list[Step]:
    """Return the steps of an assignment; loads torch, never evaluates the test set.

    Args:
        runs: The runs at their last checkpoints, in order.
        targets: The targets as typed: one for each run, one for all of them, or none.

    Raises:
        InputError: If a run cannot be evaluated.
        CustomModelError: If a custom model raises.
    """
    wanted = [*targets] * (len(runs) if len(targets) == 1 else 1) or [""] * len(runs)
    steps = [
        _step(number, run, target)
        for number, (run, target) in enumerate(zip(runs, wanted, strict=True), start=1)
    ]
    correct = CorrectByCheckpoint(LAST)
    columns = [Column(run.found.folder.name, (run.found.folder,)) for run in runs]
    comparisons = [
        _compared(number, pair, correct) for number, pair in enumerate(pairwise(columns), start=1)
    ]
    return [
        replace(step, comparison=comparison)
        for step, comparison in zip(steps, [None, *comparisons], strict=True)
    ]


def _step(number: int, run: ExportedRun, wanted: str) -> Step:
    found, folder = run.found, run.found.folder
    sequence = AssignmentQuestions(test_evaluations=found.recorded.test_evaluations)
    evaluation = evaluate(
        answers(found.settings(), sequence.questions(), found),
        sequence,
        run=folder.name,
        checkpoint=LAST,
        epoch=found.metadata["epoch"],
    )
    history = evaluated(run.events)
    started = history.started or evaluation.started
    layers, measured, review = _described(run, started)
    config = folder.read_config()
    text, goal = _target(config, wanted, has_validation=evaluation.images == "validation")
    return Step(
        number=number,
        name=folder.name,
        about=read_about(folder.path),
        started=started,
        summary=folder.read_summary(),
        history=history,
        settings=_settings(config),
        evaluation=evaluation,
        mistakes=sequence.mistakes or Exhibit(blocks=()),
        layers=layers,
        measured=measured,
        review=review,
        target=text,
        goal=goal,
        commands=tuple(_commands(found, config, history)),
        changes=tuple(_changes(run.events)),
    )


def _described(
    run: ExportedRun, started: RunStarted
) -> tuple[tuple[LayerRow, ...], tuple[str, ...], tuple[Diagnosis, ...]]:
    """Return the layer table of the model, as ``mnist-tui model`` has it, and its review."""
    from tui_trainer.anatomy.description import layers_of, review_of
    from tui_trainer.cli.models import measured_texts
    from tui_trainer.models.input_spec import spec_of

    model, spec = run.model(), spec_of(run.input_size)
    with run.custom_code():
        layers = layers_of(model, spec, started.classes)
        measured = measured_texts(model, layers) if spec.is_image else ()
    return layers, measured, review_of(layers, started.budget)


def _target(config: RunConfig, wanted: str, *, has_validation: bool) -> tuple[str, Target | None]:
    """Return the target in words, and the accuracy that it asks for."""
    recorded = Target.of(config.as_dict())
    if not wanted.strip():
        return ("", None) if recorded is None else (_sentence(recorded.words), recorded)
    accuracy = target_accuracy(wanted)
    if accuracy is None:
        return one_line(wanted), None
    last = (recorded.last if recorded is not None else None) or HELD
    goal = Target(accuracy, last if has_validation else None)
    return _sentence(goal.words), goal


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _compared(
    number: int, columns: Sequence[Column], correct: CorrectByCheckpoint
) -> RunComparison:
    """Return the comparison of two steps on the same validation images; the first has a number."""
    groups = [read_column(each) for each in columns]
    same = same_images(groups, columns, correct)
    labels = [f"step {number}", f"step {number + 1}"]
    return compare(groups, checkpoint="last", same_images=same, labels=labels)


# --- settings and commands


def _settings(config: RunConfig) -> Mapping[str, tuple[Any, Any]]:
    """Return the settings, each with its default; of paths the names.

    The learning rate has the default of its optimizer, an augmentation that of its preset.
    """
    usual = RunConfig(optimizer=config.optimizer, augment=config.augment).resolved().as_dict()
    usual |= {name: SETTINGS[name].default for name in ("optimizer", "augment")}
    return {
        name: (_without_folder(name, value), usual.get(name))
        for name, value in config.resolved().as_dict().items()
    }


def _without_folder(name: str, value: Any) -> Any:
    if name == "model":
        return model_name(value)
    return PurePath(value).name if name == "data_dir" else value


def _commands(found: SavedRun, config: RunConfig, history: History) -> Iterator[str]:
    """Yield the commands that train the run again, evaluate it and describe its model."""
    name = found.folder.name
    if found.is_of_script:
        script = PurePath(history.started.script if history.started else "").name
        yield shlex.join(["python", script or "train.py"])
    else:
        yield shlex.join(["mnist-tui", "--no-ui", *_options(config)])
        if history.interventions:
            yield shlex.join(["mnist-tui", "replay", name, "--no-ui"])
    yield shlex.join(["mnist-tui", "evaluate", name, "--json"])
    if not found.is_of_script:
        images = _options_of_images(history.started)
        yield shlex.join(["mnist-tui", "model", model_name(config.model), "--measure", *images])


def _options_of_images(started: RunStarted | None) -> Iterator[str]:
    """Yield the options that describe other images and classes than MNIST's to ``model``."""
    usual = {"image_size": 28, "channels": 1, "classes": 10}
    for name, value in usual.items():
        found = value if started is None else getattr(started, name)
        if found != value:
            yield from (option_of(name), str(found))


def _options(config: RunConfig) -> Iterator[str]:
    """Yield the options of the settings that matter: those without which others would result."""
    kept = config.as_dict()
    whole = config.resolved()
    for name in [*kept]:
        rest = {key: value for key, value in kept.items() if key != name}
        try:
            if RunConfig(**rest).resolved() == whole:
                kept = rest
        except SettingError:
            continue
    for name, value in kept.items():
        if isinstance(value, bool):
            yield option_of(name) if value else f"--no-{option_of(name)[2:]}"
        else:
            yield option_of(name)
            yield printable(_without_folder(name, value))


def _changes(events: Sequence[Event]) -> Iterator[str]:
    """Yield what changed in training, in order."""
    for event in events:
        match event:
            case SettingChanged():
                yield setting_line(replace(event, by=""))  # no names of users and machines
            case Rewound():
                diverged = f"diverged at step {count(event.from_step)}"
                yield f"{diverged}, and reset to its checkpoint of step {count(event.step)}"
            case RunResumed():
                yield f"resumed from its checkpoint of step {count(event.step)}"
