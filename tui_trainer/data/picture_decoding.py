"""Decode picture files that nobody has checked, with limits; nothing in them is executed."""

from __future__ import annotations

import ctypes
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.recording.atomic import read_at_most

MAX_BYTES = 1 << 28
"""The largest file that is read."""

MAX_PIXELS = 64_000_000
"""The largest picture that is decoded; the size is in its header."""

MAX_SCANS = 100
"""The most scans of a progressive JPEG, each of which takes time for every pixel; ten are usual."""

ONE_OF_MANY = ("MPO", "PSD", "ICO", "ICNS")
"""Formats whose further frames belong to the first: another eye, a layer, another size."""

GRAYS = ("1", "L", "LA", "La")
"""Modes of pictures of at most 8 bits without colors."""


@contextmanager
def without_warnings() -> Iterator[None]:
    """Disable Pillow's warnings and its size limit: this module checks the size itself."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def opened(path: Path, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Return a picture of which only the header is read.

    Args:
        path: The file.
        formats: The names of the formats as in Pillow; None allows all that it can read.

    Raises:
        InputError: If it is unusable; the message starts with the path.
    """
    content = read_at_most(path, MAX_BYTES)
    if not content:
        raise path_error(path, "is empty")
    if len(content) > MAX_BYTES:
        raise path_error(path, f"is larger than {MAX_BYTES >> 20} MiB")
    Image.init()  # otherwise Pillow knows only some of the formats
    try:
        picture = Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError:
        raise path_error(
            path, "is not a picture in a known format; convert it to PNG or JPEG"
        ) from None
    except Exception as error:
        raise path_error(path, f"is damaged, or not a picture: {reason(error)}") from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        raise path_error(path, f"has {width:,}×{height:,} pixels; {most} million can be read")
    # In the data of a scan, a zero follows each byte ff: this is the marker of a scan.
    if picture.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > MAX_SCANS:
        raise path_error(path, f"is a JPEG of more than {MAX_SCANS} scans; save it again")
    if picture.format == "TIFF":
        _quiet_libtiff()
    if picture.format == "EPS":
        raise path_error(path, "is a PostScript program, not a picture")
    try:
        is_single = picture.format in ONE_OF_MANY or not _has_second_frame(picture)
    except (Exception, MemoryError) as error:
        raise damaged(path, error) from None
    if not is_single:
        raise path_error(path, "is animated, or has pages; give a single frame")
    return picture


def damaged(path: Path, error: BaseException) -> InputError:
    """Return the error about a picture that cannot be decoded."""
    return path_error(path, f"is damaged, or not whole: {reason(error)}")


@cache
def _quiet_libtiff() -> None:
    """Keep libtiff from printing errors to the terminal; Pillow raises them, too."""
    with suppress(OSError, AttributeError):  # a Pillow whose libtiff cannot be reached prints them
        pillow = find_spec("PIL._imaging")
        library = ctypes.CDLL(None if pillow is None else pillow.origin)
        for setter in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


def _has_second_frame(picture: Image.Image) -> bool:
    # Counting all frames takes minutes if a file has millions of them.
    try:
        picture.seek(1)
    except EOFError:
        return False
    return True


def on_white(
    picture: Image.Image, at_least: tuple[int, int]
) -> tuple[Image.Image, Image.Image | None]:
    """Return a picture upright and on white, and its alpha channel (``L``) if it has one.

    Its mode is ``L`` or ``RGB``.

    Args:
        picture: From :func:`opened`.
        at_least: A larger picture is reduced by a whole factor that leaves so many pixels, width
            and height; a JPEG before it is decoded.

    Raises:
        Exception: Any, if the picture is damaged: a decoder can raise anything.
    """
    picture.draft(None, at_least)
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith(("I", "F")):
        return _reduced(_deep(picture), at_least), None
    if picture.has_transparency_data:
        is_gray = picture.mode in GRAYS
        picture = _reduced(picture.convert("RGBA"), at_least)
        white = Image.new("RGBA", picture.size, "white")
        seen = Image.alpha_composite(white, picture).convert("L" if is_gray else "RGB")
        return seen, picture.getchannel("A")
    return _reduced(in_mode(picture, "L" if picture.mode in GRAYS else "RGB"), at_least), None


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Return a picture in another mode, or itself; Pillow would copy it."""
    return picture if picture.mode == mode else picture.convert(mode)


def _reduced(picture: Image.Image, at_least: tuple[int, int]) -> Image.Image:
    times = min(picture.width // at_least[0], picture.height // at_least[1])
    return picture.reduce(times) if times > 1 else picture


def _deep(picture: Image.Image) -> Image.Image:
    """Return the grays of a picture of more than 8 bits, whose range is not standardized."""
    # With numpy: a parallel operation of torch on another thread would start more threads.
    grays = np.nan_to_num(np.asarray(picture.convert("F")), nan=0.0, posinf=0.0, neginf=0.0)
    least, most = float(grays.min()), float(grays.max())
    if picture.mode.startswith("I") and least >= 0 and most <= 65_535:
        grays = grays / 257 if most > 255 or picture.mode != "I" else grays
    elif least < 0 or most > 255 or most <= 1:
        grays = (grays - least) * (255 / (most - least) if most > least else 0.0)
    return Image.fromarray(grays.round().astype(np.uint8))
