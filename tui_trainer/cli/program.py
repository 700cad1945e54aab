"""The program of a recorded run in plain PyTorch, for ``export`` and the notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.exported_run import ExportedRun
from tui_trainer.cli.unedited import PYTHON_COMMENT, check_unedited, marked
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone, Rewound, RunStarted, TestEvaluated
from tui_trainer.protocol.reference import model_name, parse_reference
from tui_trainer.text.fmt import count, printable

if TYPE_CHECKING:
    from tui_trainer.export.source_code import Program
    from tui_trainer.export.source_code.program import ModelSource
    from tui_trainer.export.source_code.recipe import Recipe


def program_of(run: ExportedRun) -> Program:
    """Return a run as plain PyTorch.

    Raises:
        InputError: If it is of a script, or its model cannot be written as source.
    """
    from tui_trainer.export.source_code.layers import NoSourceError
    from tui_trainer.export.source_code.program import program

    found = run.found
    if found.is_of_script:
        script = printable(str(found.metadata.get("script_path", "")))
        raise InputError(f"the run is of a script, which is its program already: {script}")
    recipe = _recipe(run)
    try:
        source = _model_source(run, recipe)
    except NoSourceError as error:
        name = model_name(found.config.model)
        raise InputError(f"{name} cannot be written as source: {error}") from None
    return program(recipe, source)


def write_program(run: ExportedRun, path: Path) -> str:
    """Write a run's program, and its weights next to it, if its logits equal the model's.

    A program that somebody has edited is kept.

    Raises:
        InputError: If it cannot be written, or its logits differ.
    """
    from tui_trainer.export.source_code import WEIGHTS, weights_bytes
    from tui_trainer.export.source_code.check import compare_program
    from tui_trainer.export.source_code.custom_model import local_modules
    from tui_trainer.export.targets import replacing

    check_unedited(path)
    program, model, (images, kind, shortage) = program_of(run), run.model(), run.images
    reference = parse_reference(run.found.config.model)
    blocked = local_modules(reference) if reference is not None else []
    weights = path.with_name(WEIGHTS)
    with replacing(path) as part, replacing(weights) as weights_part, run.custom_code():
        part.write_bytes(marked(f"{program.script}\n", PYTHON_COMMENT).encode())
        weights_part.write_bytes(weights_bytes(model))
        result = compare_program(model, part, program.build, weights_part, images, blocked)
        result = replace(result, image_kind=kind)
        if result.is_wrong:
            raise InputError(f"its outputs differ from the model's: {result.words}")
    note = f"{weights.name} next to it"
    return "; ".join(filter(None, (note, result.words, shortage)))


def _model_source(run: ExportedRun, recipe: Recipe) -> ModelSource:
    from tui_trainer.export.source_code.custom_model import custom_source
    from tui_trainer.export.source_code.layers import NoSourceError
    from tui_trainer.export.source_code.zoo_model import layers_source, zoo_source
    from tui_trainer.models.custom.arguments import ModelSpec

    metadata, started = run.found.metadata, recipe.started
    dropout = recipe.initial.get("dropout")
    reference = parse_reference(run.found.config.model)
    if reference is None:
        return zoo_source(
            run.found.config.model,
            image_size=started.image_size,
            classes=started.classes,
            dropout=dropout,
            channels=started.channels,
        )
    model = run.model()
    built_dropout = metadata.get("built_dropout", metadata["dropout"])
    spec = ModelSpec.of(run.input_size, started.classes, dropout=built_dropout)
    try:
        is_changed = dropout != recipe.started.dropout
        return custom_source(reference, spec, dropout, is_changed=is_changed)
    except NoSourceError as error:
        try:
            return layers_source(model)
        except NoSourceError:
            raise error from None


def _recipe(run: ExportedRun) -> Recipe:
    from tui_trainer.cli.program_data import data_files
    from tui_trainer.export.source_code.recipe import Recipe

    found, config = run.found, run.found.config
    events = run.events
    state = RunState.of(events)
    started = run.started
    files, has_val = (
        (None, False) if config.data_dir is None else data_files(config, started.classes)
    )
    return Recipe(
        name=found.folder.path.resolve().name,
        config=config,
        started=started,
        changes=tuple(state.interventions),
        folder="" if config.data_dir is None else Path(config.data_dir).name,
        files=files,
        has_val=has_val,
        uses_test=config.test or bool(state.tests),
        results=tuple(_results(run)),
        remarks=tuple(_remarks(run, state, started)),
    )


def _results(run: ExportedRun) -> Iterator[str]:
    """Yield what the weights are and what they reach, a sentence each."""
    metadata, events = run.found.metadata, run.events
    step, epoch = metadata["step"], metadata["epoch"]
    at = f"step {count(step)}, epoch {epoch} of {metadata['epochs']}"
    yield f"Weights: checkpoint {run.checkpoint} of the run, after {at}."
    for event in reversed(events):
        if isinstance(event, EpochDone) and event.step == step:
            if event.val_correct is not None and event.val_total:
                yield _share("validation", event.val_correct, event.val_total)
            break
    for event in reversed(events):
        if isinstance(event, TestEvaluated) and event.step == step:
            yield _share("test", event.test_correct, event.test_total)
            break


def _share(split: str, correct: int, total: int) -> str:
    return f"{count(correct)} of {count(total)} {split} images correct, {correct / total:.2%}."


def _remarks(run: ExportedRun, state: RunState, started: RunStarted) -> Iterator[str]:
    """Yield what the program does not reproduce, a sentence each."""
    yield "Not bit for bit: training again draws other random numbers, as another seed does."
    metadata = run.found.metadata
    if metadata["epochs_done"] < metadata["epochs"]:
        images, total = metadata["images"], started.train_size * metadata["epochs"]
        seen = f"{count(images)} of {count(total)} training images"
        yield f"The weights have seen {seen}; the program trains all epochs."
    if any(isinstance(event, Rewound) for event in run.events):
        yield "The run diverged and went back to a checkpoint; the program leaves that out."
    if started.precision == "tf32":
        yield "The run computed matrix products in TF32; the program uses float32."
    if started.processes > 1:
        yield f"The run divided each batch between {started.processes} processes; here one trains."
