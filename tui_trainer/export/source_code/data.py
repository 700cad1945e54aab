"""The section that reads, splits, augments and normalizes images."""

from __future__ import annotations

from tui_trainer.export.source_code.formatting import call, joined, literal
from tui_trainer.export.source_code.recipe import DataFiles, Recipe
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation

MNIST_SIDE = 28
"""The image size, in pixels, to which ``Augmentation.crop`` refers."""

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


def augmentation_of(recipe: Recipe) -> Augmentation | None:
    """Return the augmentation that the run uses at any time; None if it never augments."""
    configured = recipe.config.augmentation
    if recipe.initial["augmentation"] or recipe.is_changed("augmentation"):
        # Switched on in a run without: see Batches.augmentation of the engine.
        return NAMED_AUGMENTATIONS["light"] if configured.is_none else configured
    return None


def settings_code(recipe: Recipe) -> list[str]:
    """Return the constants of the data."""
    started, config = recipe.started, recipe.config
    lines = [f"DATA_DIR = {literal(recipe.folder or 'data')}"]
    if config.train_size is not None:
        lines.append(f"TRAIN_SIZE = {literal(started.train_size)}")
    if started.val_size:
        lines.append(f"VAL_SIZE = {literal(started.val_size)}")
    lines.append(f"MEAN, STD = {started.mean[0]!r}, {started.std[0]!r}")
    if (augmentation := augmentation_of(recipe)) is not None:
        lines += _strengths(augmentation)
    return lines


def _strengths(augmentation: Augmentation) -> list[str]:
    lines = [f"ROTATE = {augmentation.rotate!r}  # degrees"]
    if augmentation.shear:
        lines.append(f"SHEAR = {augmentation.shear!r}  # degrees")
    if augmentation.scale:
        lines.append(f"SCALE = {augmentation.scale!r}  # from {1 - augmentation.scale:g} to")
        lines[-1] = f"{lines[-1]} {1 + augmentation.scale:g} times the size"
    if augmentation.shift:
        lines.append(f"SHIFT = {augmentation.shift!r}  # pixels")
    if augmentation.crop_probability:
        lines.append(f"CROP, CROP_PROBABILITY = {augmentation.crop}, ")
        lines[-1] += f"{augmentation.crop_probability!r}  # of {MNIST_SIDE} pixels"
    return lines


def data_code(recipe: Recipe) -> str:
    """Return the definitions of the data section."""
    config = recipe.config
    has_split = bool(recipe.started.val_size) or config.train_size is not None
    augmentation = augmentation_of(recipe)
    return joined(
        [
            _read_idx(recipe),
            _load_split(recipe),
            _SPLIT if has_split else "",
            _load_data(recipe),
            "" if augmentation is None else _augment(augmentation, bool(config.resize_until)),
            _prepare(has_augmentation=augmentation is not None, resizes=bool(config.resize_until)),
        ]
    )


def _read_idx(recipe: Recipe) -> str:
    if recipe.files is not None:
        return _READ_WIDE_IDX if recipe.files.has_wide_labels else _READ_IDX
    return _READ_IDX if recipe.config.dataset in _PLAIN_DATASETS else ""


def _load_split(recipe: Recipe) -> str:
    side = recipe.started.image_size
    lines = [
        "def load_split(folder, is_train):",
        f'    """Return images (N, {side}, {side}), 0 to 255, and labels (N) of a split."""',
    ]
    if recipe.files is not None:
        return "\n".join([*lines, *_from_files(recipe.files)])
    dataset = recipe.config.dataset
    if dataset.startswith("emnist-"):
        return "\n".join([*lines, *_from_emnist(dataset.removeprefix("emnist-"))])
    if dataset == "qmnist":
        arguments = ["folder", 'what="train" if is_train else "test10k"', "download=True"]
        loaded = call("dataset = datasets.QMNIST", arguments, indent=4)
        lines += [f"    {_DOWNLOAD}", "", loaded]
        return "\n".join([*lines, *_moved("dataset.data", "dataset.targets[:, 0]")])
    images_name, labels_name = _IDX_NAMES
    lines += [
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
    return "\n".join(lines)


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


def _from_files(files: DataFiles) -> list[str]:
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


def _load_data(recipe: Recipe) -> str:
    lines = [
        "def load_data(folder):",
        '    """Return the training, validation and test split, each as (images, labels)."""',
        "    images, labels = load_split(folder, is_train=True)",
    ]
    val = "None"
    if recipe.started.val_size:
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


def _augment(augmentation: Augmentation, resizes: bool) -> str:
    mode = literal(augmentation.interpolation)
    has_zoom = bool(augmentation.scale or augmentation.crop_probability)
    lines = [
        "def uniform(count, limit):",
        '    """Return random numbers between -limit and limit."""',
        "    return limit * (2 * torch.rand(count) - 1)",
        "",
        "",
        f"def augment(pixels{', size' if resizes else ''}):",
        '    """Transform each image (N, 1, H, W) by its own random affine map."""',
        "    count, side = len(pixels), pixels.shape[-1]",
        "    angle = torch.deg2rad(uniform(count, ROTATE))",
        "    cos, sin = torch.cos(angle), torch.sin(angle)",
    ]
    rows = ["cos", "-sin", "sin", "cos"]
    if augmentation.shear:
        lines.append("    shear = torch.tan(torch.deg2rad(uniform(count, SHEAR)))")
        rows = ["cos", "cos * shear - sin", "sin", "sin * shear + cos"]
    lines.append("    # The map leads from a pixel of the result to its place in the image.")
    lines.append(f"    rows = {', '.join(rows)}")
    lines.append("    matrix = torch.stack(rows, dim=1).view(-1, 2, 2)")
    if has_zoom:
        zoom = "1 / (1 + uniform(count, SCALE))" if augmentation.scale else "torch.ones(count)"
        lines.append(f"    zoom = {zoom}")
        if augmentation.crop_probability:
            lines += [
                "    is_cropped = torch.rand(count) < CROP_PROBABILITY",
                f"    zoom = torch.where(is_cropped, zoom * CROP / {MNIST_SIDE}, zoom)",
            ]
        lines.append("    matrix = matrix * zoom.view(-1, 1, 1)")
    if augmentation.shift:
        lines += [
            "    shift = torch.stack((uniform(count, SHIFT), uniform(count, SHIFT)), dim=1)",
            "    shift = matrix @ (shift * -2 / side).unsqueeze(2)",
        ]
    else:
        lines.append("    shift = torch.zeros(count, 2, 1)")
    side = "size" if resizes else "side"
    lines += [
        "    theta = torch.cat((matrix, shift), dim=2).to(pixels.device)",
        f"    grid = F.affine_grid(theta, [count, 1, {side}, {side}], align_corners=False)",
        f"    return F.grid_sample(pixels, grid, mode={mode}, align_corners=False)",
    ]
    return "\n".join(lines)


def _prepare(*, has_augmentation: bool, resizes: bool) -> str:
    options = ", augmented=False" * has_augmentation + ", size=None" * resizes
    lines = [
        f"def prepare(images{options}):",
        '    """Turn images (N, H, W) into the input of the model (N, 1, H, W), normalized."""',
        "    pixels = images.unsqueeze(1).float()",
    ]
    if has_augmentation:
        size = ", size or pixels.shape[-1]" if resizes else ""
        lines += ["    if augmented:", f"        pixels = augment(pixels{size})"]
    if resizes:
        lines += [
            f"    {'elif' if has_augmentation else 'if'} size is not None:",
            "        pixels = F.interpolate(",
            '            pixels, size=(size, size), mode="bilinear", antialias=True',
            "        )",
        ]
    return "\n".join([*lines, "    return (pixels / 255 - MEAN) / STD"])
