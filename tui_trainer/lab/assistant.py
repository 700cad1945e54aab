"""The laboratory of a run: answers questions about the model between two batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from tui_trainer.anatomy.description import layers_of, review_of
from tui_trainer.data.dataset import Data
from tui_trainer.data.neighbors import probe_data
from tui_trainer.data.recorded_inputs import RecordedInputs
from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.engine.process_commands import reject
from tui_trainer.engine.run import Run
from tui_trainer.lab.ask import VIEW_TOPICS, Job, Scheduler, single_thread, topic_of
from tui_trainer.lab.context import IMAGES, MAX_AGE, SEED, Context
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import TEST, VALIDATION, Predictions, PredictionStore
from tui_trainer.lab.preflight.custom_trial import try_batch_size, try_model
from tui_trainer.lab.probe_assistant import ProbeAssistant
from tui_trainer.lab.racing import Racing
from tui_trainer.models.build import custom_model_error, is_custom
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.input_spec import ImageShape, InputSpec
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.tensors import probabilities_of
from tui_trainer.models.unregistered_state import preserve_globals
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import AdoptArm, Ask, CancelQuestion, Question
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.errors import path_error
from tui_trainer.protocol.events import CommandRejected, Event
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import Probe
from tui_trainer.text.fmt import clip, one_line

LONGEST_REASON = 300
"""Characters of an error message that are reported; torch's can be pages long."""


class Laboratory(ProbeAssistant):
    """Answers questions about one run's model.

    Attributes:
        scheduler: Runs answers in slices.
        prediction_store: The newest predictions of each split.
        forgetting: How each validation image was classified, epoch by epoch.
        racing: The last race, an arm of which can be adopted.
        probes_data: Whether the data are probed before training: only a training and the check
            need it.
    """

    forgetting: ExampleForgetting
    racing: Racing

    def __init__(self, *, probes_data: bool = True) -> None:
        self.scheduler = Scheduler()
        self.prediction_store = PredictionStore()
        self.probes_data = probes_data

    def describe(
        self, model: nn.Module, image: ImageShape | InputSpec, classes: int, budget: int
    ) -> tuple[tuple[LayerRow, ...], tuple[Diagnosis, ...]]:
        """Return layer table and design review of a model for images (height, width, channels)."""
        layers = layers_of(model, image, classes)
        return layers, review_of(layers, budget)

    def first_probes(self, model: nn.Module, data: Data, config: RunConfig) -> tuple[Probe, ...]:
        """Probe the data and the model; try a custom model's first training steps on a copy.

        Raises:
            InputError: If a step fails.
        """
        if isinstance(data, RecordedInputs):  # the script has trained on all of its images
            return ()
        probes: list[Probe] = [try_model(model, data, config)] if is_custom(config.model) else []
        is_probed = config.probes and self.probes_data
        return (probe_data(data), *probes) if is_probed else tuple(probes)

    def try_batch_size(
        self, model: nn.Module, data: Data, config: RunConfig, batch_size: int
    ) -> None:
        """Try a training step of a custom model with another batch size, on a copy.

        Raises:
            InputError: If it would fail.
        """
        if is_custom(config.model):
            try_batch_size(model, data, config, batch_size)

    def begin(self, run: Run) -> None:
        """Attach the run that is about to be trained."""
        super().begin(run)
        self.forgetting = ExampleForgetting(len(run.data.val))
        self.racing = Racing(run)

    @property
    def is_busy(self) -> bool:
        """Whether a view is in progress."""
        return self.scheduler.is_busy

    def answer(self, question: Question | AdoptArm) -> Iterator[Event]:
        """Answer a question or start the answer; reject it with the reason if that fails.

        An exception of a custom model never ends the run.
        """
        try:
            if isinstance(question, AdoptArm):
                yield from self.racing.adopt(question)
            else:
                yield from self.begin_answer(question)
        except Exception as error:
            yield self._rejected(question, error)

    def work(self, *, waits: bool) -> Iterator[Event]:
        """Continue an answer while time allows; if the run ``waits``, until a command arrives.

        An exception of a custom model never ends the run.
        """
        try:
            yield from self.continue_answer(waits=waits)
        except Exception as error:
            job, self.scheduler.job = self.scheduler.job, None
            if job is not None:
                yield self._rejected(job.question, error)

    def evaluates_test(self, question: Question) -> bool:
        """Return whether the answer needs a new test evaluation."""
        if isinstance(question, CancelQuestion) or question.topic not in VIEW_TOPICS:
            return False
        found = self.prediction_store.by_split.get(TEST)
        is_old = found is None or found.step != self.run.progress.step
        is_confirmed = question.mode == "confirmed"
        return is_confirmed and is_old and (IMAGES.name, TEST) in question.choices

    def begin_answer(self, question: Question) -> Iterator[Event]:
        """Answer a question; if it is answered in slices, start the job.

        A test evaluation is reported before the answer.

        Raises:
            Exception: If the answer raises one.
        """
        if isinstance(question, CancelQuestion):
            return  # its arrival has already ended the current answer
        topic = topic_of(question)
        if self.evaluates_test(question):
            if self.run.control.state == "diverged":
                raise ValueError("the weights are not finite: the test set is not evaluated")
            yield self.run.evaluate_test()
        context = self.open_context(question)
        job = Job(question, context, topic.begin(context, question))
        if topic.in_slices:
            self.scheduler.job = job
            return
        while not job.is_done:
            answered = self._advance(job)
            if answered is None:
                continue
            yield answered
            if self.run.control.inbox.ends(question):
                if topic.ended and not answered.is_last:
                    yield reject(self.run, question, topic.ended)
                return

    def continue_answer(self, *, waits: bool = False) -> Iterator[Answered]:
        """Continue the answer in slices.

        Args:
            waits: Whether the run has nothing else to do: continue until a command arrives.

        Raises:
            Exception: If the answer raises one.
        """
        scheduler, stopwatch = self.scheduler, self.run.stopwatch
        while scheduler.job is not None:
            if waits and not self.run.control.inbox.is_empty:
                return
            began = stopwatch.now
            if not waits and not scheduler.may_work(began):
                return
            # A slice is too small for several threads: they would wait for each other.
            with single_thread():
                answered = self._advance(scheduler.job)
            if scheduler.job.is_done:
                scheduler.job = None
                return
            if not waits:
                scheduler.spend(stopwatch.now - began)
            if answered is not None:
                yield answered

    def _advance(self, job: Job) -> Answered | None:
        """Run one slice of an answer; return its content if it is to be shown.

        The rng states are restored after each slice, not after the whole answer: between two slices
        the run uses them.
        """
        with preserve_rng_state(self.run.device), preserve_globals(self.run.model):
            seed_all(SEED + job.turn)
            began = job.context.clock()
            try:
                content = next(job.parts)
            except StopIteration:
                job.is_done = True
                return None
        job.turn += 1
        if content is None:
            return None
        total = topic_of(job.question).total
        answered = Answered(
            question=job.question,
            content=content,
            step=job.context.shown_step,
            done=min(job.turn, total),
            total=total,
            seconds=job.context.clock() - began,
        )
        # Interactive answers show partial results; in the background only complete ones are shown.
        is_shown = answered.is_last or job.question.mode != "background"
        return answered if is_shown else None

    def open_context(self, question: Ask) -> Context:
        """Return the context of an answer; for one in slices, with a copy of the model."""
        run = self.run
        config = replace(run.config, lr=run.base_lr, batch_size=run.batches.batch_size)
        if run.dropout is not None and config.dropout is not None:
            config = replace(config, dropout=run.dropout)
        context = Context(
            initial=run.config,
            config=config,
            data=run.data,
            device=run.device,
            layers=run.layers,
            model=run.model,
            step=run.progress.step,
            forgetting=self.forgetting,
            prediction_store=self.prediction_store,
            checkpoints=run.store.files(),
            began=run.stopwatch.now,
            max_age=MAX_AGE if run.control.state == "training" else 0.0,
            is_background=question.mode == "background",
            first_probes=run.first_probes,
            racing=self.racing,
            optimizer=run.optimizer,
            is_augmenting=run.batches.augmenting,
            done=min(1.0, run.done),
        )
        if topic_of(question).in_slices:
            context.model = context.copy().requires_grad_(False)
        return context

    def _rejected(self, question: Question | AdoptArm, error: Exception) -> CommandRejected:
        located = custom_model_error(error, self.run.config.model) or error
        message = one_line(str(located) or type(located).__name__)
        return reject(self.run, question, clip(message, LONGEST_REASON))

    def evaluated(self, images: str, result: Evaluation) -> None:
        """Keep the predictions of a split; record those of the validation split by epoch."""
        assert result.logits is not None
        run = self.run
        predictions = Predictions(
            images,
            run.progress.step,
            probabilities_of(result.logits),
            result.labels,
            0 if images == VALIDATION else run.data.test.evaluations,
            at=run.stopwatch.now,
        )
        self.prediction_store.keep(predictions)
        self.racing.forget_if_past()
        if images == VALIDATION:
            self.forgetting.update(run.progress.epoch, predictions.predicted, predictions.labels)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, Tensor]]:
        """Return the plain values and the tensors for a checkpoint."""
        forgetting = self.forgetting
        tensors = {"example_forgetting": forgetting.table} if forgetting.epochs else {}
        return {"example_forgetting": [forgetting.epochs, forgetting.since]}, tensors

    def check(self, state: Checkpoint, path: Path) -> None:
        """Check that the forgetting table fits these images; version 0.1 wrote none.

        Raises:
            InputError: If it does not.
        """
        table, current = state.tensors.get("example_forgetting"), self.forgetting.table
        counted = state.metadata.get("example_forgetting", [0, 0])
        is_pair = type(counted) is list and len(counted) == 2
        if not is_pair or not all(type(n) is int and 0 <= n < 1 << 31 for n in counted):
            raise path_error(path, f"example_forgetting cannot be {str(counted)[:40]!r}")
        if table is not None and (table.shape, table.dtype) != (current.shape, current.dtype):
            raise path_error(path, "does not fit: example_forgetting is of other validation images")

    def restore(self, state: Checkpoint) -> None:
        """Restore the state of a checkpoint; earlier predictions are invalid."""
        self.prediction_store.forget()
        epochs, since = state.metadata.get("example_forgetting", (0, 0))
        self.forgetting.restore(state.tensors.get("example_forgetting"), epochs, since)
