"""What is known of a loader: its dataset, its length, and whether its batch size can be changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Dataset


def as_loader(source: Any, batch_size: int | None) -> Iterable[Any]:
    """Return a loader as it is, and a dataset as a shuffling loader.

    Raises:
        TypeError: If it is a dataset without a batch size, or neither of the two.
    """
    if isinstance(source, Dataset):
        if batch_size is None:
            raise TypeError("batches: a Dataset needs a batch_size, or give a DataLoader")
        return DataLoader(source, batch_size=batch_size, shuffle=True)
    if batch_size is not None:
        raise TypeError("batches: batch_size is for a Dataset; a loader has its own")
    if not isinstance(source, Iterable):
        raise TypeError(f"batches: no loader, but {type(source).__name__}")
    return source


def sampler_of(loader: Any) -> BatchSampler | None:
    """Return the batch sampler whose ``batch_size`` can be set; None if there is none.

    A subclass or another batch sampler may have planned its batches in advance.
    """
    sampler = loader.batch_sampler if isinstance(loader, DataLoader) else None
    return sampler if type(sampler) is BatchSampler else None


def order_of(loader: Any) -> Any:
    """Return the sampler of the single examples; None if there is none.

    With a ``batch_sampler`` it is the one in it: that of the loader is not used.
    """
    found = getattr(loader, "batch_sampler", None)
    return getattr(loader if found is None else found, "sampler", None)


def fixed_batch_size(loader: Any) -> str:
    """Return why the batch size of a loader cannot be changed; empty if it can."""
    if sampler_of(loader) is not None:
        return ""
    if isinstance(loader, DataLoader):
        return "the loader has a custom batch sampler"
    return "the script does not give a DataLoader to run.batches()"


def examples_in(loader: Any) -> int | None:
    """Return the number of examples in a pass over a loader; None if it is not known."""
    for counted in (order_of(loader), getattr(loader, "dataset", None)):
        try:
            count = len(counted)  # type: ignore[arg-type]
        except TypeError:
            continue
        if count > 0:
            return int(count)
    return None


def dataset_name(loader: Any) -> str:
    """Return the class of the dataset behind subsets and loaders, in lower case."""
    found = getattr(loader, "dataset", loader)
    while hasattr(found, "dataset"):  # Subset
        found = found.dataset
    return type(found).__name__.lower()
