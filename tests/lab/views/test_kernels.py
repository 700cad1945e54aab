"""Kernels: current weights, initial weights of the run, and the change between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.lab.views.conftest import Contexts, Seen, open_context, session_of
from tests.lab.views.custom_models import write_odd
from tests.lab.views.predictions import words
from tui_trainer.lab.context import Context
from tui_trainer.lab.drawing import PIXELS, WIDEST
from tui_trainer.lab.views.weights import kernels_of, weights_of
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Table, Words


def pictures(exhibit: Exhibit) -> Pictures:
    return next(block for block in exhibit.blocks if isinstance(block, Pictures))


@pytest.fixture(scope="module")
def moved() -> Context:
    """Return the context with a changed first convolution and a zero kernel in the second."""
    run = session_of("small")
    with torch.no_grad():
        first, second, *_ = (m for m in run.model.modules() if isinstance(m, torch.nn.Conv2d))
        first.weight.mul_(2)
        second.weight[1] = 0
    return open_context(run)


@pytest.mark.parametrize("model", ["small", "tiny", "mlp", "era-s6"])
@pytest.mark.sampled(2)
def test_the_initial_weights_are_those_of_the_seed(model: str) -> None:
    run = session_of(model, seed=7)
    context = open_context(run)
    start = context.initial_model().state_dict()
    for name, values in run.model.state_dict().items():
        assert torch.equal(start[name], values), name
    found, missing = weights_of(context, context.copy())
    assert not missing
    assert all(weights.start is not None for weights in found)
    assert all(torch.equal(w.now, w.start) for w in found if w.start is not None)


def test_the_change_matches_numpy(moved: Context, seen: Seen) -> None:
    layers = seen(moved, "kernels").figures["layers"]
    assert isinstance(layers, list)
    start = moved.initial_model().state_dict()
    for layer in layers:
        now = dict(moved.model.named_modules())[layer["layer"]].weight.numpy()
        then = start[f"{layer['layer']}.weight"].numpy()
        assert layer["norm"] == pytest.approx(np.linalg.norm(now), rel=1e-5)
        change = np.linalg.norm(now - then) / np.linalg.norm(then)
        assert layer["change"] == pytest.approx(change, rel=1e-4)
        cosine = (now * then).sum() / np.linalg.norm(now) / np.linalg.norm(then)
        assert layer["cosine"] == pytest.approx(cosine, rel=1e-4)
    assert layers[0]["change"] == pytest.approx(1.0)
    assert layers[1]["near_zero"] == [1]
    assert layers[1]["dead"] == [1]


def test_the_pictures_are_the_weights(moved: Context, seen: Seen) -> None:
    first = next(w for w in moved.model.parameters() if w.ndim == 4)
    now = pictures(seen(moved, "kernels"))
    start = pictures(seen(moved, "kernels", shows="initial"))
    change = pictures(seen(moved, "kernels", shows="change"))
    side = first.shape[2]
    for number, picture in enumerate(now.items):
        times = picture.height // side
        drawn = np.array(picture.values).reshape(picture.height, -1)[::times, ::times]
        assert drawn == pytest.approx(first[number, 0].numpy())
        halved = [value / 2 for value in picture.values]
        assert halved == pytest.approx(start.items[number].values)
        assert halved == pytest.approx(change.items[number].values)
    assert {p.high for p in now.items} == {p.high for p in start.items}


def test_a_near_zero_kernel_is_marked(moved: Context, seen: Seen) -> None:
    second = next(w for w in weights_of(moved, moved.copy())[0][1:])
    exhibit = seen(moved, "kernels", layer=second.name)
    assert "dead" in pictures(exhibit).items[1].caption or second.row.kernel_size == (1, 1)
    table = next(block for block in exhibit.blocks if isinstance(block, Table))
    assert table.rows[1][-1] == "1"
    assert table.marked == 1
    assert "Dead or near zero: 1." in exhibit.result


def test_every_page_of_every_layer_can_be_painted(context_of: Contexts, seen: Seen) -> None:
    context = context_of("era-s6")
    drawn = set[str]()
    for page in (1.0, 2.0):
        exhibit = seen(context, "kernels", layer="conv2", page=page)
        items = pictures(exhibit).items
        assert sum(p.height * p.width for p in items) <= PIXELS
        assert all(max(p.height, p.width) <= WIDEST for p in items)
        assert not drawn & {p.caption for p in items}
        drawn |= {p.caption for p in items}
    matrix = pictures(seen(context, "kernels", layer="shrink1")).items
    assert [(p.height, p.width) for p in matrix] == [(16, 16), (16, 16)]


def test_a_layer_on_the_image_has_kernels_of_its_size(context_of: Contexts, seen: Seen) -> None:
    items = pictures(seen(context_of("mlp"), "kernels")).items
    assert {(p.height, p.width) for p in items} == {(28, 28)}


def test_non_finite_weights_are_reported(context_of: Contexts, seen: Seen) -> None:
    context = context_of("small")
    model = context.copy().requires_grad_(False)
    next(model.parameters()).fill_(float("nan"))
    diverged = replace(context, model=model)
    exhibit = seen(diverged, "kernels")
    assert isinstance(exhibit.blocks[0], Words)
    assert exhibit.blocks[0].tone == "error"
    assert "not finite" in exhibit.result


def test_functional_and_shared_layers_have_kernels(tmp_path: Path, seen: Seen) -> None:
    path = write_odd(tmp_path)
    context = open_context(session_of(f"{path}:Odd"))
    found, missing = weights_of(context, context.copy())
    assert [tuple(w.now.shape) for w in found] == [(4, 1, 5, 5), (4, 4, 3, 3), (10, 4, 1, 1)]
    assert not missing
    path.write_text(path.read_text(encoding="utf-8").replace("4, 1, 5, 5", "4, 1, 3, 3"))
    exhibit = seen(context, "kernels", shows="initial")
    assert any(
        isinstance(block, Words) and block.tone == "warning" and "initial weights" in block.text
        for block in exhibit.blocks
    )
    assert len(kernels_of(found[0])) == 4


def test_irreproducible_initial_weights_are_not_shown(tmp_path: Path, seen: Seen) -> None:
    path = write_odd(tmp_path)
    context = open_context(session_of(f"{path}:Whim"))
    with pytest.raises(InputError, match="generator other than torch's, NumPy's and Python's"):
        context.initial_model()
    assert "initial weights cannot be shown" in words(seen(context, "kernels"))
    changes = seen(context, "histograms", of="changes")
    assert changes.controls[0].value == "weights"


def test_initial_weights_from_pythons_random_are_rebuilt(tmp_path: Path) -> None:
    run = session_of(f"{write_odd(tmp_path)}:Seeded")
    before = run.model.get_parameter("last.weight")

    assert torch.equal(open_context(run).initial_model().get_parameter("last.weight"), before)
