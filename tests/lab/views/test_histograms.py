"""Histograms: stable bins, counts that add up, and dead units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.lab.views.conftest import Contexts, Seen, open_context, session_of
from tests.lab.views.custom_models import write_odd
from tests.lab.views.test_maps import with_dead_unit
from tui_trainer.lab.views.distributions import MOST_BINS, bins_for
from tui_trainer.protocol.exhibit import Bars, Table, Words


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with unusual custom models."""
    return write_odd(tmp_path_factory.mktemp("odd"))


@pytest.mark.parametrize("scale", [1e-9, 0.003, 0.37, 1.0, 42.0, 9e6])
@pytest.mark.parametrize("shift", [0.0, -3.0, 100.0])
def test_bins_match_numpys_histogram(scale: float, shift: float) -> None:
    values = torch.randn(5_000, generator=torch.Generator().manual_seed(1)) * scale + shift * scale
    bins = bins_for([values])
    assert 5 <= bins.count <= MOST_BINS
    shares = bins.shares(values)
    edges = np.array([-np.inf, *bins.edges, np.inf])
    expected, _ = np.histogram(values.double().numpy(), edges)
    assert np.array(shares) * 5_000 == pytest.approx(expected, abs=1e-6)
    assert shares[0] + shares[-1] < 0.02
    assert len(bins.labels()) == len(shares) == len(set(bins.labels()))


def test_bins_are_stable_under_small_changes() -> None:
    values = torch.randn(5_000, generator=torch.Generator().manual_seed(1))
    kept = [bins_for([values, values * (1 + grown / 100)]) for grown in range(0, 50, 5)]
    assert len({(bins.first, bins.width) for bins in kept}) <= 3


@pytest.mark.parametrize("values", [torch.zeros(0), torch.ones(3), torch.tensor([-2.0])])
def test_bins_of_tiny_values(values: torch.Tensor) -> None:
    bins = bins_for([values])
    assert sum(bins.shares(values)) == pytest.approx(1.0 if len(values) else 0.0)


def test_weights_are_counted_now_and_at_initialization(seen: Seen) -> None:
    run = session_of("small")
    first = next(m for m in run.model.modules() if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        first.weight.mul_(3)
    exhibit = seen(open_context(run), "histograms")
    layers = exhibit.figures["layers"]
    assert isinstance(layers, list)
    weights = first.weight.detach().double().numpy()
    assert layers[0]["std"] == pytest.approx(weights.std(), rel=1e-5)
    assert layers[0]["start_std"] == pytest.approx(weights.std() / 3, rel=1e-5)
    for layer in layers:
        assert sum(layer["shares"]) == pytest.approx(1.0)
        assert sum(layer["start_shares"]) == pytest.approx(1.0)
    changes = seen(open_context(run), "histograms", of="changes").figures["layers"]
    assert isinstance(changes, list)
    assert changes[0]["std"] == pytest.approx(2 * weights.std() / 3, rel=1e-5)
    assert changes[1]["std"] == 0


def test_activations_are_the_outputs_of_the_model(context_of: Contexts, seen: Seen) -> None:
    context = with_dead_unit(context_of("era-s6"))
    exhibit = seen(context, "histograms", of="activations")
    sample = int(str(exhibit.figures["images"]))
    found: list[torch.Tensor] = []
    model = context.copy()
    dict(model.named_modules())["conv1_relu"].register_forward_hook(
        lambda m, i, o: found.append(o.clone())
    )
    with torch.no_grad():
        model(context.data.prepare(context.sample(sample).images))
    values = found[0].double().numpy()
    layers = exhibit.figures["layers"]
    assert isinstance(layers, list)
    first = layers[0]
    assert first["dead"] == [2]
    assert first["units"] == 16
    assert first["mean"] == pytest.approx(values.mean(), rel=1e-4)
    assert first["std"] == pytest.approx(values.std(), rel=1e-4)
    assert first["zeros"] == pytest.approx((values == 0).mean(), abs=1e-9)
    inner = np.array(first["shares"])
    edges = np.array([-np.inf, *first["edges"], np.inf])
    expected, _ = np.histogram(values[values != 0], edges)
    assert inner == pytest.approx(expected / expected.sum(), abs=0.03)
    table = next(block for block in exhibit.blocks if isinstance(block, Table))
    assert "1 ✗" in table.rows[0]
    assert "1 dead unit of 16: 2." in exhibit.result


def test_a_trained_run_shows_the_initial_activations(context_of: Contexts, seen: Seen) -> None:
    context = context_of("era-s6")
    context = replace(context, step=10)
    exhibit = seen(context, "histograms", of="activations", layer="conv4")
    layers = exhibit.figures["layers"]
    assert isinstance(layers, list)
    # With batch statistics, maps after batch norm and ReLU keep their scale.
    stds = [layer["start_std"] for layer in layers[:-1]]
    assert all(0.3 < std < 1.0 for std in stds)
    bars = next(block for block in exhibit.blocks if isinstance(block, Bars))
    assert all(bar.number.count("%") == 2 for bar in bars.bars)


@pytest.mark.parametrize("of", ["weights", "activations", "changes"])
def test_odd_and_non_finite_models(odd: Path, context_of: Contexts, seen: Seen, of: str) -> None:
    context = context_of(f"{odd}:Odd")
    assert seen(context, "histograms", of=of).progress is None
    model = context.copy().requires_grad_(False)
    next(model.parameters()).fill_(float("nan"))
    diverged = replace(context, model=model)
    exhibit = seen(diverged, "histograms", of=of)
    assert isinstance(exhibit.blocks[0], Words)
    assert exhibit.blocks[0].tone == "error"


def test_saturated_units_are_counted(tmp_path: Path, seen: Seen) -> None:
    path = tmp_path / "sigmoid.py"
    path.write_text(
        "from torch import nn\n\n"
        "def net(classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.Sigmoid(),"
        " nn.Linear(8, classes))\n",
        encoding="utf-8",
    )
    run = session_of(f"{path}:net")
    with torch.no_grad():
        run.model[1].weight.mul_(1_000)  # type: ignore[index]
    layers = seen(open_context(run), "histograms", of="activations").figures["layers"]
    assert isinstance(layers, list)
    assert layers[0]["saturated"] > 0.9
    assert layers[1]["saturated"] is None
