"""Pictures from files as ink: any size, dark on light or light on dark.

Paper is the grey along the border. Ink is what differs from it: to the darker or to the lighter
side, whichever goes further. Of a photograph, the paper's shades are taken off first.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from tui_trainer.engine.faults import counted, fault, reason
from tui_trainer.run.errors import InputError
from tui_trainer.run.files import read_at_most

AUTO, DARK, LIGHT = "auto", "dark", "light"
INKS = (AUTO, DARK, LIGHT)
"""What is ink: told by the border, or what is darker, or lighter, than the paper."""

MAX_BYTES = 1 << 28
"""The largest file that is read."""

MAX_PIXELS = 64_000_000
"""The largest picture that is decoded; its header tells the size."""

ENOUGH = 1_024
"""Larger pictures are made smaller at once, in pixels of the longer side."""

FAINTEST = 20
"""Ink that is not as far from the paper, of 255 greys, is none …"""

ABOVE_GRAIN = 6
"""… nor if it is not so many times as far as the paper's grain goes, by standard deviations."""

GRAINY = 100
"""A photograph of so many pixels, or more, is smoothed by one."""

COARSE = 48
"""Pixels of the longer side at which the shades of a paper are looked at."""

BORDER = 0.04
"""The border's width, as a share of the shorter side."""

LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF")
"""Formats that leave faint traces around ink."""

ONE_OF_MANY = ("MPO", "PSD", "ICO", "ICNS")
"""Formats whose other frames belong to the first one: another eye, a layer, another size."""


def files_of(path: Path) -> list[Path]:
    """Return a file, or the pictures right in a folder by their names' endings, sorted.

    Raises:
        InputError: If the folder cannot be read, or there is none in it.
    """
    try:
        if not path.is_dir():
            return [path]
        Image.init()
        found = sorted(
            each
            for each in path.iterdir()
            if each.suffix.lower() in Image.EXTENSION and not each.name.startswith(".")
        )
    except (OSError, ValueError) as error:
        raise fault(path, f"cannot be read: {reason(error)}") from None
    if not found:
        raise fault(path, "is a folder without pictures")
    return found


def read_ink(path: Path, ink: str = AUTO) -> Tensor:
    """Return the ink of a picture (H, W) as uint8: 0 for paper, 255 for the strongest ink.

    A transparent picture is laid on white; if nothing is to be seen then, its opaque part is ink.

    Args:
        path: The file.
        ink: One of :data:`INKS`.

    Raises:
        InputError: If it is no picture, too large, damaged, or has no ink; in one line.
    """
    with _in_silence():
        picture = _opened(path)
        try:
            greys, opaque = _decoded(picture)
        except InputError:
            raise
        except (Exception, MemoryError) as error:  # whatever a decoder trips over
            raise fault(path, f"is damaged, or not whole: {reason(error)}") from None
    if opaque is not None and not bool(opaque.any()):
        raise fault(path, "is fully transparent: there is nothing to see")
    found = _ink_of(greys, ink, is_clean=picture.format not in LOSSY)
    if found is None and opaque is not None:
        found = _ink_of(opaque, LIGHT, is_clean=True)
    if found is None:
        raise fault(path, f"is blank: there is no {'ink' if ink == AUTO else f'{ink} ink'} in it")
    return found


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keep Pillow from warning, and from judging sizes: that is done here, and told in words."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _opened(path: Path) -> Image.Image:
    """Return a picture of which only the header is read.

    Raises:
        InputError: If it cannot be used.
    """
    try:
        content = read_at_most(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise fault(path, f"cannot be read: {reason(error)}") from None
    if not content:
        raise fault(path, "is empty")
    if len(content) > MAX_BYTES:
        raise fault(path, f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        picture = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise fault(path, "is no picture of a known format") from None
    except Exception as error:
        raise fault(path, f"is damaged, or no picture: {reason(error)}") from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        raise fault(path, f"has {width:,}×{height:,} pixels; {most} million can be read")
    if picture.format == "EPS":
        raise fault(path, "is a PostScript program, not a picture")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format not in ONE_OF_MANY:
        raise fault(path, f"is animated, or has pages: {counted(frames, 'frame')}; give one alone")
    return picture


def _decoded(picture: Image.Image) -> tuple[Tensor, Tensor | None]:
    """Return a picture's greys (H, W), 0 to 255, on white, and how opaque it is where it is not."""
    picture.draft("L", (ENOUGH, ENOUGH))
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        return _deep(picture), None
    if not picture.has_transparency_data:
        return _tensor(_smaller(picture.convert("L"))), None
    picture = _smaller(picture.convert("RGBA"))
    white = Image.new("RGBA", picture.size, "white")
    opaque = _tensor(picture.getchannel("A"))
    return _tensor(Image.alpha_composite(white, picture).convert("L")), opaque


def _deep(picture: Image.Image) -> Tensor:
    """Return the greys of a picture of more than 8 bits; its numbers can mean anything."""
    greys = torch.frombuffer(bytearray(picture.convert("F").tobytes()), dtype=torch.float32)
    greys = greys.view(picture.height, picture.width).nan_to_num(0.0, 0.0, 0.0)
    least, most = float(greys.min()), float(greys.max())
    if picture.mode.startswith("I") and least >= 0 and most <= 65_535:
        greys = greys / 257 if most > 255 or picture.mode != "I" else greys
    elif least < 0 or most > 255 or most <= 1:
        greys = (greys - least) * (255 / (most - least) if most > least else 0.0)
    pixels = greys.round().to(torch.uint8).numpy().tobytes()
    return _tensor(_smaller(Image.frombytes("L", picture.size, pixels)))


def _smaller(picture: Image.Image) -> Image.Image:
    """Return a picture with pixels joined until it is not much larger than is of use."""
    times = max(picture.size) // ENOUGH
    return picture.reduce(times) if times > 1 else picture


def _tensor(picture: Image.Image) -> Tensor:
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(picture.height, picture.width)


def _ink_of(greys: Tensor, ink: str, *, is_clean: bool) -> Tensor | None:
    """Return the ink (H, W) of greys on paper; None if there is none.

    Where the border is not of one grey, or the format lossy, the paper has shades and grain.
    """
    border = _border(greys)
    middle = border.median()
    is_clean &= float((border == middle).float().mean()) >= 0.5
    greys, paper = greys.to(torch.float32), middle.to(torch.float32)
    if not is_clean and min(greys.shape) >= GRAINY:
        greys = functional.avg_pool2d(greys[None], 3, 1, 1, count_include_pad=False)[0]
    is_dark = paper - greys.min() >= greys.max() - paper if ink == AUTO else ink == DARK
    if not is_clean:
        paper = _shades(greys, is_dark=bool(is_dark))
    found = paper - greys if is_dark else greys - paper
    edge = _border(found)
    grain = 0.0 if is_clean else 1.48 * float((edge - edge.median()).abs().median())
    most = float(found.max())
    if most < max(FAINTEST, ABOVE_GRAIN * grain):
        return None
    found = found.clamp(min=0) * (255 / most)
    if not is_clean:
        found[found < _parting(found) / 2] = 0
    return found.round().to(torch.uint8)


def _shades(greys: Tensor, *, is_dark: bool) -> Tensor:
    """Return the paper's own grey at each pixel (H, W): the picture without what is narrow.

    It is a morphological closing of dark ink, or an opening of light ink, at a coarse resolution,
    with a window of a third of the picture: wider than any stroke.
    """
    height, width = greys.shape
    rows, columns = (max(1, round(n * COARSE / max(height, width))) for n in (height, width))
    paper = functional.adaptive_avg_pool2d(
        greys[None] if is_dark else -greys[None], (rows, columns)
    )
    window = COARSE // 6
    paper = functional.max_pool2d(paper, 2 * window + 1, 1, window)
    paper = -functional.max_pool2d(-paper, 2 * window + 1, 1, window)
    paper = functional.avg_pool2d(paper, 5, 1, 2, count_include_pad=False)
    paper = functional.interpolate(paper[None], (height, width), mode="bilinear")[0, 0]
    return paper if is_dark else -paper


def _border(greys: Tensor) -> Tensor:
    """Return the pixels along the four sides of a picture, as one row."""
    height, width = greys.shape
    wide = max(1, round(BORDER * min(height, width)))
    inner = torch.zeros(height, width, dtype=torch.bool)
    inner[wide : height - wide, wide : width - wide] = True
    return greys[~inner]


def _parting(ink: Tensor) -> float:
    """Return the grey that parts a picture (H, W) into two kinds of pixels that differ most.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
    Systems, Man, and Cybernetics 9 (1979), 62-66.
    """
    share = torch.bincount(ink.round().to(torch.int64).flatten(), minlength=256).to(torch.float64)
    share /= share.sum()
    below = share.cumsum(0)
    mass = (share * torch.arange(256, dtype=torch.float64)).cumsum(0)
    apart = (mass[-1] * below - mass) ** 2 / (below * (1 - below)).clamp(min=1e-12)
    return float(apart.argmax())
