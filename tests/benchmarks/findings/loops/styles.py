"""The healthy styles of user loops."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.findings.loops import healthy_data as data
from tests.benchmarks.findings.loops import healthy_losses as losses
from tests.benchmarks.findings.loops import healthy_steps as steps
from tests.benchmarks.findings.loops.suite import Loop, Seeds

BOTH: tuple[Loop, ...] = (
    steps.plain,
    steps.accumulation,
    steps.autocast,
    steps.clipped_sometimes,
    steps.averaged_weights,
    steps.parameter_groups,
    steps.lbfgs,
    steps.cleared_at_the_end,
    steps.cleared_to_zeros,
    steps.functional_gradients,
    steps.one_cycle,
    steps.step_lr,
    steps.on_plateau,
    steps.warmup,
    losses.nll_of_log_softmax,
    losses.log_softmax_in_model,
    losses.log_softmax_twice,
    losses.bce_of_one_hot,
    losses.mse_of_one_hot,
    losses.summed_on_purpose,
    losses.label_smoothing,
    losses.class_weights,
    losses.l1_penalty,
    losses.auxiliary_loss,
    losses.distillation,
    losses.frozen_on_purpose,
    losses.several_forwards,
    losses.sampled_dropout,
    data.weighted_sampler,
    data.stream,
    data.last_batch_dropped,
    data.with_workers,
    data.augmented,
    data.dataset_alone,
    data.mixup,
    data.rgb,
    data.sequences,
    data.validated_by_hand,
    data.function_calls,
    data.validated_every_k_steps,
    data.batches_by_hand,
    data.two_classes,
)
"""The styles that both halves have."""

JUDGING_ALONE: tuple[Loop, ...] = (
    steps.accumulation_one_step,
    steps.scaled_gradients,
    steps.clipped_by_value,
    steps.two_optimizers,
    steps.checkpointed,
    steps.warm_restarts,
    steps.cosine_per_epoch,
    steps.lr_by_hand,
    losses.nll_of_log,
    losses.divided_by_hand,
    losses.focal_loss,
    losses.margin_loss,
    losses.tied_weights,
    losses.frozen_norms,
    losses.compiled,
    data.balanced_batches,
    data.split_at_random,
    data.tokens,
    data.early_stopping,
    data.update_by_hand,
    data.batches_of_dicts,
    data.losses_kept_as_numbers,
)


def styles(seeds: Seeds) -> Sequence[Loop]:
    """Return the styles of one half."""
    return BOTH if seeds == "tuning" else (*BOTH, *JUDGING_ALONE)
