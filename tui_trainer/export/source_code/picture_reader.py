"""The code that reads pictures in folders of classes, as the run has read them."""

from __future__ import annotations

from tui_trainer.export.source_code.formatting import literal
from tui_trainer.export.source_code.recipe import PictureFolders, Recipe

_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".gif", ".pgm", ".ppm", ".pbm", ".pnm"),
)

_IN_BYTES = '''\
def in_bytes(picture):
    """Return a picture of more than 8 bits as grays of 8 bits."""
    grays = np.nan_to_num(np.asarray(picture.convert("F")), posinf=0.0, neginf=0.0)
    least, most = grays.min(), grays.max()
    if picture.mode.startswith("I") and least >= 0 and most <= 65_535:
        grays = grays / 257 if most > 255 or picture.mode != "I" else grays
    elif least < 0 or most > 255 or most <= 1:
        grays = (grays - least) * (255 / (most - least) if most > least else 0)
    return Image.fromarray(grays.round().astype(np.uint8))'''

_FITS = {
    "crop": "    picture = ImageOps.fit(picture, ({0}, {0}), Image.Resampling.BICUBIC)",
    "stretch": "    picture = picture.resize(({0}, {0}), Image.Resampling.BICUBIC)",
    "pad": """\
    scale = {0} / max(picture.size)
    width, height = (max(1, round(scale * side)) for side in picture.size)
    inner = picture.resize((width, height), Image.Resampling.BICUBIC)
    picture = Image.new(picture.mode, ({0}, {0}))
    picture.paste(inner, (({0} - width) // 2, ({0} - height) // 2))""",
}
_FITTED = {"crop": "cropped to a square", "stretch": "distorted", "pad": "with black bars"}


def pictures_code(recipe: Recipe, files: PictureFolders) -> tuple[list[str], list[str]]:
    """Return the functions and lines that read pictures."""
    started = recipe.started
    helpers = [
        f"SUFFIXES = (\n{''.join(f'    {literal(each)},{chr(10)}' for each in _SUFFIXES)})",
        _IN_BYTES,
        _read_picture(started.image_size, started.channels, files.fit),
        _pictures_in(files),
    ]
    if "test" in files.splits:
        train = [literal(files.splits[each]) for each in ("train", "val") if each in files.splits]
        pairs = " + ".join(f"pictures_in(folder, {each})" for each in train)
        found = (
            "    if is_train:\n"
            f"        found = {pairs}\n"
            "    else:\n"
            f"        found = pictures_in(folder, {literal(files.splits['test'])})"
        )
    else:
        helpers.append(_split_test(files))
        found = "    found = split_test(folder, is_train)"
        if "val" in files.splits:
            val = literal(files.splits["val"])
            found += f"\n    if is_train:\n        found += pictures_in(folder, {val})"
    return helpers, [found, *_LOOP]


_LOOP = (
    "    images, labels = [], []",
    "    for path, label in found:",
    "        try:",
    "            images.append(read_picture(path))",
    "        except (OSError, ValueError, SyntaxError, EOFError) as error:",
    '            print(f"left out: {path}: {error}")',
    "        else:",
    "            labels.append(label)",
    "    return torch.stack(images).to(DEVICE), torch.tensor(labels).to(DEVICE)",
)


def _read_picture(size: int, channels: int, fit: str) -> str:
    shape = f"({size}, {size})" if channels == 1 else f"({channels}, {size}, {size})"
    tail = 'torch.from_numpy(np.array(picture.convert("L")))'
    if channels > 1:
        tail = 'torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)'
    return f'''\
def read_picture(path):
    """Return a picture {shape}: upright, on white, {_FITTED[fit]}."""
    picture = Image.open(path)
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        raise ValueError("is animated, or has pages")
    picture.draft(None, ({2 * size}, {2 * size}))
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        picture = in_bytes(picture)
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    has_alpha = picture.has_transparency_data
    picture = picture.convert("RGBA" if has_alpha else mode)
    if (times := min(picture.size) // {2 * size}) > 1:
        picture = picture.reduce(times)
    if has_alpha:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert(mode)
{_FITS[fit].format(size)}
    return {tail}'''


def _pictures_in(files: PictureFolders) -> str:
    is_plain = all(name.isascii() for name in files.classes)
    match = "    place = Path(folder) / split\n"
    inner = "place / name"
    if not is_plain:
        match += (
            "    # Some systems store a letter and its accent as two characters.\n"
            "    named = {\n"
            '        unicodedata.normalize("NFC", path.name): path for path in place.iterdir()\n'
            "    }\n"
        )
        inner = "named.get(name, place / name)"
    return f'''\
def pictures_in(folder, split):
    """Return the pictures of a split with the numbers of their classes, sorted."""
{match}    found = []
    for label, name in enumerate(CLASSES):
        paths = ({inner}).rglob("[!.]*")
        found += [
            (path, label)
            for path in sorted(paths, key=str)
            if path.suffix.lower() in SUFFIXES and path.stat().st_size
        ]
    return found'''


def _split_test(files: PictureFolders) -> str:
    train = literal(files.splits["train"])
    return f'''\
def split_test(folder, is_train):
    """Return the pictures for training, or one in six of each class for the test.

    The choice depends on the names alone: these are the pictures of the run.
    """

    def rank(path):
        name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()

    found = pictures_in(folder, {train})
    test = set()
    for label in range(len(CLASSES)):
        paths = sorted((path for path, each in found if each == label), key=rank)
        test.update(paths[: max(len(paths) // 6, 1) if len(paths) > 1 else 0])
    return [(path, label) for path, label in found if (path in test) != is_train]'''
