"""A prediction comes with a warning if the model's answers are meaningless."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.border.commands import Case, Lab
from tests.border.test_more import WORTHLESS, trained_run


@pytest.mark.slow
@pytest.mark.parametrize("name", WORTHLESS)
def test_predict_warns_of_a_meaningless_answer(lab: Lab, digits: Path, name: str) -> None:
    _, out = trained_run(lab, name)

    ended = lab.run("predict", min(digits.iterdir()), "--run", out, "--raw", "--ink", "light")

    assert "Traceback" not in ended.err
    assert ended.err


@pytest.mark.slow
def test_predict_warns_that_logits_depend_on_the_batch(lab: Lab, digits: Path) -> None:
    """Softmax over a batch of one image gives each class the same: "0, 10 %" for everything."""
    folder = lab.trained(Case("batch_softmax", review=5, check=6))

    ended = lab.run("predict", digits, "--run", folder.path, "--raw", "--ink", "light")

    assert "Traceback" not in ended.err
    assert "batch" in ended.err or "other images" in ended.err
