"""Segment one digit from stains, ruled lines, frames, specks and other digits.

Everything works on a mask of at most :data:`PIXELS` a side; what is removed there is removed from
the ink.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.ink import thickness
from tui_trainer.data.paper import CLEANABLE, FAINTEST, UnclearError, otsu_threshold
from tui_trainer.data.regions import Region, grown, holes_of, opened, region_of, regions_of, shrunk
from tui_trainer.text.fmt import plural

PIXELS = 256
"""Pixels of the longer side at which a picture is segmented."""

INK = 64
"""The least gray of an ink pixel."""

WIDE = 3
"""A part so many times as wide as the strokes is a stain, if it is also paler …"""

PALE = 0.7
"""… by this factor."""

RULED = 0.9
"""A ruled line has at least this share of the extent of all ink …"""

RULED_WIDTH = 0.045
"""… and at most this width, as a share of its length: half of MNIST's finest strokes …"""

CROSSING = 17
"""The least pixels of a dot that is not the crossing of two lines."""

OVERHANG = 0.8
"""… and what remains without such lines has at most this share of their length."""

FRAMED, FILLING = 0.3, 0.2
"""The hole of a frame has at least this share of the bounding box of all ink, and the ink in it
this share of the hole's side."""

GAP = 0.12
"""Parts of one digit are nearer to each other than this share of its longer side …"""

SLIT = 0.03
"""… and two that are side by side are nearer than this, …"""

BOTH_TALL, BROADER = 0.65, 1.1
"""… if each has this share of the height of the taller one, and both are so much wider than
tall."""

ANOTHER = 0.35
"""Another digit has at least this share of the size of the largest …"""

ANOTHER_INK = 0.12
"""… and at least this share of its ink."""

SPECK = 0.02
"""A separate part with less than this share of the ink of the largest is a speck."""

WIDEST = 2.2
"""The largest ratio of width to height of a digit: 2.0 in MNIST."""

MOST_HOLES = 5
"""A digit has fewer holes: an 8 has two, and a slip of the pen can add one."""

SOLID, DENSE = 0.5, 0.4
"""The share of a digit's longer side of a square that fits into its ink: in no MNIST digit, and in
one of a thousand."""

OFF = 0.6
"""A part at the border of the picture that is paler than this share of the darkest is not ink."""


def segment_digit(ink: Tensor) -> Tensor:
    """Return the ink (H, W) of the single digit in a picture, as uint8 of the same size.

    Raises:
        UnclearError: If there is no such digit, or more than one.
    """
    if max(ink.shape) < CLEANABLE:
        _refuse([region_of(ink >= INK)])
        return ink
    ink = _without_pale(ink)
    ink = _kept(ink, _framed(_without_ruled(_framed(_coarse(ink) >= INK))))
    ink = _without_stains(ink)
    parts = _digits(_coarse(ink) >= INK)
    _refuse(parts)
    return _kept(ink, parts[0].mask)


def _kept(ink: Tensor, mask: Tensor) -> Tensor:
    """Return the ink (H, W) of a coarse mask with its soft edges, and no other ink."""
    coarse = _coarse(ink)
    near = grown(mask, max(1, round(thickness(mask) / 2)))
    others = (coarse >= INK) & ~mask
    if not bool(((coarse > FAINTEST) & ~near | others).any()):
        return ink
    return torch.where(_fine(mask | (near & ~grown(others, 1)), ink), ink, 0)


def picture_warnings(ink: Tensor) -> list[str]:
    """Return the reasons for which a prediction for the ink (H, W) of a digit is unreliable."""
    box = region_of(ink > 0)
    height, width = ink.shape
    sides = {
        "upper": box.top == 0,
        "left": box.left == 0,
        "lower": box.bottom == height,
        "right": box.right == width,
    }
    warnings = []
    touched = [side for side, touches in sides.items() if touches]
    # A picture cropped to the ink touches all four, and is complete.
    if touched and len(touched) < len(sides):
        warnings.append(
            f"the ink touches the {' and '.join(touched)} edge: part of it may be missing"
        )
    if _has_square(_coarse(ink) >= INK, DENSE):
        warnings.append("its strokes are wider than in any training digit")
    return warnings


def _without_stains(ink: Tensor) -> Tensor:
    """Remove from ink (H, W) what is wider and paler than any stroke: stains, shadows, folds."""
    scaled = functional.adaptive_avg_pool2d(ink[None].float(), _size(ink))[0]
    strokes = scaled >= max(INK * 2, otsu_threshold(scaled))
    window = 2 * round(WIDE * thickness(strokes) / 2) + 1
    if window >= min(scaled.shape):
        return ink
    wide = opened(scaled, (window, window))
    if not FAINTEST <= float(wide.max()) <= PALE * 255:
        return ink
    wide = functional.interpolate(wide[None, None], ink.shape, mode="bilinear")[0, 0]
    left = (ink - wide).clamp(min=0)
    return (left * (255 / left.max())).round().to(torch.uint8)


def _without_pale(ink: Tensor) -> Tensor:
    """Remove from ink (H, W) the parts without a dark pixel, and pale ones at the border.

    Pale strokes of a digit stay: they are connected to its dark ones, and end on the paper.
    """
    coarse = _coarse(ink)
    dark = otsu_threshold(ink)
    kept = torch.zeros_like(coarse, dtype=torch.bool)
    for part in regions_of(coarse > FAINTEST):
        dark_part = part.mask & (coarse >= (max(dark, OFF * 255) if part.touches_border else dark))
        if not bool(dark_part.any()):
            continue
        runs_off = part.touches_border and not region_of(dark_part).touches_border
        kept |= part.mask & grown(dark_part, 1) if runs_off else part.mask
    if not bool(((coarse > FAINTEST) & ~kept).any()):
        return ink
    return torch.where(_fine(grown(kept, 1), ink), ink, 0)


def _without_ruled(mask: Tensor) -> Tensor:
    """Remove from a mask (H, W) straight thin lines from side to side, if a digit remains."""
    ruled = torch.zeros_like(mask)
    longest = 0
    everything = region_of(mask)
    for flipped in (mask, mask.T):
        extent = everything.width if flipped is mask else everything.height
        # A slightly tilted line still contains a straight piece once it is this much thicker.
        pieces = opened(_taller(flipped).float(), (1, max(3, extent // 5))) > 0
        for line in regions_of(pieces & flipped):
            if line.width < RULED * extent or line.area > RULED_WIDTH * line.width**2:
                continue
            longest = max(longest, line.width)
            thick = round(1.5 * line.area / line.width) + 1
            tall = opened(flipped.float(), (thick + 1, 1)) > 0
            found = line.mask & ~tall
            ruled |= found if flipped is mask else found.T
    # Where two lines cross, a dot remains.
    parts = regions_of(mask & ~ruled, least=CROSSING) if longest else []
    if not parts:
        return mask
    left = torch.stack([part.mask for part in parts]).any(dim=0)
    main = regions_of(grown(left, 2))[0]
    return left if FILLING * longest <= main.size <= OVERHANG * longest else mask


def _taller(mask: Tensor) -> Tensor:
    """Grow a mask (H, W) by one pixel upwards and downwards."""
    return functional.max_pool2d(mask[None].float(), (3, 1), 1, (1, 0))[0] > 0


def _framed(mask: Tensor) -> Tensor:
    """Return the content of a frame in a mask (H, W); the mask without a frame.

    Raises:
        UnclearError: If there are several frames side by side.
    """
    held: list[tuple[Region, Tensor]] = []
    for frame in regions_of(grown(mask, 1), least=16):
        least = max(9, int(FRAMED / 4 * frame.height * frame.width))
        for hole in holes_of(frame.mask, least=least):
            inside = hole.mask & mask
            is_new = not any(bool((hole.mask & other.mask).any()) for other, _ in held)
            if is_new and bool(inside.any()) and region_of(inside).size >= FILLING * hole.size:
                held.append((hole, inside))
    if not held:
        return mask
    held.sort(key=lambda pair: -pair[0].area)
    largest = held[0][0].area
    alike = [hole for hole, _ in held if hole.area >= FRAMED * largest]
    if len(alike) > 1:
        raise UnclearError(
            f"holds {plural(len(alike), 'frame')} with ink in each; crop it to one digit"
        )
    everything = region_of(mask)
    if largest < FRAMED * everything.height * everything.width:
        return mask
    return _framed(held[0][1])


def _digits(mask: Tensor) -> list[Region]:
    """Return the parts of a mask (H, W) that could each be a digit, the largest first.

    Small parts next to a digit belong to it if they are near; otherwise they are specks.
    """
    parts = regions_of(mask)
    specks = [part.mask for part in parts if part.area < SPECK * parts[0].area]
    if specks:
        mask = mask & ~torch.stack(specks).any(dim=0)
    groups = _groups(mask, GAP * parts[0].size)
    if len(groups) == 1:
        close = _groups(mask, SLIT * groups[0].height)
        if _side_by_side(close):
            return close[:2]
    most = groups[0]
    return [most] + [
        group
        for group in groups[1:]
        if group.area >= ANOTHER_INK * most.area and group.size >= ANOTHER * most.size
    ]


def _groups(mask: Tensor, gap: float) -> list[Region]:
    """Return the parts of a mask (H, W) that are separated by a gap, the largest first."""
    near = max(1, round(gap / 2))
    groups = [region_of(part.mask & mask) for part in regions_of(grown(mask, near))]
    return sorted(groups, key=lambda group: -group.area)


def _side_by_side(parts: list[Region]) -> bool:
    """Return whether the two largest parts are side by side like two digits."""
    if len(parts) < 2:
        return False
    one, two = sorted(parts[:2], key=lambda part: part.left)
    tall = max(one.height, two.height)
    is_apart = one.right <= two.left and min(one.height, two.height) >= BOTH_TALL * tall
    return is_apart and two.right - one.left >= BROADER * tall


def _refuse(parts: list[Region]) -> None:
    """Raise an UnclearError unless there is one part with the shape of a digit."""
    if len(parts) > 1:
        raise UnclearError(f"holds {len(parts)} separate shapes; crop it to one digit")
    part = parts[0]
    if part.width > WIDEST * part.height and part.height > 1:
        times = part.width / part.height
        raise UnclearError(
            f"holds a shape {times:.1f} times as wide as tall, which no digit is;"
            " crop it to one digit"
        )
    holes = holes_of(part.mask, least=max(4, part.height * part.width // 400))
    if len(holes) >= MOST_HOLES:
        raise UnclearError(
            f"holds lines or a pattern around {len(holes)} areas, not one digit;"
            " crop it to the digit, on blank paper"
        )
    if _has_square(part.mask, SOLID):
        raise UnclearError("holds a solid shape without strokes, not a digit")


def _has_square(mask: Tensor, share: float) -> bool:
    """Return whether a square with this share of the longer side of its box fits into a mask."""
    reach = int(share * region_of(mask).size / 2)
    return reach > 1 and bool(shrunk(mask, reach).any())


def _coarse(ink: Tensor) -> Tensor:
    """Return ink (H, W) at the resolution of masks: the maximum of joined pixels."""
    times = _times(ink)
    return functional.max_pool2d(ink[None].float(), times, ceil_mode=True)[0]


def _fine(mask: Tensor, ink: Tensor) -> Tensor:
    """Return a coarse mask at the resolution of ink (H, W)."""
    times = _times(ink)
    fine = mask.repeat_interleave(times, 0).repeat_interleave(times, 1)
    return fine[: ink.shape[0], : ink.shape[1]]


def _times(ink: Tensor) -> int:
    return -(-max(ink.shape) // PIXELS)


def _size(ink: Tensor) -> tuple[int, int]:
    height, width = (-(-side // _times(ink)) for side in ink.shape)
    return height, width
