"""Probes: sampled measurements of gradients, updates and activations during training.

They are events and are recorded like all others; the rules of :mod:`tui_trainer.findings` read
them. A norm is the Euclidean norm over all elements of a tensor. Input statistics are those of the
model's input: pixels after normalization.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.protocol.loop_probed import LoopProbed


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterProbe:
    """What one update did to one parameter tensor.

    Attributes:
        name: Its name in ``named_parameters``, as in ``conv1.weight``.
        numel: The number of its elements.
        is_weight: Whether it has two dimensions or more, unlike biases and norm parameters.
        weight_norm: Its norm before the update.
        gradient_norm: The norm of its gradient; None where it has none.
        update_norm: The norm of the update.
        frozen: Whether ``requires_grad`` is False.
        eps: The machine epsilon of its dtype: a smaller relative update is rounded away.
        optimized: Whether the optimizer has it; None in older records.
        radial_cosine: cosine(gradient, weights): 0 behind a norm, where only the direction of the
            weights counts. None where one of the two is 0.
        replaced: Whether something other than the optimizer has changed it since the last update.
        fan_in: Of a weight, the number of inputs of one unit. Before training, weight_norm ×
            sqrt(fan_in / numel) is the scale of its initialization: 1.4 for He's, 0.6 for the
            default.
        unmoved: The share of the elements with a gradient that the update left as they were: it was
            rounded away. None if no element has a gradient.
    """

    name: str
    numel: int
    is_weight: bool
    weight_norm: float
    gradient_norm: float | None
    update_norm: float
    frozen: bool = False
    eps: float = 2**-23
    optimized: bool | None = None
    radial_cosine: float | None = None
    replaced: bool = False
    fan_in: int | None = None
    unmoved: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProbed:
    """One sampled update.

    Attributes:
        images: Training images seen so far, this batch included.
        lr: The learning rate of the update: base × schedule.
        label_counts: How many images of each class the batch had.
        eval_layers: The norm and dropout layers that were in evaluation mode.
        is_training: Whether the model as a whole was in training mode; False in records of version
            0.1, which did not keep it.
        gradient_norm: The norm of the gradient over all parameters.
        previous_gradient_norm: The same of the step before; None where that step was not sampled.
        gradient_dot: The dot product of the two gradients. It separates signal from noise: the
            gradients of two batches share only the signal.
        descent_cosine: cosine(update, −gradient): 1 along the descent, below 0 against it. None
            where one of the two is 0.
        shrinkage_cosine: cosine(update, −weights): near 1 if weight decay alone moves the weights.
            None where one of the two is 0.
        parameters: Each parameter tensor, in the order of ``named_parameters``.
        input_share: The share of the step's time spent on loading and augmenting the batch; None on
            an accelerator, which runs asynchronously.
        accumulated: Whether a gradient of the step before was there when the backward pass began:
            ``zero_grad()`` is missing.
    """

    step: int
    epoch: int
    images: int
    lr: float
    batch_size: int
    label_counts: tuple[int, ...]
    eval_layers: tuple[str, ...]
    gradient_norm: float
    previous_gradient_norm: float | None
    gradient_dot: float | None
    descent_cosine: float | None
    parameters: tuple[ParameterProbe, ...]
    input_share: float | None = None
    shrinkage_cosine: float | None = None
    is_training: bool = False
    accumulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProbe:
    """The activations of one layer on the sample.

    Attributes:
        name: Its name in the layer table.
        kind: Its kind there.
        units: The number of its channels, or of its features where it has no feature map.
        dead: How many units have the output 0 for every image and position (a ReLU's), or the same
            output for every image and position.
        saturated: The share of outputs at a bound: within 0.01 of 0 or 1 for a sigmoid, of -1 or 1
            for a tanh; 0 for other layers.
        mean: The mean output.
        std: The standard deviation of the outputs.
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
    """The model's outputs on a fixed sample of training images.

    The images are not augmented and the model is in evaluation mode: unlike the running training
    figures, these can be compared with the validation figures. The weights are those after
    ``step``.

    Attributes:
        step: Batches trained so far.
        epoch: Their epoch; 0 before the first.
        images: Training images seen so far.
        sample_size: The number of images in the sample.
        loss: Their mean loss.
        loss_error: The standard error of that mean.
        correct: How many are classified correctly.
        batch_norm_gap: How much higher the loss is when batch norm uses batch statistics (of the
            current batch size) instead of the running ones; None without batch norm.
        batch_norm_gap_error: The standard error of that gap, over batches.
        confidence: The mean confidence (largest probability).
        confidence_p90: The 90th percentile of the confidence.
        confusion: The confusion matrix: rows are true classes, columns predicted ones.
        logit_min: The lowest logit.
        logit_max: The highest logit.
        are_probabilities: Whether each image's logits are in fact probabilities: none is negative
            and they add up to 1.
        input_mean: The mean of the model's input.
        input_std: Its standard deviation.
        val_mean: The mean of as many validation images; None without a validation split.
        val_std: Their standard deviation.
        layers: Each layer, in the order of the layer table.
        unused_parameters: The names of the parameters that ``forward`` does not use in training
            mode; None in records of version 0.1.
        memory_left: The share of the machine's memory that is free, if that is little; else None.
        known: How many images the model knows: classified correctly with a confidence of at least
            0.9. None in older records, as the two below.
        known_in_training: How many of them it still classifies correctly in training mode, with
            norms and dropout in evaluation mode; None for a zoo model, where that is the same.
        known_augmented: How many of them it still classifies correctly under the augmentation of
            the next batch; None without augmentation.
    """

    step: int
    epoch: int
    images: int
    sample_size: int
    loss: float
    loss_error: float
    correct: int
    batch_norm_gap: float | None
    batch_norm_gap_error: float | None
    confidence: float
    confidence_p90: float
    confusion: tuple[tuple[int, ...], ...]
    logit_min: float
    logit_max: float
    are_probabilities: bool
    input_mean: float
    input_std: float
    val_mean: float | None
    val_std: float | None
    layers: tuple[LayerProbe, ...]
    memory_left: float | None = None
    unused_parameters: tuple[str, ...] | None = None
    known: int | None = None
    known_in_training: int | None = None
    known_augmented: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProbed:
    """Checks of the model in evaluation mode on a few images, before the first step.

    A gap is the largest difference between two logits that should be equal, divided by the largest
    difference between two logits of one image.

    Attributes:
        step: Batches trained so far.
        batch_gap: Between an image alone and the same image in a batch.
        random_gap: Between two passes of an image with different random numbers.
        state_gap: Between two passes of an image with other images in between.
        image_gap: Between different images: 0 if the model gives every image the same logits.
        gradient_ratio: The slope of the loss along its gradient, over the gradient's norm: 1 if the
            gradient is that of the loss, below 0 if its sign is wrong. None if it was not measured.
        training_gap: Between training and evaluation mode, with all norms and dropouts in
            evaluation mode: what ``forward`` itself does to training images alone.
        training_random_gap: Between two such passes in training mode with different random numbers.
        equal_units: The weights whose units are all equal at the start, with parallel gradients.
        frozen_statistics: The batch norms whose running statistics are no average: with momentum 0
            they never move, with momentum 1 they are those of the last batch.
        is_linear: Whether the logits are an affine function of the input; None if that was not
            measured, as with the figures below.
        hidden_softmax: The layers with a softmax over the units of a hidden layer; one in attention
            does not count.
        logit_range: The lowest and the highest logit for inputs of 1,000 times the usual scale.
        logits_at_bound: The share of those logits that are exactly equal to one of the two: a ReLU,
            a sigmoid or a tanh on the logits.
        pixels_used: The share of the input's pixels that differ between images and on which a logit
            depends.
        first_input_mean: The mean of the input of the first layer with weights.
        first_input_std: Its standard deviation.
        first_input_smoothness: The correlation of its adjacent pixels, divided by that of the
            model's input: 1 unless ``forward`` changes the image. None unless it has as many pixels
            as the image.
        not_registered: The tensors that require a gradient but are no parameters of the model.
        mirrored: The share of the images that ``forward`` mirrors, or turns by 90° or more, in
            training mode only.
        dropout: The highest probability of its dropout layers.
    """

    step: int = 0
    batch_gap: float
    random_gap: float
    state_gap: float
    image_gap: float
    gradient_ratio: float | None = None
    training_gap: float | None = None
    training_random_gap: float | None = None
    equal_units: tuple[str, ...] = ()
    frozen_statistics: tuple[str, ...] = ()
    is_linear: bool | None = None
    hidden_softmax: tuple[str, ...] = ()
    logit_range: tuple[float, float] | None = None
    logits_at_bound: float | None = None
    pixels_used: float | None = None
    first_input_mean: float | None = None
    first_input_std: float | None = None
    first_input_smoothness: float | None = None
    not_registered: tuple[str, ...] = ()
    mirrored: float | None = None
    dropout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborLabels:
    """The labels of some images, compared with those of their ten nearest reference images.

    The core of a class are the images whose neighbors agree best with its label: a quarter of them,
    chosen by five of the ten neighbors; the other five then show how pure the class is far from the
    border to other classes. Wrong labels are everywhere, overlapping classes are pure at the core.

    Attributes:
        images: Images compared.
        references: Reference images searched.
        agreeing: Those images whose own label is the commonest of their neighbors'.
        unanimous: Those of whose neighbors nine or more share a label.
        contradicted: Those of them whose own label is another one.
        largest_pair: The contradicted ones of the commonest pair of own and neighbors' label.
        contradictions: The contradicted ones by pair: own label, neighbors' label, images.
        votes: The labels of all neighbors, by own label (row).
        core_votes: Those of the five neighbors of each core image that did not choose it, by own
            label (row); a core image counts once for each half of its neighbors.
        near_duplicates: Images less than half as far from the nearest reference as from the next.
        shift: The shift of the labels against the images with which neighbors agree best, not 0.
        shift_agreeing: Images whose label agrees with the commonest of their neighbors' then.
        linear_agreeing: Images that a linear classifier of the reference images classifies as
            labeled; it has not seen the image itself.
    """

    images: int
    agreeing: int
    unanimous: int
    contradicted: int
    largest_pair: int
    votes: tuple[tuple[int, ...], ...]
    references: int = 0
    contradictions: tuple[tuple[int, int, int], ...] = ()
    core_votes: tuple[tuple[int, ...], ...] = ()
    near_duplicates: int = 0
    shift: int = 0
    shift_agreeing: int = 0
    linear_agreeing: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProbed:
    """Checks of the images and labels themselves, before the first step.

    Attributes:
        train_counts: Training images of each class.
        val_counts: Validation images of each class.
        shared_images: Validation images that are training images, pixel by pixel.
        relabeled_images: Training images of which an identical one has another label.
        blank_images: Training images whose pixels are all equal.
        neighbors: Training images and their neighbors; None if there are too few.
        val_neighbors: Validation images and their nearest training images; None without a split.
        val_within: Validation images and their neighbors in the validation split; None if there are
            too few.
        relabeled_pair: Two labels of identical images, and how many images have the first: the
            commonest pair. None if there is none.
        val_blank_images: Validation images whose pixels are all equal.
        moved_images: Sampled validation images that are sampled training images, but for a
            translation; as many are sampled as ``val_neighbors`` compares, or fewer large ones.
        train_pixels: Mean and standard deviation of the pixels of sampled training images, on a
            scale of 0 to 1; None without images.
        val_pixels: The same of validation images.
    """

    step: int = 0
    train_counts: tuple[int, ...]
    val_counts: tuple[int, ...]
    shared_images: int
    relabeled_images: int
    blank_images: int
    neighbors: NeighborLabels | None
    val_neighbors: NeighborLabels | None
    val_within: NeighborLabels | None = None
    relabeled_pair: tuple[int, int, int] | None = None
    val_blank_images: int = 0
    moved_images: int = 0
    train_pixels: tuple[float, float] | None = None
    val_pixels: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedRate:
    """Some updates of a copy of the model at one learning rate, all on one batch.

    Attributes:
        factor: The learning rate, divided by the run's.
        loss: The batch's loss after them; None if it is not finite.
    """

    factor: float
    loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesTried:
    """Updates of copies of a model that has learned nothing, at several learning rates.

    At most once in a run: when the sample's loss is still at least 0.9 × ln(classes) at its first
    probe after the start. Each copy has a new optimizer of the run's kind and the modes of the run,
    and sees the same batch in each update.

    Attributes:
        step: Batches trained so far.
        epoch: Their epoch.
        images: Training images seen so far.
        lr: The learning rate of the run's next update.
        updates: The updates of each copy.
        batch_size: The images of the batch.
        loss: The batch's loss before the first update.
        rates: The tried learning rates, ascending.
        without_decay: The batch's loss after as many updates at the run's learning rate without
            weight decay; None if the run has none.
    """

    step: int
    epoch: int
    images: int
    lr: float
    updates: int
    batch_size: int
    loss: float
    rates: tuple[TriedRate, ...]
    without_decay: float | None = None


Probe = DataProbed | ModelProbed | UpdateProbed | SampleProbed | UpdatesTried | LoopProbed
