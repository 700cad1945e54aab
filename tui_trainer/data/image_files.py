"""Read pictures from files as ink: any size, dark on light or light on dark.

The gray along the border is paper. Ink is darker or lighter than paper, whichever differs more. In
a photograph, uneven lighting of the paper is subtracted first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from tui_trainer.data.paper import AUTO, LIGHT, UnclearError, grays_of, ink_of, sheet_of
from tui_trainer.data.picture_decoding import damaged, on_white, opened, without_warnings
from tui_trainer.data.segmentation import segment_digit
from tui_trainer.protocol.errors import path_error, reason

ENOUGH = 1_024
"""Larger pictures are reduced at once; pixels of the longer side."""

DARK_ALL_OVER = 96
"""A picture without contrast that is darker than this may be all ink."""

DEEPEST_FOLDER = 32
"""Folders inside one another that are searched for pictures."""

DEEPEST = 3
"""Nested sheets: a card on a page on a table."""

LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF")
"""Formats that leave faint traces around ink."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture in a file.

    Attributes:
        path: The file.
        label: The number of its class, if it is in a folder with the name of a class.
    """

    path: Path
    label: int | None = None


def files_of(
    place: Path, class_number: Callable[[str], int | None] = lambda name: None
) -> list[PictureFile]:
    """Return a file, or the pictures in a folder by their suffixes, sorted.

    Where a folder has no pictures, they are those in its subfolders. The first of them that has the
    name of a class is the class of its pictures. Links to folders are not followed.

    Args:
        place: The file or the folder.
        class_number: Returns the number of the class with a name; None if there is none.

    Raises:
        InputError: If a folder cannot be read, or has no pictures.
    """
    try:
        if not place.is_dir():
            return [PictureFile(place)]
        Image.init()
        found = [PictureFile(path) for path in _pictures(place)]
        if not found:
            found = list(_in_subfolders(place, class_number, None))
    except (OSError, ValueError) as error:
        raise path_error(place, f"cannot be read: {reason(error)}") from None
    if not found:
        raise path_error(place, "is a folder without pictures")
    return found


def _in_subfolders(
    place: Path, class_number: Callable[[str], int | None], label: int | None, depth: int = 0
) -> Iterator[PictureFile]:
    for folder in sorted(each for each in place.iterdir() if each.is_dir()):
        if folder.name.startswith(".") or folder.is_symlink():
            continue
        here = class_number(folder.name) if label is None else label
        yield from (PictureFile(path, here) for path in _pictures(folder))
        if depth < DEEPEST_FOLDER:
            yield from _in_subfolders(folder, class_number, here, depth + 1)


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        each
        for each in folder.iterdir()
        if each.suffix.lower() in Image.EXTENSION
        and not each.name.startswith(".")
        and not each.is_dir()
    )


def read_ink(path: Path, ink: str = AUTO, *, is_whole: bool = False) -> Tensor:
    """Return the ink of the digit in a picture (H, W) as uint8: 0 is paper, 255 the strongest ink.

    A sheet on another background is cropped; frames, ruled lines, stains and specks are removed. A
    transparent picture is composited on white; if nothing is visible then, its opaque part is ink.

    Args:
        path: The file.
        ink: One of :data:`INKS`.
        is_whole: Return all ink of the whole picture.

    Raises:
        InputError: If it is not a picture, too large, damaged, or has no ink or not one digit.
    """
    with without_warnings():
        file = opened(path)
        try:
            picture, opaque = _decoded(file)
        except (Exception, MemoryError) as error:  # a decoder can raise anything
            raise damaged(path, error) from None
    if opaque is not None and not bool(opaque.any()):
        raise path_error(path, "is fully transparent: there is nothing to see")
    is_clean = file.format not in LOSSY
    try:
        found = _found(picture, ink, is_clean=is_clean, is_whole=is_whole)
        if found is None and opaque is not None:
            found = _found(opaque, LIGHT, is_clean=True, is_whole=is_whole)
    except UnclearError as error:
        raise path_error(path, str(error)) from None
    if found is None:
        raise path_error(path, _blank(picture, ink))
    return found


def _blank(picture: Tensor, ink: str) -> str:
    """Return the message for a picture (C, H, W) that has no ink, or only ink."""
    what = "ink" if ink == AUTO else f"{ink} ink"
    is_full = ink == AUTO and float(picture.max()) < DARK_ALL_OVER
    return f"is blank: there is no {what} in it{', or no paper around it' if is_full else ''}"


def _found(picture: Tensor, ink: str, *, is_clean: bool, is_whole: bool) -> Tensor | None:
    """Return the ink (H, W) in a picture (C, H, W), as :func:`read_ink` does; None if it is blank.

    Raises:
        UnclearError: If there is no single digit.
    """
    if is_whole:
        return ink_of(grays_of(picture), ink, is_clean=is_clean)
    for _ in range(DEEPEST):
        sheet = sheet_of(picture, ink)
        if sheet is None:
            break
        picture, is_clean = sheet, False
    found = ink_of(grays_of(picture), ink, is_clean=is_clean)
    return None if found is None else segment_digit(found)


def _decoded(file: Image.Image) -> tuple[Tensor, Tensor | None]:
    """Return a picture on white, and its alpha channel if it has one; both (C, H, W), 0 to 255."""
    picture, alpha = on_white(file, (ENOUGH, ENOUGH))
    return _tensor(_smaller(picture)), None if alpha is None else _tensor(_smaller(alpha))


def _smaller(picture: Image.Image) -> Image.Image:
    """Reduce a picture by a whole factor, to less than twice ``ENOUGH`` pixels."""
    times = max(picture.size) // ENOUGH
    return picture.reduce(times) if times > 1 else picture


def _tensor(picture: Image.Image) -> Tensor:
    """Return the channels of a picture (C, H, W) as floats."""
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(picture.height, picture.width, -1).permute(2, 0, 1).to(torch.float32)
