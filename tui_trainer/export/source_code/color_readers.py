"""The code that reads CIFAR's files, NumPy arrays, and color datasets of torchvision."""

from __future__ import annotations

from tui_trainer.export.source_code.formatting import assignment, call, literal
from tui_trainer.export.source_code.recipe import ArrayFiles, BinaryFiles

TORCHVISION = ("cifar10", "cifar100", "svhn", "stl10")
"""The datasets that a program reads from CIFAR's binary files, or through torchvision."""

_BINARY = {
    "cifar10": ("CIFAR10", "data_batch_?.bin", "test_batch.bin", 1),
    "cifar100": ("CIFAR100", "train.bin", "test.bin", 2),
}
"""The class of torchvision, the training files, the test file, the bytes of the labels."""

_SPLIT_NAMED = {"svhn": "SVHN", "stl10": "STL10"}


def _read_cifar(label_bytes: int, size: int = 32) -> str:
    area = 3 * size**2
    label = ":, 0" if label_bytes == 1 else f":, {label_bytes - 1}"
    return f'''\
def read_records(paths):
    """Read binary files: of each image its label, and its red, green and blue plane."""
    content = bytearray(b"".join(path.read_bytes() for path in paths))
    records = torch.frombuffer(content, dtype=torch.uint8).view(-1, {label_bytes + area})
    images = records[:, {label_bytes}:].reshape(-1, 3, {size}, {size})
    return images, records[{label}]'''


def of_torchvision(dataset: str) -> tuple[list[str], list[str]]:
    """Return the functions and lines that read a dataset, downloaded if it is not there."""
    download = "from torchvision import datasets"
    if dataset in _SPLIT_NAMED:
        arguments = ["folder", 'split="train" if is_train else "test"', "download=True"]
        lines = [
            f"    {download}",
            "",
            call(f"dataset = datasets.{_SPLIT_NAMED[dataset]}", arguments, indent=4),
            "    images, labels = torch.from_numpy(dataset.data), torch.tensor(dataset.labels)",
            "    return images.to(DEVICE), labels.long().to(DEVICE)",
        ]
        return [], lines
    name, train, test, label_bytes = _BINARY[dataset]
    loaded = call(
        f"dataset = datasets.{name}", ["folder", "train=is_train", "download=True"], indent=8
    )
    pattern = f"{literal(train)} if is_train else {literal(test)}"
    lines = [
        f"    pattern = {pattern}",
        "    paths = sorted(Path(folder).rglob(pattern))",
        "    if paths:  # binary files",
        "        images, labels = read_records(paths)",
        "    else:",
        f"        {download}",
        "",
        loaded,
        "        images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()",
        "        labels = torch.tensor(dataset.targets)",
        "    return images.to(DEVICE), labels.long().to(DEVICE)",
    ]
    return [_read_cifar(label_bytes)], lines


def binary_code(files: BinaryFiles) -> tuple[list[str], list[str]]:
    """Return the functions and lines that read binary files in a folder."""
    if files.label_bytes:
        lines = [
            "    if is_train:",
            assignment("        names", files.train),
            "    else:",
            assignment("        names", (files.test,)),
            "    images, labels = read_records([Path(folder) / name for name in names])",
        ]
        helpers = [_read_cifar(files.label_bytes, files.size)]
    else:
        train, test = files.train[0], files.test
        labels = [name.replace("_X", "_y") for name in (train, test)]
        lines = [
            "    if is_train:",
            f"        names = {literal(train)}, {literal(labels[0])}",
            "    else:",
            f"        names = {literal(test)}, {literal(labels[1])}",
            "    images, labels = (",
            "        torch.frombuffer(",
            "            bytearray((Path(folder) / name).read_bytes()), dtype=torch.uint8",
            "        )",
            "        for name in names",
            "    )",
            "    # Planes are column-major.",
            f"    images = images.view(-1, 3, {files.size}, {files.size}).transpose(2, 3)",
        ]
        helpers = []
    images = "images" if files.label_bytes else "images.contiguous()"
    first = f"(labels.long() - {files.first_label})" if files.first_label else "labels.long()"
    return helpers, [*lines, f"    return {images}.to(DEVICE), {first}.to(DEVICE)"]


def from_arrays(files: ArrayFiles, channels: int, size: int) -> list[str]:
    """Return the lines that read NumPy arrays."""
    lines = []
    if files.archive is not None:
        place = f"Path(folder) / {literal(files.archive)}" if files.archive else "folder"
        lines.append(f"    arrays = np.load({place})")
    for condition, splits in (("if is_train:", ("train", "val")), ("else:", ("test",))):
        lines.append(f"    {condition}")
        for variable, axis in (("images", "x"), ("labels", "y")):
            roles = [f"{axis}_{split}" for split in splits]
            parts = [_array(files, files.names[role]) for role in roles if role in files.names]
            if len(parts) == 1:
                lines.append(f"        {variable} = {parts[0]}")
            else:
                joined = [f"({', '.join(parts)})"]
                lines.append(call(f"{variable} = np.concatenate", joined, indent=8))
    if files.scaled:
        lines.append(f"    images = {files.scaled}")
    lines.append("    images = torch.from_numpy(images)")
    if channels > 1:
        moved = "images.permute(0, 3, 1, 2).contiguous()" if files.is_last else ""
    else:
        moved = f"images.reshape(-1, {size}, {size})"
    if moved:
        lines.append(f"    images = {moved}")
    labels = "labels.argmax(axis=1)" if files.is_one_hot else "labels.reshape(-1)"
    lines.append(f"    labels = torch.from_numpy({labels}.astype(np.int64))")
    first = f"(labels - {files.first_label})" if files.first_label else "labels"
    return [*lines, f"    return images.to(DEVICE), {first}.to(DEVICE)"]


def _array(files: ArrayFiles, name: str) -> str:
    if files.archive is not None:
        return f"arrays[{literal(name)}]"
    return f"np.load(Path(folder) / {literal(f'{name}.npy')})"
