"""The laboratory beside a run: it answers what is asked of the model, between two batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.anatomy import trace
from tui_trainer.anatomy.description import layers_of, review_of
from tui_trainer.anatomy.measured import effective_field, measured_field
from tui_trainer.data.dataset import Data
from tui_trainer.engine.checkpoints import Checkpoint
from tui_trainer.engine.evaluation import Evaluation, probabilities_of
from tui_trainer.engine.process_commands import reject
from tui_trainer.engine.run import Assistant, Run
from tui_trainer.engine.threads import one_thread
from tui_trainer.lab.chronicle import Chronicle
from tui_trainer.lab.context import SEED, open_bench
from tui_trainer.lab.lesson_answers import try_lesson
from tui_trainer.lab.preflight import check
from tui_trainer.lab.preflight.custom_trial import try_batch_size, try_model
from tui_trainer.lab.views import view_named
from tui_trainer.lab.views.desk import TEST, VALIDATION, Desk, Judgement
from tui_trainer.lab.views.scene import IMAGES, PATIENCE, Scene
from tui_trainer.models.build import about, build_network, fault_of_own, is_custom
from tui_trainer.models.copies import copy_model
from tui_trainer.models.outside import preserve_globals
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answer, FieldMeasured, Inspected, NetworkDescribed
from tui_trainer.protocol.commands import (
    CheckNetwork,
    DescribeNetwork,
    Inspect,
    LookAtField,
    Question,
    StopTrying,
    TryLesson,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.errors import fault
from tui_trainer.protocol.events import CommandRejected, Event
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import ModelTried
from tui_trainer.protocol.reference import model_name
from tui_trainer.text.fmt import clip, one_line

LONGEST_REASON = 300
"""The characters of an error that are reported; torch's can be pages long."""


class Laboratory(Assistant):
    """Answers questions about one run's model.

    Attributes:
        run: The run, once it is prepared.
        desk: The question that is worked on, and the predictions of each split.
        chronicle: How each validation image was classified, epoch by epoch.
    """

    run: Run
    chronicle: Chronicle

    def __init__(self) -> None:
        self.desk = Desk()

    def describe(
        self, model: nn.Module, image: tuple[int, int, int], classes: int, budget: int
    ) -> tuple[tuple[LayerRow, ...], tuple[Diagnosis, ...]]:
        """Return layer table and design review of a model for images (height, width, channels)."""
        layers = layers_of(model, image, classes)
        return layers, review_of(layers, budget)

    def try_model(self, model: nn.Module, data: Data, config: RunConfig) -> ModelTried:
        """Try the first steps of a custom model on a copy.

        Raises:
            InputError: If its training would fail.
        """
        return try_model(model, data, config)

    def try_batch_size(
        self, model: nn.Module, data: Data, config: RunConfig, batch_size: int
    ) -> None:
        """Try a step of a custom model with another batch size, on a copy.

        Raises:
            InputError: If it would fail.
        """
        if is_custom(config.model):
            try_batch_size(model, data, config, batch_size)

    def trace(
        self,
        model: nn.Module,
        images: Tensor,
        reached: Callable[[int, Tensor], None],
        finished: Callable[[Tensor], None],
    ) -> None:
        """Run a model on images, and report the output of each layer and the logits."""
        trace.trace(
            model,
            images,
            reached=lambda place, step, result: reached(place, result),
            finished=finished,
        )

    def begin(self, run: Run) -> None:
        """Take the run that is about to be trained."""
        self.run = run
        self.chronicle = Chronicle(len(run.data.val))

    @property
    def is_busy(self) -> bool:
        """Whether a view is worked on."""
        return self.desk.is_busy

    def answer(self, question: Question) -> Iterator[Event]:
        """Answer a question, in one event or several, or say why there is no answer.

        Whatever a custom model does when it is looked at, the run goes on.
        """
        run = self.run
        try:
            match question:
                case LookAtField():
                    yield _field(run, question)
                case DescribeNetwork():
                    yield _network(run, question)
                case CheckNetwork():
                    yield from _checked(run, question)
                case TryLesson():
                    yield from try_lesson(run, question)
                case StopTrying():
                    pass  # what was under way has ended by its arrival
                case Inspect():
                    yield from self.begin_view(question)
        except Exception as error:
            yield _fault(run, question, error)

    def work(self, *, waits: bool) -> Iterator[Event]:
        """Work on a view: one slice, or, if the run ``waits``, until a command arrives."""
        try:
            yield from self.go_on(waits=waits)
        except Exception as error:
            wish = self.desk.wish
            self.desk.clear()
            if wish is not None:
                yield _fault(self.run, wish, error)

    def opens_test(self, wish: Inspect) -> bool:
        """Return whether a view is to be answered by another look at the test set."""
        found = self.desk.judged.get(TEST)
        is_old = found is None or found.step != self.run.progress.step
        return wish.goes and is_old and (IMAGES.name, TEST) in wish.choices

    def set_scene(self, *, follows: bool = False) -> Scene:
        """Take a copy of a self.run's network as it is now, and what a view needs beside it."""
        bench = open_bench(self.run)
        return Scene(
            bench=replace(bench, network=bench.copy().requires_grad_(False)),
            chronicle=self.chronicle,
            desk=self.desk,
            seed=self.run.config.seed,
            built_dropout=self.run.config.dropout,
            checkpoints=self.run.store.files(),
            test=self.run.data.test.shown(),
            began=self.run.watch.now,
            patience=PATIENCE if self.run.control.state == "training" else 0.0,
            follows=follows,
        )

    def begin_view(self, wish: Inspect) -> Iterator[Event]:
        """Begin to work on a view; a look at the test set, if that is wished for, is told at once.

        Raises:
            ValueError: If there is no such view.
        """
        show, choices = view_named(wish.view), dict(wish.choices)
        if self.opens_test(wish):
            if self.run.control.state == "diverged":
                raise ValueError("the weights are lost: there is nothing to judge on the test set")
            yield self.run.evaluate_test()
        scene = self.set_scene(follows=wish.follows)
        self.desk.begin(wish, show(scene, choices, wish.goes), self.run.progress.step)

    def go_on(self, *, waits: bool = False) -> Iterator[Inspected]:
        """Work on the view that was asked for, as far as there is time for it.

        Args:
            self.run: The self.run; its chance is left as it is.
            waits: Whether nothing else is to be done: it is worked on until a wish arrives.
        """
        desk, watch = self.desk, self.run.watch
        while desk.wish is not None and desk.parts is not None:
            if waits and not self.run.control.inbox.is_empty:
                return
            began = watch.now
            if not waits and not desk.may_work(began):
                return
            # A part is too small to be divided: several threads would wait for each other.
            with (
                preserve_rng_state(self.run.device),
                preserve_globals(self.run.model),
                one_thread(),
            ):
                seed_all(SEED + desk.turn)
                try:
                    exhibit = next(desk.parts)
                except StopIteration:
                    desk.clear()
                    return
            desk.turn += 1
            if not waits:
                desk.spend(watch.now - began)
            # Who waits sees it grow; who follows keeps the last whole one in sight meanwhile.
            if exhibit is not None and (exhibit.progress is None or not desk.wish.follows):
                yield Inspected(wish=desk.wish, exhibit=exhibit, step=desk.step)

    def evaluated(self, images: str, result: Evaluation) -> None:
        """Keep the predictions of a split; of the validation images, epoch by epoch."""
        assert result.scores is not None
        run = self.run
        judgement = Judgement(
            images,
            run.progress.step,
            probabilities_of(result.scores),
            result.labels,
            0 if images == VALIDATION else run.data.test.looks,
            at=run.watch.now,
        )
        self.desk.keep(judgement)
        if images == VALIDATION:
            self.chronicle.note(run.progress.epoch, judgement.given, judgement.labels)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, Tensor]]:
        """Return the plain values and the tensors that a checkpoint keeps of it."""
        chronicle = self.chronicle
        tensors = {"chronicle": chronicle.table} if chronicle.epochs else {}
        return {"chronicled": [chronicle.epochs, chronicle.since]}, tensors

    def check(self, state: Checkpoint, path: Path) -> None:
        """Make sure that the chronicle is one of these images; an older version has none.

        Raises:
            InputError: If it is not.
        """
        table, own = state.tensors.get("chronicle"), self.chronicle.table
        counted = state.facts.get("chronicled", [0, 0])
        is_pair = type(counted) is list and len(counted) == 2
        if not is_pair or not all(type(n) is int and 0 <= n < 1 << 31 for n in counted):
            raise fault(path, f"chronicled cannot be {str(counted)[:40]!r}")
        if table is not None and (table.shape, table.dtype) != (own.shape, own.dtype):
            raise fault(path, "does not fit: chronicle is not one of these validation images")

    def restore(self, state: Checkpoint) -> None:
        """Go back to a checkpoint: the model's weights are others now."""
        self.desk.forget()
        epochs, since = state.facts.get("chronicled", (0, 0))
        self.chronicle.restore(state.tensors.get("chronicle"), epochs, since)


def _fault(run: Run, question: Question, error: Exception) -> CommandRejected:
    told = fault_of_own(error, run.config.model) or error
    words = clip(one_line(str(told) or type(told).__name__), LONGEST_REASON)
    return reject(run, question, words)


def _checked(run: Run, question: CheckNetwork) -> Iterator[Answer | CommandRejected]:
    """Check the first steps, item by item; a wish to stop the run need not wait for the last."""
    for item in check(run):
        yield item
        if item.done < item.total and run.control.inbox.awaits(commands.Stop):
            yield reject(run, question, "the run is being stopped")
            return


def _field(run: Run, question: LookAtField) -> FieldMeasured:
    """Measure what one feature sees.

    Raises:
        ValueError: If there is no such layer or feature, or it cannot be measured.
    """
    data, layers = run.data, run.layers
    place, row, column = question.place, question.row, question.column
    if not 0 <= place < len(layers):
        raise ValueError(f"there is no layer {place}; the last is {len(layers) - 1}")
    height, width, _ = layers[place].output_shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"{layers[place].name} has no feature at {row}, {column}")
    split = data.val if len(data.val) else data.train
    digit = question.digit % len(split)
    image = split.images[digit]
    inputs = data.prepare(image.unsqueeze(0))
    try:
        with preserve_rng_state(run.device), preserve_globals(run.model):
            measured = measured_field(_copy(run), data.shape, place, row, column)
            effective = effective_field(_copy(run), inputs, place, row, column)
    except Exception as error:  # it was run with other weights and types than its author meant
        words = one_line(f"{type(error).__name__}: {error}")
        name = layers[place].name
        raise ValueError(f"what {name} sees cannot be measured in this model: {words}") from None
    return FieldMeasured(
        place=place,
        row=row,
        column=column,
        digit=digit,
        label=int(split.labels[digit]),
        image=_numbers(image),
        measured=_numbers(measured),
        effective=_numbers(_brightness(effective)),
        step=run.progress.step,
    )


def _copy(run: Run) -> nn.Module:
    """Return a copy of the network: measuring changes what a forward keeps."""
    return copy_model(run.model)


def _brightness(field: Tensor) -> Tensor:
    """Return sizes of gradients (H, W) as 0 to 255; of weights that are lost, all 0."""
    field = torch.nan_to_num(field.detach().float(), nan=0.0, posinf=0.0, neginf=0.0)
    most = float(field.max())
    return (field * (255 / most)).round() if most > 0 else torch.zeros_like(field)


def _numbers(picture: Tensor) -> tuple[int, ...]:
    return tuple(picture.to(torch.int64).flatten().tolist())


def _network(run: Run, question: DescribeNetwork) -> NetworkDescribed:
    """Build another network, for images and classes like this run's, and look at it.

    Raises:
        InputError: If it cannot be built.
    """
    data = run.data
    with preserve_rng_state():
        network = build_network(question.model, image_size=data.image_size, classes=data.classes)
    layers = layers_of(network, data.shape, data.classes)
    return NetworkDescribed(
        model=model_name(question.model),
        about=about(question.model),
        layers=layers,
        review=review_of(layers, run.config.budget),
    )
