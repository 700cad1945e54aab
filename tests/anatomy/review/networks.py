"""A model that passes every rule, and functions that change one thing about it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache

from torch import nn

from tui_trainer.anatomy.review import review
from tui_trainer.anatomy.table import layer_table
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import BUDGET

Layers = OrderedDict[str, nn.Module]
Change = Callable[[Layers], None]

_PLAN: tuple[tuple[str, int, int] | str, ...] = (
    ("conv1", 8, 3),
    ("conv2", 16, 3),
    ("shrink1", 8, 1),
    "pool1",
    ("conv3", 12, 3),
    ("conv4", 16, 3),
    ("shrink2", 8, 1),
    "pool2",
    ("conv5", 16, 3),
    ("conv6", 20, 3),
)


def sound(*changes: Change) -> nn.Sequential:
    """Build the changed model: three blocks, two transitions, logits per position, their mean."""
    layers: Layers = OrderedDict()
    channels = 1
    for step in _PLAN:
        if isinstance(step, str):
            layers[step] = nn.MaxPool2d(2)
            continue
        name, width, kernel = step
        layers[name] = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False)
        layers[f"{name}_norm"] = nn.BatchNorm2d(width)
        layers[f"{name}_relu"] = nn.ReLU()
        channels = width
    layers["logits"] = nn.Conv2d(channels, 10, 1)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["output"] = nn.Flatten()
    for change in changes:
        change(layers)
    return nn.Sequential(layers)


def swap(**modules: nn.Module) -> Change:
    """Replace the modules with these names."""

    def change(layers: Layers) -> None:
        assert modules.keys() <= layers.keys()
        layers.update(modules)

    return change


def drop(*names: str) -> Change:
    """Remove layers."""

    def change(layers: Layers) -> None:
        for name in names:
            del layers[name]

    return change


def put(name: str, module: nn.Module, *, after: str) -> Change:
    """Insert a layer after another."""

    def change(layers: Layers) -> None:
        kept = list(layers.items())
        place = list(layers).index(after) + 1
        layers.clear()
        layers.update([*kept[:place], (name, module), *kept[place:]])

    return change


def move(name: str, *, after: str | None) -> Change:
    """Move a layer: after another, or to the front."""

    def change(layers: Layers) -> None:
        if after is None:
            layers.move_to_end(name, last=False)
        else:
            put(name, layers.pop(name), after=after)(layers)

    return change


def width(name: str, channels: int) -> Change:
    """Change the number of kernels of a convolution, and the inputs of its readers."""

    def change(layers: Layers) -> None:
        names = [key for key, module in layers.items() if isinstance(module, nn.Conv2d)]
        old, following = layers[name], names[names.index(name) + 1]
        reader = layers[following]
        assert isinstance(old, nn.Conv2d)
        assert isinstance(reader, nn.Conv2d)
        layers[name] = like(old, old.in_channels, channels)
        layers[f"{name}_norm"] = nn.BatchNorm2d(channels)
        layers[following] = like(reader, channels, reader.out_channels)

    return change


def like(conv: nn.Conv2d, inputs: int, outputs: int) -> nn.Conv2d:
    """Return a convolution with other channels and the same kernel and bias."""
    side = conv.kernel_size[0]
    return nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=conv.bias is not None)


def verdicts(
    model: nn.Module, image: int = 28, *, channels: int = 1, budget: int = BUDGET
) -> dict[str, Diagnosis]:
    """Review a model through its real layer table, and return the verdicts by rule."""
    reported = review(layer_table(model, (image, image, channels)), budget=budget)
    found = {verdict.code: verdict for verdict in reported}
    assert len(found) == len(reported)
    return found


@cache
def verdicts_of(build: Callable[[], nn.Module]) -> dict[str, Diagnosis]:
    """Build a model once, and return its verdicts."""
    return verdicts(build())


def problems(found: dict[str, Diagnosis]) -> dict[str, str]:
    """Return the severities of the verdicts other than ``ok``, by rule."""
    return {
        rule: reported.severity for rule, reported in found.items() if reported.severity != "ok"
    }


def assert_short_with_numbers(found: dict[str, Diagnosis]) -> None:
    """Assert that the texts of a review fit the screen and have evidence."""
    for reported in found.values():
        assert 0 < len(reported.title) < 60, reported
        assert any(character.isdigit() for character in reported.evidence), reported
        assert bool(reported.advice) == (reported.severity != "ok"), reported
        assert 1 <= reported.lesson <= 20, reported
        assert not reported.advice.endswith("."), reported
