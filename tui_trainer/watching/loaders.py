"""What is known of a loader: its dataset, its length, and whether its batch size can be changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Dataset

from tui_trainer.protocol.class_names import clean_names


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
    return type(_dataset_behind(loader)).__name__.lower()


def class_names_of(loader: Any, classes: int) -> tuple[str, ...]:
    """Return the names of the classes that a dataset of torchvision or Hugging Face has.

    Args:
        loader: A loader, or a dataset; may be wrapped in subsets.
        classes: The number of classes of the model; other numbers of names are not of its classes.

    Returns:
        A name for each class, or nothing: no names are known, or each begins with its own number,
        as "7 - seven" in torchvision's MNIST.
    """
    found = _dataset_behind(loader)
    try:
        names = getattr(found, "classes", None) or _label_names(found.features)
        texts = [name for name in names if isinstance(name, str)]
        if len(names) != classes or len(texts) != classes:
            return ()
    except Exception:  # of a foreign dataset: missing names are no reason to stop a training
        return ()
    is_numbered = all(re.match(rf"{label}\b", text) for label, text in enumerate(texts))
    return () if is_numbered else clean_names(texts)


def _label_names(features: Any) -> Any:
    """Return the names of a Hugging Face dataset: those of its only ``ClassLabel``."""
    (names,) = (kind.names for kind in features.values() if hasattr(kind, "names"))
    return names


def _dataset_behind(loader: Any) -> Any:
    found = getattr(loader, "dataset", loader)
    while hasattr(found, "dataset"):  # Subset
        found = found.dataset
    return found
