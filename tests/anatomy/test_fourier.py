"""After a Fourier transform and its inverse, each value depends on its whole dimension."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tui_trainer.anatomy.measured import measured_field
from tui_trainer.anatomy.table import layer_table


class Filtered(nn.Module):
    """A filter in the frequency domain, along rows and columns or only columns."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims
        self.weight = nn.Parameter(torch.randn(1, dtype=torch.cfloat))
        self.head = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfftn(x, dim=self.dims) * self.weight
        x = torch.fft.irfftn(spectrum, s=[x.shape[d] for d in self.dims], dim=self.dims)
        return self.head(x).amax((2, 3))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("dims", "seen"), [((-2, -1), (8, 8)), ((-1,), (1, 8)), ((-2,), (8, 1))])
def test_a_filtered_feature_sees_all_along_the_transform(
    dims: tuple[int, ...], seen: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = Filtered(dims)
    rows = layer_table(model, (8, 8, 1))
    place = next(i for i, row in enumerate(rows) if row.kind == "conv")
    field = measured_field(model, (8, 8, 1), place, 3, 3)
    assert (int(field.any(1).sum()), int(field.any(0).sum())) == seen
