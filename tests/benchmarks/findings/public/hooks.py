"""What the public fault sets do to the data and to the parts of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from tests.benchmarks.findings.hooks import DataHook, SessionHook
from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.engine.run import Run
from tui_trainer.models.copies import copy_model

SplitHook = Callable[[Split, torch.Generator], Split]


# --- the data


def on_splits(change: SplitHook, seed: int, *, train: bool = True, val: bool = False) -> DataHook:
    """Change the training split, the validation split or both, each with a separate rng."""

    def hook(data: Data) -> Data:
        rngs = [torch.Generator().manual_seed(2 * seed + i) for i in range(2)]
        return replace(
            data,
            train=change(data.train, rngs[0]) if train else data.train,
            val=change(data.val, rngs[1]) if val else data.val,
        )

    return hook


def relabel(old: int, new: int, share: float) -> SplitHook:
    """Give a share of a class another class's label."""

    def change(split: Split, rng: torch.Generator) -> Split:
        chosen = (torch.rand(len(split), generator=rng) < share) & (split.labels == old)
        return Split(split.images, torch.where(chosen, new, split.labels))

    return change


def exchange(first: int, second: int, share: float) -> SplitHook:
    """Exchange the labels of a share of two classes."""

    def change(split: Split, rng: torch.Generator) -> Split:
        chosen = torch.rand(len(split), generator=rng) < share
        labels = torch.where(chosen & (split.labels == first), second, split.labels)
        return Split(split.images, torch.where(chosen & (split.labels == second), first, labels))

    return change


def wrong_labels(share: float) -> SplitHook:
    """Give a share of the images a wrong label, each of the others with the same probability."""

    def change(split: Split, rng: torch.Generator) -> Split:
        chosen = torch.rand(len(split), generator=rng) < share
        offset = torch.randint(1, 10, (len(split),), generator=rng)
        return Split(split.images, torch.where(chosen, (split.labels + offset) % 10, split.labels))

    return change


def twice(old: int, new: int) -> SplitHook:
    """Repeat every image of a class under another class's label."""

    def change(split: Split, rng: torch.Generator) -> Split:
        chosen = split.labels == old
        again = torch.full_like(split.labels[chosen], new)
        images = torch.cat([split.images, split.images[chosen]])
        labels = torch.cat([split.labels, again])
        order = torch.randperm(len(labels), generator=rng)
        return Split(images[order], labels[order])

    return change


def keep_of_class(label: int, share: float) -> SplitHook:
    """Keep a share of one class only."""
    return unbalanced({label: share})


def unbalanced(shares: dict[int, float]) -> SplitHook:
    """Keep a share of some classes only."""

    def change(split: Split, rng: torch.Generator) -> Split:
        limits = torch.tensor([shares.get(label, 1.0) for label in range(10)])
        kept = torch.rand(len(split), generator=rng) < limits[split.labels]
        return Split(split.images[kept], split.labels[kept])

    return change


def shuffled_labels(split: Split, rng: torch.Generator) -> Split:
    """Shuffle the labels and not the images."""
    return Split(split.images, split.labels[torch.randperm(len(split), generator=rng)])


def shifted_labels(split: Split, rng: torch.Generator) -> Split:
    """Pair each image with its neighbor's label."""
    return Split(split.images, split.labels.roll(1))


def off_by_one(split: Split, rng: torch.Generator) -> Split:
    """Add 1 to each label: the network learns it all the same."""
    return Split(split.images, (split.labels + 1) % 10)


def noisy_pixels(strength: float) -> SplitHook:
    """Add uniform noise to each pixel, DeepCrime's TAN."""

    def change(split: Split, rng: torch.Generator) -> Split:
        noise = torch.randn(split.images.shape, generator=rng) * strength * 255
        return Split((split.images + noise).clamp(0, 255).to(torch.uint8), split.labels)

    return change


def halved(divisor: int) -> SplitHook:
    """Divide the pixels by a whole number."""
    return lambda split, rng: Split(split.images // divisor, split.labels)


def inverted(split: Split, rng: torch.Generator) -> Split:
    """Invert the images."""
    return Split(255 - split.images, split.labels)


def transposed(split: Split, rng: torch.Generator) -> Split:
    """Transpose each image."""
    return Split(split.images.transpose(1, 2).contiguous(), split.labels)


def scrambled(split: Split, rng: torch.Generator) -> Split:
    """Interpret the bytes of the images with the wrong row length: every image is a mixture."""
    flat = split.images.reshape(-1)
    return Split(flat.roll(28 * 28 // 2 + 5).reshape(split.images.shape), split.labels)


def leaked(data: Data) -> Data:
    """Put every validation image into the training images: a random split after augmentation."""
    train = Split(
        torch.cat([data.val.images, data.train.images])[: len(data.train)],
        torch.cat([data.val.labels, data.train.labels])[: len(data.train)],
    )
    return replace(data, train=train)


# --- the parts of a run


def without_zero_grad(run: Run) -> None:
    """Leave ``optimizer.zero_grad()`` out."""
    run.optimizer.zero_grad = lambda: None  # type: ignore[method-assign]


def of_a_copy(run: Run) -> None:
    """Give the optimizer the parameters of a copy: the model was built twice, or moved later."""
    trained = list(run.model.parameters())
    other = list(copy_model(run.model).parameters())
    step, zero_grad = run.optimizer.step, run.optimizer.zero_grad
    theirs = {id(mine): copied for mine, copied in zip(trained, other, strict=True)}
    run.optimizer.parameters[:] = [theirs[id(mine)] for mine in run.optimizer.parameters]

    def copied_step(lr: float) -> None:
        step(lr)

    def cleared() -> None:
        zero_grad()
        for parameter in trained:
            parameter.grad = None

    run.optimizer.step, run.optimizer.zero_grad = copied_step, cleared  # type: ignore[method-assign]


def only_last_layers(count: int) -> SessionHook:
    """Give the optimizer the last parameters only."""

    def hook(run: Run) -> None:
        every = list(run.model.parameters())
        run.optimizer = make_optimizer(_Some(every[-count:]), run.config)
        zero_grad = run.optimizer.zero_grad

        def clear_all() -> None:
            zero_grad()
            for parameter in every:
                parameter.grad = None

        run.optimizer.zero_grad = clear_all  # type: ignore[method-assign]

    return hook


class _Some(nn.Module):
    """A part of a model's parameters."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.part = nn.ParameterList(parameters)


def rebuilt_each_epoch(run: Run) -> None:
    """Build the model again at the start of each epoch."""
    first = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    begin = run.batches.stream.begin_epoch

    def begin_epoch() -> None:
        begin()
        run.model.load_state_dict(first)

    run.batches.stream.begin_epoch = begin_epoch  # type: ignore[method-assign]


def eval_after_validation(run: Run) -> None:
    """Leave the model in evaluation mode after the first validation."""
    train = run.model.train

    def stay(mode: bool = True) -> nn.Module:
        return run.model if run.progress.epochs_done else train(mode)

    begin = run.batches.stream.begin_epoch

    def begin_epoch() -> None:
        begin()
        if run.progress.epochs_done:
            run.model.eval()

    run.batches.stream.begin_epoch = begin_epoch  # type: ignore[method-assign]
    run.model.train = stay  # type: ignore[method-assign]


def clipped(norm: float) -> SessionHook:
    """Clip the gradient to a norm."""

    def hook(run: Run) -> None:
        step = run.optimizer.step

        def clip(lr: float) -> None:
            gradients = [p for p in run.model.parameters() if p.grad is not None]
            nn.utils.clip_grad_norm_(gradients, norm)
            step(lr)

        run.optimizer.step = clip  # type: ignore[method-assign]

    return hook


def decayed_every_batch(factor: float) -> SessionHook:
    """Call an epoch's learning rate schedule after each batch."""

    def hook(run: Run) -> None:
        step, count = run.optimizer.step, [0]

        def decayed(lr: float) -> None:
            step(lr * factor ** count[0])
            count[0] += 1

        run.optimizer.step = decayed  # type: ignore[method-assign]

    return hook


def same_order(run: Run) -> None:
    """Use the same order of images in every epoch. No effect."""
    order: list[Tensor] = []
    begin = run.batches.stream.begin_epoch

    def begin_epoch() -> None:
        begin()
        order.append(run.batches.stream.order)
        run.batches.stream.order = order[0]

    run.batches.stream.begin_epoch = begin_epoch  # type: ignore[method-assign]


def one_class_a_batch(run: Run) -> None:
    """Let every batch have images of one class: a sampler's mistake."""
    labels, size = run.data.train.labels, run.batches.batch_size

    def begin_epoch() -> None:
        order = labels.argsort(stable=True)
        batches = list(torch.split(order, size))
        chosen = torch.randperm(len(batches), generator=run.batches.stream.rng)
        run.batches.stream.order = torch.cat([batches[i] for i in chosen.tolist()])
        run.batches.stream.cursor = 0

    run.batches.stream.begin_epoch = begin_epoch  # type: ignore[method-assign]


def half_of_updates_dropped(run: Run) -> None:
    """Update the weights after every fourth batch only, with that batch's gradient."""
    step, count = run.optimizer.step, [0]

    def seldom(lr: float) -> None:
        count[0] += 1
        if count[0] % 4 == 0:
            step(lr)

    run.optimizer.step = seldom  # type: ignore[method-assign]


def rounded_weights(run: Run) -> None:
    """Round the weights to bfloat16 after each update: a mixed precision without a master copy."""
    step = run.optimizer.step

    def rounded(lr: float) -> None:
        step(lr)
        with torch.no_grad():
            for parameter in run.model.parameters():
                parameter.copy_(parameter.bfloat16())

    run.optimizer.step = rounded  # type: ignore[method-assign]
