"""What a lesson says of the reader's own network and run."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from tui_trainer.course.lesson import Lesson
from tui_trainer.course.model_figures import model_figures
from tui_trainer.course.run_figures import setting_figures, training_figures
from tui_trainer.history.history import History

_NAMES = """
    model parameters budget_share layer_count conv_count pool_count norm_count dropout_count
    kernel_sizes count_1x1 count_3x3 first_kernels most_kernels kernels_course pool_places pool_maps
    pool_distance norm_distance transition_count transition_share last_map head receptive_field
    image_size jump field_course multiply_adds first_share_of_work
    learning_rate rate_now schedule optimizer batch_size steps_per_epoch train_size classes
    guessing_loss mean std augmentation dropout
    step train_loss val_loss train_accuracy val_accuracy right_probability gap
    first_epoch_accuracy best_epoch speed update_ratio gradient_first_last dead_share batch_gap
    noise_scale findings_now
"""

FIGURES = frozenset(_NAMES.split())
"""The names that a sentence on the reader's network may have in braces."""


def figures(history: History) -> Mapping[str, str]:
    """Return the figures of a run as far as it has gone; what is not known has no entry."""
    started = history.started
    if started is None:
        return {}
    return {
        **model_figures(started.layers),
        **setting_figures(history, started),
        **training_figures(history),
    }


def here(lesson: Lesson, history: History) -> tuple[str, ...]:
    """Return a lesson's sentences on the reader's network, as many as can be filled.

    A noun behind a figure's name is said with it: ``{conv_count:layer}`` is ``1 layer`` or ``7
    layers``. If no sentence can be filled, that is what the lesson says without them.
    """
    known, counted = figures(history), _Counted()
    sentences = [
        counted.vformat(sentence, (), known)
        for sentence in lesson.here
        if placeholders(sentence) <= set(known)
    ]
    return tuple(sentences) or (lesson.without,)


class _Counted(Formatter):
    """Puts a noun behind a figure, as in ``{conv_count:layer}``: 1 layer, but 0 or 7 layers."""

    def format_field(self, value: str, format_spec: str) -> str:
        if not format_spec:
            return value
        return f"{value} {format_spec}" if value == "1" else f"{value} {format_spec}s"


def placeholders(sentence: str) -> set[str]:
    """Return the names that a sentence has in braces."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}
