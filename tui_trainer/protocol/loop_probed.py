"""Probes of a training loop of a user's own script, which hooks observe from outside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LossProbe:
    """The loss of one sampled step: how it was computed, and from which labels.

    The autograd graph of the loss shows its functions; the gradient of the logits shows its
    direction and the labels.

    Attributes:
        head: The function that compares outputs and labels: ``nll``, ``bce``, ``bce_logits`` or
            ``mse``; empty if that is not known.
        activations: The softmax, log-softmax or sigmoid functions before it, the last one first.
        axis: The dimension of the last softmax or log-softmax; None without one.
        is_log: Whether a logarithm of probabilities was taken before ``nll``.
        has_graph: Whether the loss that the script passed has an autograd graph.
        is_connected: Whether that graph leads to the outputs of the model.
        is_raw: Whether the loss is the negative mean of the labels' outputs themselves: ``nll``
            without a logarithm of probabilities.
        guess_loss: The loss of equal outputs for all classes; None if the kind is not known.
        label_range: The lowest and the highest label of the batch.
        ratio: The loss, divided by the mean loss of the same kind on these logits and labels: the
            batch size for a sum, -1 for a negated loss. None if the kind is not known.
        direction: 1 if the gradient raises the outputs of the labels, -1 if it lowers them, 0 if
            unknown.
        agreement: The share of the examples whose label in the loss is the batch's label. None
            where the gradient does not show the labels, as below.
        previous: The same for the labels of the batch before.
        rolled: The same for the batch's labels moved by one example.
        shift: The number that the loss adds to each label, modulo the classes; None if the
            labels differ otherwise.
        is_permuted: Whether these labels are those of the batch in another order.
        is_relabeled: Whether the loss's label is a function of the batch's label.
    """

    head: str = ""
    activations: tuple[str, ...] = ()
    axis: int | None = None
    is_log: bool = False
    has_graph: bool = False
    is_connected: bool = True
    is_raw: bool = False
    guess_loss: float | None = None
    label_range: tuple[int, int] | None = None
    ratio: float | None = None
    direction: int = 0
    agreement: float | None = None
    previous: float | None = None
    rolled: float | None = None
    shift: int | None = None
    is_permuted: bool = False
    is_relabeled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerProbe:
    """A learning rate scheduler of PyTorch.

    Attributes:
        name: Its class.
        steps: How often it was stepped since the run began.
        length: The steps after which it is done, repeats or lowers the learning rate, such as
            ``T_max``, ``total_steps`` or ``step_size``; None if it has none.
        decay: The mean factor by which one of its steps multiplies the learning rate; None if it
            does not decay exponentially.
        is_early: Whether it was stepped before the first update.
    """

    name: str
    steps: int
    length: int | None = None
    decay: float | None = None
    is_early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopProbed:
    """A user's own training loop, around one sampled update, or at the end of an epoch.

    Numbers without another period count since the run began.

    Attributes:
        step: Batches trained so far.
        epoch: Their epoch.
        images: Training examples seen so far.
        is_epoch: Whether an epoch has ended; what belongs to one update is empty then.
        optimizer: The class of the optimizer.
        updates: Calls of ``optimizer.step()``.
        backwards: Backward passes.
        stale_updates: Updates between a forward pass and its backward pass.
        has_moved: Whether weights have changed since the first sampled step.
        is_reached: Whether the backward pass gave any parameter of the optimizer a gradient.
        gradient_norm: The norm of the gradient after the backward pass; None if not measured.
        update_gradient_norm: The same at ``optimizer.step()``: after clipping or clearing.
        parameters: The model's parameter tensors that require a gradient.
        optimized: How many of them the optimizer has.
        foreign: Tensors of the optimizer that are no parameters of the model …
        lookalikes: … and that have the shape of a parameter that the optimizer does not have.
        dtype: The dtype of most parameters.
        is_mixed: Whether the values of different examples of the batch were mixed on their way to
            the model.
        is_changed: Whether the loop has changed the values of the batch before the model got them.
        loss: The loss of the sampled step.
        training_mode_images: Examples evaluated in training mode, between training steps.
        evaluated_images: All examples evaluated between training steps.
        mode_layers: The batch norm and dropout layers of the model.
        kept_graphs: The graphs of the last five sampled steps before this one that are still in
            memory, counted from the one before …
        sampled_graphs: … of so many.
        sampler: The class of the loader's sampler; empty if that is not known.
        repeats_order: Whether the first batches of two epochs had the same examples.
        schedulers: The learning rate schedulers.
        shared_images: Sampled validation examples that are sampled training examples.
        validation_sampled: How many validation examples were compared …
        training_sampled: … with how many training examples …
        training_size: … of so many in an epoch.
        is_by_loop: Whether the loop evaluated them itself: they can be training examples on
            purpose.
        overlap: Validation examples that are training examples by their indices in the same
            dataset; None if the datasets do not show that.
        overlap_size: The validation examples of these datasets.
    """

    step: int
    epoch: int
    images: int
    is_epoch: bool = False
    optimizer: str = ""
    updates: int = 0
    backwards: int = 0
    stale_updates: int = 0
    has_moved: bool = True
    is_reached: bool = True
    gradient_norm: float | None = None
    update_gradient_norm: float | None = None
    parameters: int = 0
    optimized: int = 0
    foreign: int = 0
    lookalikes: int = 0
    dtype: str = "float32"
    is_mixed: bool = False
    is_changed: bool = False
    loss: LossProbe | None = None
    training_mode_images: int = 0
    evaluated_images: int = 0
    mode_layers: tuple[str, ...] = ()
    kept_graphs: int = 0
    sampled_graphs: int = 0
    sampler: str = ""
    repeats_order: bool = False
    schedulers: tuple[SchedulerProbe, ...] = ()
    shared_images: int = 0
    validation_sampled: int = 0
    training_sampled: int = 0
    training_size: int = 0
    is_by_loop: bool = False
    overlap: int | None = None
    overlap_size: int = 0
