"""The moving parts of one run, and what each command does to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from tui_trainer import zoo
from tui_trainer.anatomy.table import layer_table
from tui_trainer.engine.data import BatchStream, Data, load
from tui_trainer.engine.device import choose_device, set_up
from tui_trainer.engine.metrics import Evaluation, evaluate
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.run import commands
from tui_trainer.run.commands import Command, Inbox
from tui_trainer.run.config import (
    MAX_BATCH_SIZE,
    NAMED_AUGMENTATIONS,
    Augmentation,
    RunConfig,
)
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import (
    CommandRejected,
    Event,
    LayerRow,
    RunStarted,
    SettingChanged,
    State,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.run.schedules import factor
from tui_trainer.run.stats import wilson


class Stopwatch:
    """Training time: runs until it is paused, as often as it is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """The time it has run so far, in seconds."""
        running = 0.0 if self._since is None else self._clock() - self._since
        return self._before + running

    def start(self) -> None:
        """Run on; no effect while it runs."""
        if self._since is None:
            self._since = self._clock()

    def pause(self) -> None:
        """Stand still; no effect while it stands."""
        self._before = self.seconds
        self._since = None


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A trained batch whose loss has not been read from the device yet."""

    loss: torch.Tensor
    hits: torch.Tensor
    size: int
    step: int
    epoch: int
    epoch_images: int
    images: int
    learning_rate: float
    seconds: float

    def event(self, loss: float, hits: float) -> StepDone:
        """Tell of the step, now that its figures are known."""
        return StepDone(
            step=self.step,
            epoch=self.epoch,
            epoch_images=self.epoch_images,
            images=self.images,
            batch_size=self.size,
            loss=loss,
            accuracy=hits / self.size,
            learning_rate=self.learning_rate,
            seconds=self.seconds,
        )


@dataclass
class Session:
    """One run between its first batch and its last.

    ``step``, ``epoch``, ``images`` and ``epoch_images`` count what has been trained, the batch or
    epoch under way included; ``base_rate``, ``batch_size`` and ``augmenting`` are the knobs the
    next batch is trained with; ``loss_sum`` and ``hit_sum`` are the epoch's so far.
    """

    config: RunConfig
    inbox: Inbox
    device: torch.device
    threads: int
    data: Data
    network: nn.Module
    layers: tuple[LayerRow, ...]
    optimizer: torch.optim.Optimizer
    stream: BatchStream
    chance: torch.Generator
    watch: Stopwatch
    base_rate: float
    batch_size: int
    augmenting: bool
    step: int = 0
    epoch: int = 0
    epochs_done: int = 0
    images: int = 0
    epoch_images: int = 0
    loss_sum: float = 0.0
    hit_sum: int = 0
    paused: bool = False
    steps_left: int | None = None
    pause_after_epoch: bool = False
    stop: commands.Stop | None = None
    state: State = "preparing"
    best: Evaluation | None = None
    val_accuracy: float | None = None
    pending: list[PendingStep] = field(default_factory=list)

    def started(self) -> RunStarted:
        """Tell what is about to be trained, on what."""
        return RunStarted(
            model=self.config.model,
            dataset=self.data.name,
            classes=self.data.classes,
            image_size=self.data.image_size,
            parameters=self.parameters,
            layers=self.layers,
            train_size=len(self.data.train),
            val_size=len(self.data.val),
            test_size=len(self.data.test),
            mean=self.data.mean,
            std=self.data.std,
            epochs=self.config.epochs,
            batch_size=self.batch_size,
            learning_rate=self.base_rate,
            optimizer=self.config.optimizer,
            schedule=self.config.schedule,
            augmentation=self.augmenting,
            dropout=self.dropout,
            seed=self.config.seed,
            device=self.device.type,
            threads=self.threads,
        )

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def dropout(self) -> float | None:
        """The share of features its dropout layers hide, None where it has none."""
        shares = [m.p for m in self.network.modules() if isinstance(m, nn.Dropout)]
        return shares[0] if shares else None

    @property
    def learning_rate(self) -> float:
        """The rate of the next update: base times schedule."""
        return self.base_rate * factor(self.config, self.images / len(self.data.train))

    @property
    def amounts(self) -> Augmentation | None:
        """How the next batch is augmented: the run's own way, or the light one if it has none."""
        if not self.augmenting:
            return None
        own = self.config.augmentation
        return NAMED_AUGMENTATIONS["light"] if own.is_none else own

    def begin_epoch(self) -> None:
        """Shuffle anew and set the epoch's sums to nothing."""
        self.epoch += 1
        self.epoch_images = self.hit_sum = 0
        self.loss_sum = 0.0
        self.stream.begin_epoch()

    def count_step(self, loss: torch.Tensor, hits: torch.Tensor, size: int, rate: float) -> None:
        """Book a trained batch; its figures stay on the device until they are read."""
        self.step += 1
        self.images += size
        self.epoch_images += size
        self.pending.append(
            PendingStep(
                loss=loss,
                hits=hits,
                size=size,
                step=self.step,
                epoch=self.epoch,
                epoch_images=self.epoch_images,
                images=self.images,
                learning_rate=rate,
                seconds=self.watch.seconds,
            )
        )

    def enter(self, state: State, detail: str = "") -> Iterator[StateChanged]:
        """Change the state, and say so if it is another one."""
        if state != self.state:
            self.state = state
            yield StateChanged(state=state, step=self.step, detail=detail)

    def obey(self) -> Iterator[Event]:
        """Take the wishes that have arrived; while paused, wait here for more.

        This is the one place where commands come in, and it lies between two batches.
        """
        if self.steps_left == 0:
            self.paused, self.steps_left = True, None
        yield from self._grant(self.inbox.take(self.step))
        while self.paused and self.stop is None:
            self.watch.pause()
            yield from self.enter("paused")
            yield from self._grant(self.inbox.take(self.step, wait=True))
        if self.stop is None:
            self.watch.start()
            yield from self.enter("training")

    def _grant(self, wishes: list[Command]) -> Iterator[Event]:
        for wish in wishes:
            match wish:
                case commands.Pause():
                    self.paused, self.steps_left, self.pause_after_epoch = True, None, False
                case commands.Resume():
                    self.paused, self.steps_left, self.pause_after_epoch = False, None, False
                case commands.RunStep():
                    self.paused, self.steps_left = False, 1
                case commands.RunEpoch():
                    self.paused, self.steps_left, self.pause_after_epoch = False, None, True
                case commands.Stop():
                    self.stop = wish
                case commands.LookAtTest():
                    self.watch.pause()
                    yield self.look_at_test()
                case _:
                    yield self._turn(wish)

    def _turn(
        self,
        wish: commands.SetLearningRate
        | commands.SetBatchSize
        | commands.SetAugmentation
        | commands.SetDropout,
    ) -> Event:
        """Turn a knob, or say why it does not turn."""
        old: float
        match wish:
            case commands.SetLearningRate(value):
                if not 0 < value <= 1_000:
                    return self._reject(wish, "the learning rate must be above 0, at most 1,000")
                setting, old, self.base_rate = "learning_rate", self.base_rate, value
            case commands.SetBatchSize(value):
                if not 1 <= value <= MAX_BATCH_SIZE:
                    return self._reject(wish, "the batch size must be from 1 to 65,536")
                setting, old, self.batch_size = "batch_size", self.batch_size, value
            case commands.SetAugmentation(value):
                setting, old, self.augmenting = "augmentation", int(self.augmenting), value
                value = int(value)
            case commands.SetDropout(value):
                if self.dropout is None:
                    return self._reject(wish, f"{self.config.model} has no dropout layer")
                if not 0 <= value <= 0.95:
                    return self._reject(wish, "dropout must be from 0 to 0.95")
                setting, old = "dropout", self.dropout
                for module in self.network.modules():
                    if isinstance(module, nn.Dropout):
                        module.p = value
        return SettingChanged(
            setting=setting,
            old=old,
            new=value,
            step=self.step,
            epoch=self.epoch,
            images=self.images,
        )

    def _reject(self, wish: Command, reason: str) -> CommandRejected:
        return CommandRejected(command=type(wish).__name__, reason=reason, step=self.step)

    def look_at_test(self) -> TestEvaluated:
        """Open the sealed test set once more and evaluate the present weights on it."""
        result = evaluate(self.network, self.data, self.data.test.open())
        return TestEvaluated(
            look=self.data.test.looks,
            step=self.step,
            images=self.images,
            test_loss=result.loss,
            test_accuracy=result.correct / result.total,
            test_correct=result.correct,
            test_total=result.total,
            test_interval=wilson(result.correct, result.total),
        )


def prepare(
    config: RunConfig, inbox: Inbox, clock: Callable[[], float]
) -> Generator[Event, None, Session]:
    """Load the data and build the network: everything a run needs before its first batch.

    Raises:
        InputError: If the device, the data or the combination of settings cannot be used.
    """
    device = choose_device(config.device)
    threads = set_up(device, config.threads)
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    data = yield from load(config, device)
    yield StateChanged(state="preparing", step=0, detail="building the network")
    torch.manual_seed(config.seed)
    network = zoo.build(
        config.model, image_size=data.image_size, classes=data.classes, dropout=config.dropout
    )
    layers = layer_table(network, data.image_size)
    # Convolutions on the CPU are 1.6 times as fast with the channels innermost.
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    session = Session(
        config=config,
        inbox=inbox,
        device=device,
        threads=threads,
        data=data,
        network=network,
        layers=layers,
        optimizer=make_optimizer(network, config),
        stream=BatchStream(len(data.train), _generator(config.seed, "order")),
        chance=_generator(config.seed, "augmentation"),
        watch=Stopwatch(clock),
        base_rate=config.learning_rate,
        batch_size=config.batch_size,
        augmenting=not config.augmentation.is_none,
    )
    if config.dropout is not None and session.dropout is None:
        raise InputError(
            f"--dropout {config.dropout:g}: {config.model} has no dropout layer; "
            "--model era-s6-dropout has"
        )
    return session


def _generator(seed: int, use: str) -> torch.Generator:
    """Return a generator of its own for each use, so that none disturbs another's sequence."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {use}").getrandbits(63))
