"""The kinds of fault of user loops: what names each, and the loops that have it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks.findings.loops import (
    judging_data,
    judging_losses,
    judging_schedules,
    judging_updates,
    tuning_data,
    tuning_losses,
    tuning_schedules,
    tuning_updates,
)
from tests.benchmarks.findings.loops.suite import CONV, MODES, PLAIN, SCALED, Kind, Loop

_BODIES = ("cnn", "bn", "resnet", "mlp", "lstm")

JUDGING: Mapping[str, tuple[Loop, ...]] = {
    "never-cleared": (
        judging_updates.zero_grad_without_call,
        judging_updates.cleared_on_another_model,
    ),
    "cleared-before-step": (
        judging_updates.cleared_after_logging_the_norm,
        judging_updates.cleared_by_the_step,
    ),
    "step-before-backward": (
        judging_updates.stepped_first_in_a_function,
        judging_updates.scaler_stepped_first,
    ),
    "rebuilt-model": (judging_updates.copied_for_training, judging_updates.second_fold),
    "replaced-parameters": (judging_updates.initialized_after_optimizer,),
    "evaluation-mode": (judging_data.eval_in_the_middle, judging_data.train_false),
    "training-mode": (judging_data.modes_exchanged, judging_data.validated_one_by_one),
    "leak": (judging_data.overlapping_slices, judging_data.oversampled_before_split),
    "detached-loss": (judging_losses.forward_without_grad, judging_losses.loss_through_numpy),
    "summed-loss": (judging_losses.loss_of_examples_added, judging_losses.log_likelihood_added),
    "another-batch": (judging_losses.two_iterators, judging_losses.prefetched_images),
    "softmax-before-loss": (judging_losses.softmax_layer, judging_losses.probabilities_by_hand),
    "sigmoid-before-loss": (
        judging_losses.sigmoid_in_model,
        judging_losses.sigmoid_before_cross_entropy,
    ),
    "softmax-axis": (
        judging_losses.log_softmax_layer_over_batch,
        judging_losses.log_of_softmax_over_batch,
    ),
    "labels-shifted": (judging_losses.one_based_labels,),
    "labels-of-next-image": (judging_losses.labels_rolled,),
    "scheduler-first": (judging_schedules.one_cycle_first,),
    "scheduler-every-batch": (
        judging_schedules.multi_step_every_batch,
        judging_schedules.lambda_every_batch,
        judging_schedules.cosine_every_batch,
    ),
    "always-clipped": (
        judging_schedules.clipped_by_small_value,
        judging_schedules.clipped_by_hand,
    ),
    "kept-graph": (
        judging_losses.history_with_graph,
        judging_losses.validated_with_graph,
        judging_losses.running_loss,
    ),
    "double-precision": (judging_schedules.double_by_default,),
    "not-shuffled": (judging_data.classes_one_after_another, judging_data.sorted_stream),
    "loader-waits": (judging_data.packed_files, judging_data.slow_batches),
    "frozen": (judging_updates.features_detached, judging_updates.frozen_for_the_first_epoch),
    "maximized": (judging_updates.negative_loss, judging_updates.maximizing_optimizer),
    "learning-rate-high": (judging_schedules.lr_of_another_optimizer,),
    "learning-rate-low": (judging_schedules.typo_in_the_exponent,),
    "wrong-reshape": (judging_data.transposed_twice, judging_data.reshaped_sequence),
    "other-optimizer-cleared": (judging_updates.teacher_cleared,),
    "undivided-accumulation": (judging_updates.gradients_added,),
}
"""The loops of each kind that the judging half alone has."""

KINDS: Mapping[str, Kind] = {
    "never-cleared": Kind(
        ("no_zero_grad",),
        (tuning_updates.never_cleared, tuning_updates.cleared_once_per_epoch),
    ),
    "cleared-before-step": Kind(("cleared_gradients",), (tuning_updates.cleared_after_backward,)),
    "step-before-backward": Kind(
        ("step_before_backward",), (tuning_updates.stepped_before_backward,)
    ),
    "rebuilt-model": Kind(
        ("other_parameters", "not_updated"), (tuning_updates.rebuilt_for_training,)
    ),
    "replaced-parameters": Kind(
        ("other_parameters", "not_updated"), (tuning_updates.head_replaced,)
    ),
    "evaluation-mode": Kind(
        ("evaluation_mode",),
        (tuning_data.eval_never_left, tuning_data.eval_from_the_start),
        architectures=MODES,
    ),
    "training-mode": Kind(
        ("validation_in_training_mode",),
        (tuning_data.validated_in_training_mode,),
        architectures=MODES,
    ),
    "leak": Kind(
        ("leak",),
        (
            tuning_data.overlapping_subsets,
            tuning_data.validated_on_training_set,
            tuning_data.augmented_copies,
        ),
        architectures=("cnn", "bn", "mlp", "resnet"),
        optimizers=("momentum", "adam", "adamw"),
    ),
    "detached-loss": Kind(
        ("loss_detached",),
        (tuning_losses.loss_wrapped_again, tuning_losses.logits_detached),
    ),
    "summed-loss": Kind(
        ("loss_summed",), (tuning_losses.loss_summed,), architectures=PLAIN, optimizers=SCALED
    ),
    "another-batch": Kind(
        ("labels_previous", "labels_other"), (tuning_losses.labels_of_last_batch,)
    ),
    "softmax-before-loss": Kind(
        ("softmax_before_loss",), (tuning_losses.softmax_in_model, tuning_losses.softmax_in_loop)
    ),
    "sigmoid-before-loss": Kind(
        ("sigmoid_before_loss", "logits_bounded"), (tuning_losses.sigmoid_before_bce,)
    ),
    "softmax-axis": Kind(
        ("softmax_axis", "depends_on_batch"),
        (tuning_losses.log_softmax_over_batch, tuning_losses.softmax_over_batch_in_model),
    ),
    "labels-shifted": Kind(
        ("labels_off_by_one", "labels_shuffled"), (tuning_losses.labels_shifted,)
    ),
    "scheduler-first": Kind(("scheduler_order",), (tuning_schedules.scheduler_first,)),
    "scheduler-every-batch": Kind(
        ("scheduler_pace", "schedule"),
        (tuning_schedules.step_lr_every_batch, tuning_schedules.exponential_every_batch),
    ),
    "always-clipped": Kind(
        ("clipped_gradients",),
        (tuning_schedules.always_clipped,),
        architectures=PLAIN,
        optimizers=SCALED,
    ),
    "kept-graph": Kind(
        ("kept_graph",),
        (tuning_losses.losses_in_a_list,),
        architectures=("cnn", "bn", "resnet", "lstm"),
        measure="memory_mb",
    ),
    "double-precision": Kind(
        ("double_precision",), (tuning_schedules.doubles,), measure="cpu_seconds"
    ),
    "not-shuffled": Kind(
        ("not_shuffled",), (tuning_data.sorted_without_shuffle, tuning_data.same_order)
    ),
    "loader-waits": Kind(
        ("input_bound",), (tuning_data.slow_files,), architectures=PLAIN, measure="waiting"
    ),
    "frozen": Kind(
        ("frozen", "no_gradient"),
        (tuning_updates.body_frozen, tuning_updates.backbone_without_grad),
        architectures=_BODIES,
    ),
    "maximized": Kind(("gradient_sign",), (tuning_updates.maximized,)),
    "learning-rate-high": Kind(("learning_rate_high",), (tuning_schedules.lr_high,)),
    "learning-rate-low": Kind(("learning_rate_low",), (tuning_schedules.lr_low,)),
    "wrong-reshape": Kind(
        ("examples_mixed", "depends_on_batch", "input_destroyed"),
        (tuning_data.reshaped_channels, tuning_data.reshaped_rows),
        architectures=CONV,
        optimizers=("adam", "adamw", "rmsprop"),
    ),
    "other-optimizer-cleared": Kind(("no_zero_grad",), (tuning_updates.other_optimizer_cleared,)),
    "undivided-accumulation": Kind(
        ("loss_summed", "learning_rate_high"),
        (tuning_updates.undivided_accumulation,),
        architectures=PLAIN,
        optimizers=SCALED,
    ),
    "labels-of-next-image": Kind(
        ("labels_shuffled", "labels_other"), (tuning_data.labels_of_next_image,)
    ),
}
