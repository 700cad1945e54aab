"""What the probes see: samples of how the training goes inside, taken now and then.

Facts like all events, and recorded with them. The rules of :mod:`tui_trainer.findings` judge
by them. Norms are Euclidean ones over all numbers of a tensor; statistics of inputs are of what the
network is given: pixels after normalization.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterProbe:
    """What one update did to one parameter tensor.

    Attributes:
        name: Its name in the network, as in ``conv1.weight``.
        count: How many numbers it has.
        is_weight: Whether it mixes inputs (two dimensions or more); biases and norms do not.
        weight: The norm of it, before the update.
        gradient: The norm of its gradient; None where it got none.
        update: The norm of what the update added to it.
        frozen: Whether it does not require a gradient.
        epsilon: The relative spacing of its numbers: an update that is smaller is lost.
    """

    name: str
    count: int
    is_weight: bool
    weight: float
    gradient: float | None
    update: float
    frozen: bool = False
    epsilon: float = 2**-23


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProbed:
    """One update among many, looked at closely.

    Attributes:
        step: The update's step.
        epoch: Its epoch.
        images: Training images seen up to it.
        learning_rate: The rate of the update.
        batch_size: How many images the batch had.
        label_counts: How many images of each class.
        still_layers: The norm and dropout layers that were in evaluation mode.
        is_training: Whether the model as a whole was in training mode; False where an old record
            does not say.
        gradient: The norm of the gradient of all parameters.
        last_gradient: That of the step before; None where the step before was not looked at.
        agreement: The scalar product of the two, which tells signal from noise: batches share the
            signal alone.
        descent: The cosine between the update and the gradient's opposite: 1 straight downhill,
            below 0 uphill. None where one of them is 0.
        pull: The cosine between the update and the way to weights of 0: near 1 if weight decay is
            all that moves them. None where one of them is 0.
        parameters: Each parameter tensor, in the network's order.
        input_share: The share of the step's time spent on fetching and augmenting the batch;
            None on an accelerator, which works on while its clock is read.
    """

    step: int
    epoch: int
    images: int
    learning_rate: float
    batch_size: int
    label_counts: tuple[int, ...]
    still_layers: tuple[str, ...]
    gradient: float
    last_gradient: float | None
    agreement: float | None
    descent: float | None
    parameters: tuple[ParameterProbe, ...]
    input_share: float | None = None
    pull: float | None = None
    is_training: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProbe:
    """What one layer makes of the sample.

    Attributes:
        name: Its name in the layer table.
        kind: Its kind there.
        units: Its channels, or its numbers where it has no map.
        dead: How many of them are 0 for every image and place (a ReLU's), or give every image and
            place the same number.
        saturated: The share of outputs at a bound: within 0.01 of 0 or 1 for a sigmoid, of -1 or 1
            for a tanh; 0 for other layers.
        mean: The mean output.
        std: Its standard deviation.
    """

    name: str
    kind: str
    units: int
    dead: int
    saturated: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleProbed:
    """What the network makes of a fixed sample of training images, as they are.

    They are not augmented, and nothing is dropped: unlike the running training figures this can be
    compared with the validation. Evaluation mode, the weights after ``step``.

    Attributes:
        step: After how many batches.
        epoch: The epoch they belong to; 0 before the first.
        images: Training images seen up to there.
        sample: How many images the sample has.
        loss: Their mean loss.
        loss_error: The standard error of that mean.
        correct: How many are classified rightly.
        batch_gap: How much higher their loss is when batch norm takes the statistics of batches of
            the present size in place of the running ones; None without batch norm.
        batch_gap_error: The standard error of that, over batches.
        confidence: The mean of the largest probability.
        sure: The largest probability that one in ten images reaches.
        confusion: How many images of each class, row by row, are given each class.
        score_low: The lowest score.
        score_high: The highest score.
        are_probabilities: Whether each image's scores add up to 1 and none is below 0.
        input_mean: The mean of the sample as the network is given it.
        input_std: The standard deviation likewise.
        val_mean: The mean of as many validation images likewise; None without a validation split.
        val_std: The standard deviation likewise.
        layers: Each layer, in the order of the layer table.
        unused: The parameters that forward does not use in training mode, by name; None in a record
            of before.
        memory_left: The share of the machine's memory that is left, if that is little; else None.
    """

    step: int
    epoch: int
    images: int
    sample: int
    loss: float
    loss_error: float
    correct: int
    batch_gap: float | None
    batch_gap_error: float | None
    confidence: float
    sure: float
    confusion: tuple[tuple[int, ...], ...]
    score_low: float
    score_high: float
    are_probabilities: bool
    input_mean: float
    input_std: float
    val_mean: float | None
    val_std: float | None
    layers: tuple[LayerProbe, ...]
    memory_left: float | None = None
    unused: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTried:
    """How the model answers in evaluation mode, tried on a few images before the first step.

    A gap is the largest difference between two logits of an image that should be equal, as a share
    of the largest difference between two logits of one image.

    Attributes:
        step: After how many batches.
        batch_gap: Between an image alone and the same image among others.
        random_gap: Between an image and the same image again, with other random numbers.
        state_gap: Between an image and the same image again, after the model has seen others.
        image_gap: Between different images: 0 if the model gives every image the same logits.
    """

    step: int = 0
    batch_gap: float
    random_gap: float
    state_gap: float
    image_gap: float


Probe = UpdateProbed | SampleProbed | ModelTried
"""What the probes tell."""
