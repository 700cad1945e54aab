"""The code that reads the images and labels of a split, for each kind of data."""

from __future__ import annotations

from tui_trainer.export.source_code.color_readers import (
    TORCHVISION,
    binary_code,
    from_arrays,
    of_torchvision,
)
from tui_trainer.export.source_code.formatting import call, literal
from tui_trainer.export.source_code.picture_reader import pictures_code
from tui_trainer.export.source_code.recipe import (
    ArrayFiles,
    BinaryFiles,
    DataFiles,
    PictureFolders,
    Recipe,
)

_PLAIN_DATASETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""The datasets with MNIST's file names, and their classes of torchvision."""

_IDX_NAMES = "images-idx3-ubyte", "labels-idx1-ubyte"

_DOWNLOAD = "from torchvision import datasets"
_DOWNLOADED = ("folder", "train=is_train", "download=True")

_READ_IDX = '''\
def read_idx(path):
    """Read an IDX file of bytes, gzipped or not, as a tensor."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = bytearray(file.read())
    dimensions = content[3]
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    start = 4 + 4 * dimensions
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).reshape(shape)'''

_READ_WIDE_IDX = '''\
def read_idx(path):
    """Read an IDX file of integers, gzipped or not, as a tensor."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = bytearray(file.read())
    kind, dimensions = content[2:4]
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    start = 4 + 4 * dimensions
    values = torch.frombuffer(content, dtype=torch.uint8, offset=start)
    width = {8: 1, 9: 1, 11: 2, 12: 4}[kind]
    if width == 1:
        return values.reshape(shape)
    places = 256 ** torch.arange(width - 1, -1, -1)  # the highest byte comes first
    return (values.reshape(*shape, width) * places).sum(dim=-1)'''


def readers_code(recipe: Recipe) -> list[str]:
    """Return the definitions that end with ``load_split``."""
    side, channels = recipe.started.image_size, recipe.started.channels
    shape = f"{side}, {side}" if channels == 1 else f"{channels}, {side}, {side}"
    head = (
        "def load_split(folder, is_train):\n"
        f'    """Return images (N, {shape}), 0 to 255, and labels (N) of a split."""\n'
    )
    helpers, lines = _reader(recipe)
    return [*helpers, head + "\n".join(lines)]


def _reader(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Return the functions that ``load_split`` needs, and its lines."""
    files, dataset = recipe.files, recipe.config.dataset
    if isinstance(files, DataFiles):
        return [_READ_WIDE_IDX if files.has_wide_labels else _READ_IDX], _from_idx(files)
    if isinstance(files, PictureFolders):
        return pictures_code(recipe, files)
    if isinstance(files, ArrayFiles):
        return [], from_arrays(files, recipe.started.channels, recipe.started.image_size)
    if isinstance(files, BinaryFiles):
        return binary_code(files)
    if dataset in TORCHVISION:
        return of_torchvision(dataset)
    if dataset in _PLAIN_DATASETS:
        return [_READ_IDX], _from_idx_or_download(dataset)
    if dataset == "qmnist":
        arguments = ["folder", 'what="train" if is_train else "test10k"', "download=True"]
        loaded = call("dataset = datasets.QMNIST", arguments, indent=4)
        moved = _moved("dataset.data", "dataset.targets[:, 0]")
        return [], [f"    {_DOWNLOAD}", "", loaded, *moved]
    return [], _from_emnist(dataset.removeprefix("emnist-"))


def class_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the classes; of folders those of the folders."""
    files = recipe.files
    return files.classes if isinstance(files, PictureFolders) else recipe.started.class_names


def _from_idx_or_download(dataset: str) -> list[str]:
    images_name, labels_name = _IDX_NAMES
    return [
        '    prefix = "train" if is_train else "t10k"',
        f'    images = sorted(Path(folder).glob(f"{{prefix}}-{images_name}*"))',
        f'    labels = sorted(Path(folder).glob(f"{{prefix}}-{labels_name}*"))',
        "    if images and labels:  # IDX files",
        "        images, labels = read_idx(images[0]), read_idx(labels[0])",
        "    else:",
        f"        {_DOWNLOAD}",
        "",
        call(f"dataset = datasets.{_PLAIN_DATASETS[dataset]}", _DOWNLOADED, indent=8),
        "        images, labels = dataset.data, dataset.targets",
        *_moved("images", "labels"),
    ]


def _from_emnist(split: str) -> list[str]:
    arguments = ["folder", f'split="{split}"', "train=is_train", "download=True"]
    labels = "dataset.targets - 1" if split == "letters" else "dataset.targets"
    return [
        f"    {_DOWNLOAD}",
        "",
        call("dataset = datasets.EMNIST", arguments, indent=4),
        "    # Rows and columns are swapped in its files.",
        *_moved("dataset.data.transpose(1, 2)", labels),
    ]


def _moved(images: str, labels: str) -> list[str]:
    line = f"    return {images}.to(DEVICE), {labels}.long().to(DEVICE)"
    if " " in labels:
        line = f"    return {images}.to(DEVICE), ({labels}).long().to(DEVICE)"
    return [line]


def _from_idx(files: DataFiles) -> list[str]:
    lines = []
    for condition, names in (("if is_train:", files.names[:2]), ("else:", files.names[2:])):
        lines.append(f"    {condition}")
        for variable, name in zip(("images", "labels"), names, strict=True):
            path = [f"Path(folder) / {literal(name)}"]
            lines.append(call(f"{variable} = read_idx", path, indent=8))
    images, labels = "images", "labels"
    if files.has_channels:
        lines.append("    images = images.squeeze(1 if images.shape[1] == 1 else -1)")
    if files.has_label_columns:
        lines.append("    labels = labels[:, 0]")
    if files.is_transposed:
        lines.append("    # Rows and columns are swapped in its files.")
        images = "images.transpose(1, 2)"
    if files.first_label:
        labels = f"labels - {files.first_label}"
    return [*lines, *_moved(images, labels)]
