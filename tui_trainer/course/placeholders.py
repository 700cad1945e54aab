"""The sentences of a lesson about the reader's own model and run."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from tui_trainer.course.lesson import Lesson
from tui_trainer.course.model_figures import model_figures
from tui_trainer.course.run_figures import setting_figures, training_figures
from tui_trainer.history.history import History

_NAMES = """
    model parameters budget_share layer_count conv_count pool_count norm_count dropout_count
    kernel_sizes count_1x1 count_3x3 first_kernels most_kernels kernels_by_layer pool_places
    pool_maps pool_distance norm_distance transition_count transition_share last_map head
    receptive_field image_size jump fields_by_layer multiply_adds first_layer_share base_lr lr
    schedule optimizer batch_size steps_per_epoch train_size classes guessing_loss mean std
    augmentation dropout step train_loss val_loss train_accuracy val_accuracy
    true_class_probability gap first_epoch_accuracy best_epoch speed update_ratio gradient_ratio
    dead_share batch_gap noise_scale findings
"""

FIGURES = frozenset(_NAMES.split())
"""The names that a sentence may have in braces."""


def figures(history: History) -> Mapping[str, str]:
    """Return the figures of a run so far; a figure that is not known yet has no entry."""
    started = history.started
    if started is None:
        return {}
    return {
        **model_figures(started.layers),
        **setting_figures(history, started),
        **training_figures(history),
    }


def observations(lesson: Lesson, history: History) -> tuple[str, ...]:
    """Return the sentences of a lesson whose figures are all known, filled in.

    A noun after a colon agrees with its figure: ``{conv_count:layer}`` gives ``1 layer`` or ``7
    layers``. If no sentence can be filled, the result is the lesson's ``no_observations``.
    """
    known, counted = figures(history), _Counted()
    sentences = [
        counted.vformat(sentence, (), known)
        for sentence in lesson.observations
        if placeholders(sentence) <= set(known)
    ]
    return tuple(sentences) or (lesson.no_observations,)


class _Counted(Formatter):
    """Formats a figure with its noun, as in ``{conv_count:layer}``: 1 layer, but 0 or 7 layers."""

    def format_field(self, value: str, format_spec: str) -> str:
        if not format_spec:
            return value
        return f"{value} {format_spec}" if value == "1" else f"{value} {format_spec}s"


def placeholders(sentence: str) -> set[str]:
    """Return the names that a sentence has in braces."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}
