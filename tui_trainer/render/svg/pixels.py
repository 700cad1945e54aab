"""Pictures of an exhibit as small PNG files.

Source: the PNG specification, https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import base64
import struct
import zlib

from tui_trainer.protocol.exhibit import Picture
from tui_trainer.render.levels import colors_of, levels_of

LEVELS = 32
"""Steps from 0 to the largest magnitude, in either direction of signed numbers."""

GRAYS = 64
"""Steps from the smallest to the largest of other numbers."""

NEGATIVE, POSITIVE, UNKNOWN = (0xF0, 0x8A, 0x24), (0x1F, 0x6F, 0xC4), (0xD0, 0x10, 0x30)
"""The colors of negative numbers, positive numbers and NaN. In grayscale, positive is darker."""

TRUECOLOR, INDEXED = 2, 3
"""The color types of a PNG: red, green and blue of each pixel, or its place in a palette."""

Color = tuple[int, int, int, int]


PIXELS, SMALL_PIXELS = 84, 60
"""The approximate width of a picture on the page; a pixel is scaled by a whole number."""

SMALL = 14
"""The maximum side of a small picture."""


def scale_of(picture: Picture) -> int:
    """Return how many pixels of the page a pixel of a picture is wide."""
    largest = max(picture.width, picture.height, 1)
    return max(1, (SMALL_PIXELS if largest <= SMALL else PIXELS) // largest)


def data_uri(picture: Picture, times: int = 1) -> str:
    """Return a picture as a ``data:`` URI; see :func:`png`."""
    return "data:image/png;base64," + base64.b64encode(png(picture, times)).decode("ascii")


def png(picture: Picture, times: int = 1) -> bytes:
    """Return a picture as a PNG file, ``times`` × ``times`` pixels per pixel.

    In signed pictures 0 is transparent and each sign has a color, more opaque with magnitude. In
    others the smallest number is white and the largest black, like ink on paper. Pictures with
    three channels have their own colors.
    """
    if picture.is_color:
        parts = [bytes(color or UNKNOWN) for color in colors_of(picture)]
        return _file(picture, times, parts, TRUECOLOR)
    colors = _SIGNED if picture.is_signed else _GRAYS
    levels = levels_of(picture, LEVELS if picture.is_signed else GRAYS - 1)
    indices = [bytes((level % len(colors),)) for level in levels]
    palette = _chunk(b"PLTE", bytes(part for color in colors for part in color[:3]))
    opacities = _chunk(b"tRNS", bytes(color[3] for color in colors))
    return _file(picture, times, indices, INDEXED, palette + opacities)


def _file(
    picture: Picture, times: int, pixels: list[bytes], color_type: int, palette: bytes = b""
) -> bytes:
    """Return a PNG file of a picture's pixels, each repeated ``times`` in both directions."""
    rows = b"".join(
        times * (b"\0" + b"".join(pixel * times for pixel in row))
        for row in (
            pixels[start : start + picture.width]
            for start in range(0, len(pixels), max(1, picture.width))
        )
    )
    size = picture.width * times, picture.height * times
    header = struct.pack(">IIBBBBB", *size, 8, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            palette,
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


_SIGNED: list[Color] = [
    *((*NEGATIVE, round(255 * level / LEVELS)) for level in range(LEVELS, 0, -1)),
    (255, 255, 255, 0),
    *((*POSITIVE, round(255 * level / LEVELS)) for level in range(1, LEVELS + 1)),
    (*UNKNOWN, 255),
]

_GRAYS: list[Color] = [
    *((gray, gray, gray, 255) for gray in (255 - 255 * n // (GRAYS - 1) for n in range(GRAYS))),
    (*UNKNOWN, 255),
]
