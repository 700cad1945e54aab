"""Models that are wrong on purpose, each as a person might write it."""

from __future__ import annotations

from torch import Tensor, nn


class DeepSigmoid(nn.Sequential):
    """Ten sigmoid layers without batch norm: the gradient vanishes before the first layer."""

    def __init__(self, image_size: int, classes: int) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        width = image_size * image_size
        for _ in range(10):
            layers += [nn.Linear(width, 32), nn.Sigmoid()]
            width = 32
        super().__init__(*layers, nn.Linear(width, classes))


class DeepSigmoidMaps(nn.Sequential):
    """The same with convolutions: eight, pooled after the first two."""

    def __init__(self, image_size: int, classes: int) -> None:
        layers: list[nn.Module] = []
        channels = 1
        for index in range(8):
            layers += [nn.Conv2d(channels, 12, 3, padding=1), nn.Sigmoid()]
            layers += [nn.MaxPool2d(2)] if index < 2 else []
            channels = 12
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
        super().__init__(*layers, *head)


class Bottleneck(nn.Module):
    """A bottleneck of a single unit."""

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(image_size * image_size, 1)
        self.relu = nn.ReLU()
        self.logits = nn.Linear(1, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.relu(self.squeeze(images.flatten(1))))
        return logits


class BottleneckMaps(nn.Sequential):
    """One convolution with two kernels, and global average pooling."""

    def __init__(self, classes: int) -> None:
        super().__init__(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2, classes),
        )
