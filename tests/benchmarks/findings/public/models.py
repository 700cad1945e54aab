"""The models of the public fault sets and of their clean twins, re-created from descriptions.

Each is trained as ``--model models.py:NAME``. The clean twin of a fault is the factory named by its
set's base. Sources: ``faults.py``.
"""

# mypy: ignore-errors
# These models are written as people write theirs.

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, STD = 0.1307, 0.3081
Function = Callable[[Tensor], Tensor]


class TensorFunction(nn.Module):
    """A layer that applies a function without parameters."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


def _pixels(x: Tensor) -> Tensor:
    """Undo the standardization: pixels from 0 to 1, as these programs train on."""
    return x * STD + MEAN


def _init(model: nn.Module, set_weight: Callable[[Tensor], object], bias: float = 0.0) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            set_weight(layer.weight)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)
    return model


# --- TheDeepChecker's base CNN


def _base(
    units: int = 512,
    activation: Callable[[], nn.Module] = nn.ReLU,
    before: Function = _pixels,
    after: nn.Module | None = None,
) -> nn.Sequential:
    model = nn.Sequential(
        TensorFunction(before),
        nn.Conv2d(1, 32, 5, padding=2),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, units),
        nn.ReLU(),
        nn.Linear(units, 10),
    )
    for layer in model:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    nn.init.xavier_uniform_(model[-1].weight)
    if after is not None:
        model.append(after)
    return model


def base() -> nn.Module:
    """32 5x5, pool, 64 3x3, pool, 512, 10: the clean program."""
    return _base()


def base_wide() -> nn.Module:
    """The clean program with 1,024 units, the twin of those faults that were injected there."""
    return _base(1024)


def base_missing_normalization() -> nn.Module:
    """Pixels from 0 to 255."""
    return _base(before=lambda x: _pixels(x) * 255)


def base_double_normalization() -> nn.Module:
    """Pixels divided by 255 twice."""
    return _base(before=lambda x: _pixels(x) / 255)


def base_constant() -> nn.Module:
    """Every weight of a layer is the same number."""
    return _init(_base(1024), lambda weight: nn.init.constant_(weight, 0.01))


def base_random() -> nn.Module:
    """Weights with a standard deviation of 0.1, for any fan-in."""
    return _init(_base(1024), lambda weight: nn.init.normal_(weight, std=0.1))


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return -gradient


def base_flipped_sign() -> nn.Module:
    """Every gradient with the wrong sign."""
    return _base(after=TensorFunction(_Reverse.apply))


def base_redundant_softmax() -> nn.Module:
    """Softmax before a loss that takes logits."""
    return _base(after=nn.Softmax(dim=1))


def base_wrong_softmax() -> nn.Module:
    """Softmax over the batch, then its logarithm."""
    return _base(1024, after=TensorFunction(lambda x: F.log_softmax(x, dim=0)))


def base_hidden_softmax() -> nn.Module:
    """Softmax as the activation of the first layer."""
    return _base(activation=lambda: nn.Softmax(dim=1))


class WithLossGradient(torch.autograd.Function):
    """The identity, whose backward pass replaces the gradient of cross-entropy by another loss's.

    The engine's loss is cross-entropy of logits; a program with another loss has the same forward
    pass and another gradient at its logits. ``gradient`` gets the logits and the targets, which the
    gradient of cross-entropy tells: softmax - one-hot, over the batch size.
    """

    @staticmethod
    def forward(ctx, logits, gradient):  # type: ignore[no-untyped-def, override]
        ctx.save_for_backward(logits)
        ctx.gradient = gradient
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def, override]
        (logits,) = ctx.saved_tensors
        targets = F.softmax(logits, dim=1) - grad * len(grad)
        return ctx.gradient(logits, targets.round().clamp(0, 1)), None


def other_loss(gradient: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """A last layer after which the training minimizes the loss with that gradient."""
    return TensorFunction(lambda logits: WithLossGradient.apply(logits, gradient))


def of_loss(loss: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """A last layer after which the training minimizes ``loss(logits, one_hot)``."""

    def gradient(logits: Tensor, targets: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            return torch.autograd.grad(loss(leaf, targets), leaf)[0]

    return other_loss(gradient)


def _mse(logits: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(F.softmax(logits, dim=1), targets)


def _mae(logits: Tensor, targets: Tensor) -> Tensor:
    return F.l1_loss(F.softmax(logits, dim=1), targets)


def _sum(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * F.log_softmax(logits, dim=1)).sum()


def _clipped(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits that are taken for probabilities."""
    return -(targets * logits.clamp(1e-32, 1 - 1e-7).log()).sum(dim=1).mean()


def base_mean_sum() -> nn.Module:
    """The sum over images and the mean over classes, in place of the other way round."""
    return _base(1024, after=of_loss(lambda x, y: _sum(x, y) / 10))


class BaseErase(nn.Module):
    """Uniform noise and a box that hides most of the digit, on the training images."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _base()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x.clone()
            top, left = (int(torch.randint(0, 8, ())) for _ in range(2))
            x[:, :, top : top + 20, left : left + 20] = x.min()
            x = x + (torch.rand_like(x) - 0.5) / STD
        return self.model(x)


def base_mse() -> nn.Module:
    """Mean squared error of the probabilities."""
    return _base(after=of_loss(_mse))


def base_missing_softmax() -> nn.Module:
    """The logarithm of clipped logits: no softmax before the loss."""
    return _base(after=of_loss(_clipped))


# --- DeepCrime's MNIST subject: conv 32, conv 64, pool, 128, 10, with dropout


def _crime(
    activations: tuple[Callable[[], nn.Module], ...] = (nn.ReLU, nn.ReLU, nn.ReLU),
    dropout: tuple[float, float] = (0.25, 0.5),
    bias: bool = True,
    after: nn.Module | None = None,
) -> nn.Sequential:
    first, second, third = (make() for make in activations)
    model = nn.Sequential(
        TensorFunction(_pixels),
        nn.Conv2d(1, 32, 3, bias=bias),
        first,
        nn.Conv2d(32, 64, 3, bias=bias),
        second,
        nn.MaxPool2d(2),
        nn.Dropout(dropout[0]),
        nn.Flatten(),
        nn.Linear(64 * 144, 128, bias=bias),
        third,
        nn.Dropout(dropout[1]),
        nn.Linear(128, 10, bias=bias),
    )
    _init(model, nn.init.xavier_uniform_)
    if after is not None:
        model.append(after)
    return model


def crime() -> nn.Module:
    """The clean subject."""
    return _crime()


def crime_no_activation() -> nn.Module:
    """ARM: no activation behind the dense layer."""
    return _crime((nn.ReLU, nn.ReLU, nn.Identity))


def crime_linear() -> nn.Module:
    """ARM thrice: nothing but linear layers and a max pool."""
    return _crime((nn.Identity, nn.Identity, nn.Identity))


def crime_softmax_hidden() -> nn.Module:
    """ACH: softmax in place of the dense layer's ReLU."""
    return _crime((nn.ReLU, nn.ReLU, lambda: nn.Softmax(dim=1)))


def crime_sigmoid() -> nn.Module:
    """ACH: sigmoids in place of the ReLUs."""
    return _crime((nn.Sigmoid, nn.Sigmoid, nn.Sigmoid))


def crime_exponential() -> nn.Module:
    """ACH: the exponential in place of the dense layer's ReLU."""
    return _crime((nn.ReLU, nn.ReLU, lambda: TensorFunction(torch.exp)))


def crime_dropout_all() -> nn.Module:
    """RCD: dropout with a rate of 0.95 before the last layer."""
    return _crime(dropout=(0.25, 0.95))


def crime_zeros() -> nn.Module:
    """WCI: every weight begins at 0."""
    return _init(_crime(), nn.init.zeros_)


def crime_ones() -> nn.Module:
    """WCI: every weight begins at 1."""
    return _init(_crime(), nn.init.ones_)


def crime_no_bias() -> nn.Module:
    """WRB: no layer has a bias. Hardly any effect."""
    return _crime(bias=False)


def crime_mae() -> nn.Module:
    """LCH: mean absolute error of the probabilities."""
    return _crime(after=of_loss(_mae))


def crime_mse() -> nn.Module:
    """LCH: mean squared error of the probabilities."""
    return _crime(after=of_loss(_mse))


def crime_poisson() -> nn.Module:
    """LCH: the Poisson loss of the probabilities."""

    def loss(x: Tensor, y: Tensor) -> Tensor:
        p = F.softmax(x, dim=1)
        return (p - y * (p + 1e-7).log()).mean()

    return _crime(after=of_loss(loss))


def crime_hinge() -> nn.Module:
    """LCH: the hinge loss of probabilities and targets of 0 and 1."""

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return (1 - (2 * y - 1) * F.softmax(x, dim=1)).clamp(min=0).mean()

    return _crime(after=of_loss(loss))


class Logistic(nn.Module):
    """DeepCrime's PyTorch subject: one layer and log softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.linear(x.flatten(1)), dim=1)


# --- AUTOTRAINER's symptoms, on the deep MLPs and CNNs of its kind


def _deep(depth: int, width: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(784, width), activation()]
    for _ in range(depth):
        layers += [nn.Linear(width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def deep_relu() -> nn.Module:
    """The clean twin: six hidden layers, initialized for ReLU."""
    model = _deep(5, 64, nn.ReLU)
    return _init(model, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"))


def deep_sigmoid() -> nn.Module:
    """Vanishing gradients: twelve layers of sigmoids."""
    return _init(_deep(11, 64, nn.Sigmoid), nn.init.xavier_uniform_)


def deep_tanh_small() -> nn.Module:
    """Vanishing gradients: twelve layers of tanh that begin at a standard deviation of 0.01."""
    return _init(_deep(11, 64, nn.Tanh), lambda w: nn.init.normal_(w, std=0.01))


def deep_exploding() -> nn.Module:
    """Exploding gradients: twelve layers of ReLUs with a standard deviation of 0.6."""
    return _init(_deep(11, 64, nn.ReLU), lambda w: nn.init.normal_(w, std=0.6))


def deep_dying() -> nn.Module:
    """Dying ReLUs: thirty thin layers of ReLUs with a negative bias."""
    model = _deep(29, 16, nn.ReLU)
    return _init(model, lambda w: nn.init.normal_(w, std=0.3), bias=-0.1)


def deep_negative_bias() -> nn.Module:
    """Dying ReLUs: biases of -10 in every hidden layer."""
    model = _deep(3, 64, nn.ReLU)
    _init(model, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), bias=-10.0)
    nn.init.zeros_(model[-1].bias)
    return model


# --- TrainCheck's PyTorch workloads: PyTorch's own MNIST example


class Example(nn.Module):
    """PyTorch's MNIST example: conv 32, conv 64, pool, 128, 10, with dropout and log softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def features(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return torch.flatten(self.dropout1(F.max_pool2d(x, 2)), 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout2(F.relu(self.fc1(self.features(x))))
        return F.log_softmax(self.fc2(x), dim=1)


class ExampleSoftmax(Example):
    """StackOverflow 60335387: ReLU and softmax at the end, with a loss that takes logits."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout2(F.relu(self.fc1(self.features(x))))
        return F.softmax(F.relu(self.fc2(x)), dim=1)


class ExampleDetached(Example):
    """PyTorch 115607's effect: the convolutions' gradients never arrive."""

    def features(self, x: Tensor) -> Tensor:
        return super().features(x).detach()


class ExampleWrongReshape(Example):
    """A view that mixes images: the batch and the channels change places."""

    def features(self, x: Tensor) -> Tensor:
        return super().features(x).t().reshape(len(x), -1)


class ExampleHalf(Example):
    """Lightning-thunder 725's effect: everything in half precision, the updates too."""

    def __init__(self) -> None:
        super().__init__()
        self.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16()).float()


class ExampleFrozenBackbone(Example):
    """Forum 84911: requires_grad is off in all but the last layer of an untrained model."""

    def __init__(self) -> None:
        super().__init__()
        for parameter in (*self.conv1.parameters(), *self.conv2.parameters()):
            parameter.requires_grad = False
        for parameter in self.fc1.parameters():
            parameter.requires_grad = False


class ExampleRandomInit(Example):
    """Transformers 33844's effect: weights initialized with another layer's standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, std=2.0)


class Spectral(nn.Module):
    """PyTorch 51800's network, with spectral norm in every layer: healthy."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.spectral_norm
        self.conv1 = norm(nn.Conv2d(1, 32, 3, padding=1))
        self.conv2 = norm(nn.Conv2d(32, 64, 3, padding=1))
        self.fc1, self.fc2 = norm(nn.Linear(64 * 49, 128)), norm(nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


# --- StackOverflow and forums: LeNet


class LeNet(nn.Module):
    """conv 6, pool, conv 16, pool, 120, 84, 10."""

    def __init__(self, activation: Function = F.relu, norm: float | None = None) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.norm1: nn.Module = nn.Identity() if norm is None else nn.BatchNorm2d(6, momentum=norm)
        self.norm2: nn.Module = nn.Identity() if norm is None else nn.BatchNorm2d(16, momentum=norm)
        self._activation = activation

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self._activation(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(self._activation(self.norm2(self.conv2(x))), 2)
        return torch.flatten(x, 1)

    def hidden(self, x: Tensor) -> Tensor:
        return self._activation(self.fc2(self._activation(self.fc1(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(self.hidden(self.features(x)))


def lenet() -> nn.Module:
    """The clean network."""
    return LeNet()


def lenet_bn() -> nn.Module:
    """The clean network with batch norm."""
    return LeNet(norm=0.1)


def lenet_bn_momentum_0() -> nn.Module:
    """Batch norm whose statistics never move: momentum 0."""
    return LeNet(norm=0.0)


def lenet_bn_momentum_1() -> nn.Module:
    """Batch norm whose statistics are the last batch's: momentum 1."""
    return LeNet(norm=1.0)


def lenet_linear() -> nn.Module:
    """No activation at all."""
    return LeNet(activation=lambda x: x)


class LeNetReluOut(LeNet):
    """ReLU on the logits."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class LeNetSigmoidOut(LeNet):
    """Sigmoid on the logits, before a loss that takes logits."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(x))


class LeNetTanhOut(LeNet):
    """Tanh on the logits."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x))


class LeNetSoftmaxOverBatch(LeNet):
    """Softmax over the images of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(super().forward(x), dim=0)


class LeNetDropoutOut(LeNet):
    """Dropout behind the logits."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.5, training=self.training)


class LeNetDropoutAlways(LeNet):
    """F.dropout without ``training``: on in evaluation too."""

    def hidden(self, x: Tensor) -> Tensor:
        return F.dropout(super().hidden(x), 0.5)


class LeNetFlip(LeNet):
    """Flips the training images along both axes."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            for axis in (2, 3):
                chosen = torch.rand(len(x), 1, 1, 1) < 0.5
                x = torch.where(chosen, x.flip(axis), x)
        return super().forward(x)


class LeNetRotate(LeNet):
    """Turns the training images by 0, 90, 180 or 270 degrees."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            turns = torch.randint(4, (len(x),))
            x = torch.stack(
                [image.rot90(int(t), (1, 2)) for image, t in zip(x, turns, strict=True)]
            )
        return super().forward(x)


class LeNetTrainOnlyScale(LeNet):
    """Only training images are transformed: pixels of 0 to 1 there, standardized elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_pixels(x) / 4 if self.training else x)


class LeNetTrainOnlyInvert(LeNet):
    """Inverted images in training, not in validation."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(-x if self.training else x)


class LeNetScrambled(LeNet):
    """A wrong reshape scrambles the pixels: each image in another order."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        order = torch.rand_like(flat).argsort(dim=1)
        return super().forward(flat.gather(1, order).view_as(x))


class LeNetWrongView(LeNet):
    """view(-1, 28, 28) of a transposed batch: every image is made of slices of all of them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1).t().reshape(x.shape))


class LeNetSlice(LeNet):
    """Sees the upper six rows of each image only."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.zeros_like(x)
        mask[:, :, :6] = 1
        return super().forward(x * mask + x.min() * (1 - mask))


class LeNetBlack(LeNet):
    """Integer division: every pixel below 255 becomes 0."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((_pixels(x) * 255).floor() // 256)


class LeNetDetached(LeNet):
    """The features are detached from the classifier."""

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x.detach())


class LeNetNoGrad(LeNet):
    """The convolutions run under ``torch.no_grad()``."""

    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().features(x)


class LeNetTiny(LeNet):
    """Weights that begin at a standard deviation of 1e-4."""

    def __init__(self) -> None:
        super().__init__()
        _init(self, lambda weight: nn.init.normal_(weight, std=1e-4))


class LeNetEqualUnits(LeNet):
    """The 120 units of a layer begin equal, by a repeated row."""

    def __init__(self) -> None:
        super().__init__()
        for layer in (self.fc1, self.fc2):
            with torch.no_grad():
                layer.weight.copy_(layer.weight[:1].expand_as(layer.weight))
                layer.bias.zero_()


class LeNetRebuilt(LeNet):
    """A layer that is made again in every forward pass, as one that is built inside ``forward``."""

    def hidden(self, x: Tensor) -> Tensor:
        fresh = nn.Linear(256, 120)
        with torch.no_grad():
            self.fc1.weight.copy_(fresh.weight)
            self.fc1.bias.copy_(fresh.bias)
        return super().hidden(x)


class LeNetListOfLayers(LeNet):
    """Its first layers stand in a plain list: ``parameters()`` does not have them."""

    def __init__(self) -> None:
        super().__init__()
        hidden = [self.conv1, self.conv2, self.fc1]
        del self.conv1, self.conv2, self.fc1
        self._layers = hidden

    def forward(self, x: Tensor) -> Tensor:
        conv1, conv2, fc1 = self._layers
        x = F.max_pool2d(F.relu(conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(conv2(x)), 2), 1)
        return self.fc3(F.relu(self.fc2(F.relu(fc1(x)))))


class LeNetBottleneck(LeNet):
    """Two units before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc2, self.fc3 = nn.Linear(120, 1), nn.Linear(1, 10)


class LeNetHardTemperature(LeNet):
    """Logits divided by 100."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 100


class LeNetLoud(LeNet):
    """Logits times 100."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 100
