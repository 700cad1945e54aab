"""What a script's loader tells about its data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset, Subset

from tui_trainer.watching.loaders import class_names_of


class Images(Dataset[int]):
    """A dataset with attributes of others."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return index


class Broken(Images):
    @property
    def classes(self) -> list[str]:
        raise RuntimeError("not downloaded")


LABELS = SimpleNamespace(names=["cat", "dog"])


@pytest.mark.parametrize(
    ("dataset", "names"),
    [
        (Images(classes=["cat", "dog"]), ("cat", "dog")),
        (Images(classes=("cat", "cat")), ("cat (0)", "cat (1)")),
        (Images(features={"img": object(), "label": LABELS}), ("cat", "dog")),
        (Images(features={"fine": LABELS, "coarse": LABELS}), ()),
        (Images(classes=["0 - zero", "1 - one"]), ()),
        (Images(classes=["0", "1"]), ()),
        (Images(classes=["cat", "dog", "frog"]), ()),
        (Images(classes=[0, 1]), ()),
        (Images(classes=2), ()),
        (Images(), ()),
        (Broken(), ()),
    ],
)
def test_the_names_of_the_classes_are_those_of_the_dataset(
    dataset: Images, names: tuple[str, ...]
) -> None:
    assert class_names_of(dataset, 2) == names
    assert class_names_of(DataLoader(Subset(dataset, [0, 1])), 2) == names
