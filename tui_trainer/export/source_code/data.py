"""The section that reads, splits, augments and normalizes images."""

from __future__ import annotations

from tui_trainer.export.source_code.augmentation import (
    augment_code,
    augmentation_of,
    prepare_code,
    strengths,
)
from tui_trainer.export.source_code.formatting import assignment, joined, literal
from tui_trainer.export.source_code.readers import class_names, readers_code
from tui_trainer.export.source_code.recipe import Recipe

_SPLIT = '''\
def stratified_split(labels, count):
    """Split indices into two parts with the same class proportions, count in the second.

    It depends on the labels alone: these are the images of the run.
    """
    by_class = {}
    for index, label in enumerate(labels):
        by_class.setdefault(label, []).append(index)
    shares = {c: len(members) * count / len(labels) for c, members in by_class.items()}
    quotas = {c: int(share) for c, share in shares.items()}
    by_remainder = sorted(shares, key=lambda c: (quotas[c] - shares[c], c))
    for c in by_remainder[: count - sum(quotas.values())]:
        quotas[c] += 1
    rng = random.Random("mnist-tui: train and validation")
    chosen = set()
    for c in sorted(by_class):
        chosen.update(rng.sample(by_class[c], quotas[c]))
    return [i for i in range(len(labels)) if i not in chosen], sorted(chosen)'''


def settings_code(recipe: Recipe) -> list[str]:
    """Return the constants of the data."""
    started, config = recipe.started, recipe.config
    lines = [f"DATA_DIR = {literal(recipe.folder or 'data')}"]
    if config.train_size is not None:
        lines.append(f"TRAIN_SIZE = {literal(started.train_size)}")
    if started.val_size:
        lines.append(f"VAL_SIZE = {literal(started.val_size)}")
    lines += _statistics(recipe)
    if names := class_names(recipe):
        lines.append(assignment("CLASSES", names))
    if (augmentation := augmentation_of(recipe)) is not None:
        lines += strengths(augmentation)
    return lines


def _statistics(recipe: Recipe) -> list[str]:
    mean, std = recipe.started.mean, recipe.started.std
    if recipe.started.channels == 1:
        return [f"MEAN, STD = {mean[0]!r}, {std[0]!r}"]
    return ["# Red, green, blue.", assignment("MEAN", mean), assignment("STD", std)]


def data_code(recipe: Recipe) -> str:
    """Return the definitions of the data section."""
    config = recipe.config
    has_split = (recipe.started.val_size and not recipe.has_val) or config.train_size
    augmentation = augmentation_of(recipe)
    return joined(
        [
            *readers_code(recipe),
            _SPLIT if has_split else "",
            _load_data(recipe),
            "" if augmentation is None else augment_code(recipe, augmentation),
            prepare_code(recipe),
        ]
    )


def _load_data(recipe: Recipe) -> str:
    lines = [
        "def load_data(folder):",
        '    """Return the training, validation and test split, each as (images, labels)."""',
        "    images, labels = load_split(folder, is_train=True)",
    ]
    val = "None"
    if recipe.has_val:
        lines += [
            "    val_set = images[-VAL_SIZE:], labels[-VAL_SIZE:]",
            "    images, labels = images[:-VAL_SIZE], labels[:-VAL_SIZE]",
        ]
        val = "val_set"
    elif recipe.started.val_size:
        lines += [
            "    rest, chosen = stratified_split(labels.tolist(), VAL_SIZE)",
            "    val_set = images[chosen], labels[chosen]",
            "    images, labels = images[rest], labels[rest]",
        ]
        val = "val_set"
    if recipe.config.train_size is not None:
        lines += [
            "    _, chosen = stratified_split(labels.tolist(), TRAIN_SIZE)",
            "    images, labels = images[chosen], labels[chosen]",
        ]
    test = "load_split(folder, is_train=False)" if recipe.uses_test else "None"
    lines.append(f"    return (images, labels), {val}, {test}")
    return "\n".join(lines)
