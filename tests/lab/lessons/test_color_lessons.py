"""The experiments of the lessons on images in color."""

from __future__ import annotations

import pytest
import torch

from tests.lab.color_data import color_run
from tests.lab.views.conftest import laboratory_of
from tests.protocol.questions import ask_lesson
from tui_trainer.anatomy.table import layer_table
from tui_trainer.course.lesson import SLUGS
from tui_trainer.engine.run import Run
from tui_trainer.lab.ask import experiment
from tui_trainer.lab.context import Context
from tui_trainer.lab.lessons._3x3_convolutions.experiment import gray_levels
from tui_trainer.lab.lessons.layers.arithmetic import stack_parameters
from tui_trainer.lab.lessons.layers.experiment import stack_model
from tui_trainer.lab.lessons.max_pooling_distance.experiment import pooled_model, shifted
from tui_trainer.lab.lessons.overfitting.few_digits import untrained_model
from tui_trainer.lab.lessons.transition_position.arithmetic import KERNELS, placed
from tui_trainer.lab.lessons.transition_position.experiment import with_transition
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Value
from tui_trainer.protocol.layers import totals


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return color_run(tmp_path_factory.mktemp("color"))


def seen(run: Run, slug: str, **choices: Value) -> Exhibit:
    context = laboratory_of(run).open_context(ask_lesson(slug))
    return list(experiment(slug)(context, choices, False))[-1]


def context_of(run: Run) -> Context:
    return laboratory_of(run).open_context(ask_lesson("softmax"))


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.sampled(2)
def test_each_experiment_takes_them(run: Run, slug: str) -> None:
    assert seen(run, slug).blocks


@pytest.mark.parametrize(
    "slug", ["layers", "3x3-convolutions", "receptive-field", "softmax", "kernels"]
)
def test_images_and_first_kernels_are_in_color(run: Run, slug: str) -> None:
    blocks = seen(run, slug).blocks
    first = next(block for block in blocks if isinstance(block, Pictures)).items[0]
    assert first.channels == 3


def test_trained_models_take_three_channels(run: Run) -> None:
    context = context_of(run)
    images = context.data.prepare(context.digits.images[:4])
    models = (
        stack([Conv(4), POOL, Conv(8)], 9, channels=3),
        pooled_model(2, 9, 3),
        with_transition(KERNELS, 2, 9, 3),
        stack_model(4, 6, 9, 3),
        untrained_model(context),
    )
    for model in models:
        assert model(images).shape == (4, 9)


def test_counted_costs_are_those_of_real_layers() -> None:
    shape = (20, 20, 3)
    counted = placed(2, side=20, classes=9, channels=3)
    rows = layer_table(with_transition(KERNELS, 2, 9, 3), shape)
    assert totals(rows).parameters == counted.parameters
    assert totals(rows).multiply_adds == counted.multiply_adds
    rows = layer_table(stack_model(4, 6, 9, 3), shape)
    assert totals(rows).parameters == stack_parameters(4, 6, 9, 3)


def test_a_learned_kernel_sums_over_the_channels(run: Run) -> None:
    context = context_of(run)
    exhibit = seen(run, "3x3-convolutions", kernel="learned 2", row=5.0, column=7.0)
    conv = dict(context.model.named_modules())["conv1"]
    assert isinstance(conv, torch.nn.Conv2d)
    digit = context.digit(0)
    with torch.no_grad():
        value = float(conv(digit.model_input)[0, 2, 5, 7])
    assert exhibit.result == f"At row 5, column 7 the output is {value:+z.3f}."


def test_designed_filters_read_the_luminance(run: Run) -> None:
    digit = context_of(run).digit(0)
    red, green, blue = digit.pixels.float()
    grays = 0.299 * red + 0.587 * green + 0.114 * blue
    assert torch.allclose(gray_levels(digit), grays, atol=1e-3)


def test_a_shift_moves_all_channels() -> None:
    images = torch.arange(4 * 3 * 5 * 5, dtype=torch.uint8).view(4, 3, 5, 5)
    planes = torch.stack([shifted(images[:, channel]) for channel in range(3)], dim=1)
    assert torch.equal(shifted(images), planes)
