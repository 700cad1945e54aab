"""Maps of numbers as small PNG files.

Source: the PNG specification, https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib

from tui_trainer.protocol.exhibit import Picture

LEVELS = 32
"""Steps from nothing to the most, in either direction of signed numbers."""

GREYS = 64
"""Steps from the least to the largest of other numbers."""

NEGATIVE, POSITIVE, UNKNOWN = (0xF0, 0x8A, 0x24), (0x1F, 0x6F, 0xC4), (0xD0, 0x10, 0x30)
"""The colours of what is below 0, above it, and no number. Printed in greys, positive is darker."""

Colour = tuple[int, int, int, int]


def data_uri(picture: Picture) -> str:
    """Return a picture as an address that holds it whole."""
    return "data:image/png;base64," + base64.b64encode(png(picture)).decode("ascii")


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file, a pixel a number.

    Of signed numbers 0 is transparent, and either sign has a colour, the more the larger it is. Of
    others the least is white and the largest is black, as ink on paper.
    """
    place = _signed_place if picture.is_signed else _grey_place
    places = [place(value, picture) for value in picture.values]
    rows = b"".join(
        b"\0" + bytes(places[start : start + picture.width])
        for start in range(0, len(places), max(1, picture.width))
    )
    colours = _SIGNED if picture.is_signed else _GREYS
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", bytes(part for colour in colours for part in colour[:3])),
            _chunk(b"tRNS", bytes(colour[3] for colour in colours)),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


_SIGNED: list[Colour] = [
    *((*NEGATIVE, round(255 * level / LEVELS)) for level in range(LEVELS, 0, -1)),
    (255, 255, 255, 0),
    *((*POSITIVE, round(255 * level / LEVELS)) for level in range(1, LEVELS + 1)),
    (*UNKNOWN, 255),
]

_GREYS: list[Colour] = [
    *((grey, grey, grey, 255) for grey in (255 - 255 * n // (GREYS - 1) for n in range(GREYS))),
    (*UNKNOWN, 255),
]


def _signed_place(value: float, picture: Picture) -> int:
    """Return the place of a number's colour among those of signed ones."""
    if math.isnan(value):
        return len(_SIGNED) - 1
    most = max(-picture.low, picture.high)
    share = value / most if most > 0 else 0.0
    return LEVELS + round(LEVELS * min(1.0, max(-1.0, share)))


def _grey_place(value: float, picture: Picture) -> int:
    """Return the place of a number's colour among the greys."""
    if math.isnan(value):
        return len(_GREYS) - 1
    span = picture.high - picture.low
    share = min(1.0, max(0.0, (value - picture.low) / span)) if span > 0 else 0.0
    return round((GREYS - 1) * share)
