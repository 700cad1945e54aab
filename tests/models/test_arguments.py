"""Advice on input, logits and arguments that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tui_trainer.models.build import build_model
from tui_trainer.models.input_spec import InputSize, InputSpec
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.errors import InputError

HEAD = "import torch\nfrom torch import nn\n\n"
NET = """class Net(nn.Module):
    def __init__(self{arguments}):
        super().__init__()
{layers}

    def forward(self, x):
        return {forward}
"""


def refusal(
    tmp_path: Path,
    text: str,
    name: str = "Net",
    *,
    adjustable: bool = False,
    channels: int = 1,
    image_size: InputSize = 28,
) -> str:
    path = tmp_path / "net.py"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        build_model(
            f"{path}:{name}",
            image_size=image_size,
            classes=10,
            channels=channels,
            is_adjustable=adjustable,
        )
    line = str(caught.value).replace(f"{tmp_path}/", "")
    assert line.isprintable()
    return line


def net(layers: str, forward: str, arguments: str = "") -> str:
    lines = "\n".join(f"        self.{layer}" for layer in layers.split("; "))
    return NET.format(arguments=arguments, layers=lines, forward=forward)


POOLED = "conv = nn.Conv2d(3, 8, 3); fc = nn.Linear(8, 10)"
FLAT = "conv = nn.Conv2d({0}, 8, 3); fc = nn.Linear(8 * {1} * {1}, {2})"
MEAN = "self.fc(self.conv(x).mean((2, 3)))"
FLATTEN = "self.fc(self.conv(x).flatten(1))"


@pytest.mark.parametrize(
    ("layers", "forward", "takes", "options"),
    [
        (POOLED, MEAN, "32×32 images with 3 channels", "--channels 3 --image-size 32"),
        (FLAT.format(3, 30, 10), FLATTEN, "32×32 images with 3", "--channels 3 --image-size 32"),
        (FLAT.format(1, 30, 10), FLATTEN, "32×32 images with 1 channel", "--image-size 32"),
        (FLAT.format(3, 62, 10), FLATTEN, "64×64 images with 3", "--channels 3 --image-size 64"),
        (FLAT.format(3, 26, 10), FLATTEN, "28×28 images with 3 channels", "--channels 3"),
        pytest.param(
            FLAT.format(3, 222, 1000),
            FLATTEN,
            "224×224 images with 3 channels",
            "--channels 3 --image-size 224 --classes 1000",
            marks=pytest.mark.slow,  # 400 million weights
        ),
        ("fc = nn.Linear(3072, 10)", "self.fc(x.flatten(1))", "32×32 images with 3", "--channels"),
        # Its output is another matter.
        (POOLED, f"({MEAN}, x)", "32×32 images with 3 channels", "--channels 3 --image-size 32"),
        # Its view makes other batches of them.
        (
            "conv = nn.Conv2d(1, 8, 3); fc = nn.Linear(8 * 900, 10)",
            "self.fc(self.conv(x).view(-1, 7200))",
            "32×32 images with 1 channel",
            "--image-size 32",
        ),
    ],
)
def test_advice_names_the_options_of_the_command(
    tmp_path: Path, layers: str, forward: str, takes: str, options: str
) -> None:
    line = refusal(tmp_path, net(layers, forward), adjustable=True)
    assert f"; it accepts {takes}" in line
    assert f": add {options}" in line


def test_an_assertion_on_the_size_is_followed(tmp_path: Path) -> None:
    text = net("fc = nn.Linear(3, 10)", "self.fc(self.seen(x).mean((2, 3)))")
    text += (
        "\n    def seen(self, x):\n        assert x.shape[1:] == (3, 96, 96)\n        return x\n"
    )
    line = refusal(tmp_path, text, adjustable=True)
    assert line.startswith("net.py:13: AssertionError: assert x.shape[1:] == (3, 96, 96); Net")
    assert line.endswith(
        "; it accepts 96×96 images with 3 channels: add --channels 3 --image-size 96"
    )


def test_options_are_those_that_differ(tmp_path: Path) -> None:
    line = refusal(tmp_path, net(POOLED, MEAN), adjustable=True, image_size=64)
    assert line.endswith("it accepts 64×64 images with 3 channels: add --channels 3")
    line = refusal(tmp_path, net(FLAT.format(1, 26, 10), FLATTEN), adjustable=True, channels=3)
    assert line.endswith("it accepts 28×28 images with 1 channel: add --channels 1")


def test_advice_names_the_layers_without_such_options(tmp_path: Path) -> None:
    line = refusal(tmp_path, net(POOLED, MEAN))
    assert line.endswith(
        "it accepts 28×28 images with 3 channels, but its input is 28×28 images with 1 channel: "
        "give its first layer, conv, 1 input channel, or add an argument in_channels"
    )
    line = refusal(tmp_path, net(FLAT.format(3, 30, 10), FLATTEN))
    assert line.endswith(
        "it accepts 32×32 images with 3 channels, but its input is 28×28 images with 1 channel: "
        "give its first layer, conv, 1 input channel, or add an argument in_channels, put "
        "nn.AdaptiveAvgPool2d before its first linear layer, or add an argument image_size"
    )


def test_a_gray_model_gets_the_channels_of_color_images_named(tmp_path: Path) -> None:
    """The input of a run is described by its shape, the images of a command by their side."""
    gray = net("conv = nn.Conv2d(1, 8, 3); fc = nn.Linear(8, 10)", MEAN)
    for image_size, channels in ((InputSpec((3, 32, 32)), 1), (32, 3)):
        line = refusal(tmp_path, gray, image_size=image_size, channels=channels)
        assert line.endswith(
            "it accepts 32×32 images with 1 channel, but its input is 32×32 images with 3 "
            "channels: give its first layer, conv, 3 input channels, or add an argument in_channels"
        )


@pytest.mark.parametrize(
    ("argument", "channels", "width"),
    [("channels=1", 3, 3), ("channels=1", 1, 1), ("channels=4", 3, 4), ("in_chans=1", 3, 3)],
)
def test_an_argument_of_one_channel_gets_those_of_color_images(
    tmp_path: Path, argument: str, channels: int, width: int
) -> None:
    """``channels`` with another default may be a width."""
    name = argument.partition("=")[0]
    path = tmp_path / "net.py"
    layers = f"width = {name}; conv = nn.Conv2d({channels}, 8, 3); fc = nn.Linear(8, 10)"
    path.write_text(HEAD + net(layers, MEAN, f", {argument}"), encoding="utf-8")

    model = build_model(f"{path}:Net", image_size=InputSpec((channels, 32, 32)), classes=10)

    assert model.width == width


FACTORIES = """
def opened(**kwargs):
    return Net(**kwargs)


def closed(**kwargs):
    torch.rand(3)
    return Other(**kwargs)


class Other(Net):
    def __init__(self):
        super().__init__(10)
"""


def test_the_number_of_classes_reaches_a_factory_through_its_keywords(tmp_path: Path) -> None:
    """torchvision's and timm's have no other arguments."""
    path = tmp_path / "net.py"
    text = net("fc = nn.Linear(784, num_classes)", "self.fc(x.flatten(1))", ", num_classes=1000")
    path.write_text(HEAD + text + FACTORIES, encoding="utf-8")
    weights = {}
    for name in ("opened", "closed"):
        torch.manual_seed(3)
        model = build_model(f"{path}:{name}", image_size=28, classes=10)
        weights[name] = model.get_parameter("fc.weight")

    torch.manual_seed(3)
    torch.rand(3)
    expected = torch.nn.Linear(784, 10).weight

    assert weights["opened"].shape == (10, 784)
    assert torch.equal(weights["closed"], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_a_model_of_torchvision_takes_color_images_and_any_classes(name: str) -> None:
    import_torchvision()
    model = build_model(f"torchvision.models:{name}", image_size=InputSpec((3, 32, 32)), classes=7)

    assert model.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_a_model_with_a_size_argument_is_rebuilt_for_each_size(tmp_path: Path) -> None:
    """Patches of 8 pixels do not divide 28."""
    text = net(
        "conv = nn.Conv2d(3, 8, 8, 8); at = nn.Parameter(torch.zeros((img_size // 8) ** 2)); "
        "side = img_size; fc = nn.Linear(8, 10)",
        "self.fc((self.conv(x[..., : self.side // 8 * 8 + self.side % 8 * 9]).flatten(2) "
        "+ self.at).mean(2)) if self.side % 8 == 0 else x.view(-1, self.side % 8 * 0)",
        ", img_size=32",
    )
    assert refusal(tmp_path, text, adjustable=True).endswith("--channels 3 --image-size 32")


def test_a_model_that_accepts_no_usual_size_gets_the_given_one_named(tmp_path: Path) -> None:
    line = refusal(tmp_path, net("fc = nn.Linear(7, 10)", "self.fc(x.flatten(1))"))
    assert line.endswith(
        "its input is 28×28 images with 1 channel (an argument named image_size or in_channels "
        "receives that)"
    )
    text = net("fc = nn.Linear(7, 10)", "self.fc(x.flatten(1))", ", input_shape, num_class=2")
    assert refusal(tmp_path, text).endswith("; its input is 28×28 images with 1 channel")


@pytest.mark.parametrize(
    ("layers", "forward", "arguments", "advice"),
    [
        ("fc = nn.Linear(784, 16)", "", "", "give its last layer, fc, 10 outputs"),
        ("fc = nn.Linear(784, out)", "", ", out=16", "rename its argument out to num_classes"),
        (
            "fc = nn.Sequential(nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 1000))",
            "",
            "",
            "give its last layer, fc.2, 10 outputs",
        ),
        ("fc = nn.Identity()", "self.fc(x).flatten(1)[:, :7] * self.w", "", "add an argument num"),
        ("fc = nn.Conv2d(1, 10, 28)", "self.fc(x)", "", "flatten them: x.flatten(1)"),
        ("fc = nn.Conv2d(1, 10, 14)", "self.fc(x)", "", "average each map: x.mean((2, 3))"),
    ],
)
def test_logits_of_another_shape_get_advice(
    tmp_path: Path, layers: str, forward: str, arguments: str, advice: str
) -> None:
    layers += "; w = nn.Parameter(torch.ones(1))"
    text = net(layers, forward or "self.fc(x.flatten(1))", arguments)
    assert f"; {advice}" in refusal(tmp_path, text)


def test_logits_of_other_classes_get_the_option(tmp_path: Path) -> None:
    text = net("fc = nn.Linear(784, 1000)", "self.fc(x.flatten(1))")
    assert refusal(tmp_path, text, adjustable=True).endswith(
        "give its last layer, fc, 10 outputs, or add --classes 1000"
    )


BLOCKS = net("fc = nn.Linear(width, 10)", "self.fc(x.flatten(1))", ", block, width")


def test_unknown_required_arguments_get_a_factory_as_advice(tmp_path: Path) -> None:
    assert refusal(tmp_path, BLOCKS) == (
        "net.py:Net: needs arguments 'block', 'width', which have no default; write a function "
        "that passes them, `def net(): return Net(block=..., width=...)`, and use net.py:net; "
        "image_size, in_channels, num_classes and dropout are passed by name"
    )


def test_existing_factories_are_named(tmp_path: Path) -> None:
    more = (
        "\n\ndef small(num_classes=10):\n    return Net(None, 784)\n"
        "\n\ndef large(**given):\n    return Net(width=784, block=None)\n"
        "\n\ndef needs(depth):\n    return Net(None, depth)\n"
        "\n\ndef unrelated():\n    return 3\n"
    )
    assert refusal(tmp_path, BLOCKS + more) == (
        "net.py:Net: needs arguments 'block', 'width', which have no default; use a function that "
        "needs none: small, large; image_size, in_channels, num_classes and dropout are passed "
        "by name"
    )
    path = tmp_path / "net.py"
    assert build_model(f"{path}:small", image_size=28, classes=10)
