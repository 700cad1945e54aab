"""One digit among what else a picture has: stains, ruled lines, frames, specks, other digits.

Everything happens on a mask of at most :data:`PIXELS` a side; what is removed there is removed from
the ink.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.ink import thickness
from tui_trainer.data.paper import CLEANABLE, FAINTEST, UnclearError, parting
from tui_trainer.data.regions import Region, grown, holes_of, opened, region_of, regions_of, shrunk
from tui_trainer.text.fmt import plural

PIXELS = 256
"""Pixels of the longer side at which the parts of a picture are looked at."""

INK = 64
"""The grey from which a pixel is ink."""

WIDE = 3
"""What is so many times as wide as the strokes is a stain, if it is also paler than they …"""

PALE = 0.7
"""… by this factor."""

RULED = 0.9
"""A ruled line is as long as this share of the picture, or of all ink …"""

RULED_WIDTH = 0.045
"""… at most so wide, as a share of its length: half of MNIST's finest strokes …"""

CROSSING = 17
"""Pixels of a dot that is no longer a crossing of two lines."""

OVERHANG = 0.8
"""… and what is left without such lines is at most this share of their length."""

FRAMED, FILLING = 0.3, 0.2
"""A frame's hole has so much of the box around all ink, and what it frames so much of the hole's
side."""

GAP = 0.12
"""Parts of one digit are nearer to each other than this share of its longer side …"""

SLIT = 0.03
"""… and two that stand side by side are nearer than this, …"""

BOTH_TALL, BROADER = 0.65, 1.1
"""… where each is so tall, as a share of the taller one, and both are so much broader than tall."""

ANOTHER = 0.35
"""Another digit is at least this share as tall, or as wide, as the largest …"""

ANOTHER_INK = 0.12
"""… and has at least so much of its ink."""

SPECK = 0.02
"""What is apart and has less than this share of the largest part's ink is a speck."""

WIDEST = 2.2
"""How many times as wide as tall a digit is: at most 2.0 in MNIST."""

MOST_HOLES = 5
"""A digit has fewer holes: an 8 has two, and a slip of the pen may add one."""

SOLID, DENSE = 0.5, 0.4
"""A square of this share of a digit's longer side fits into its ink: in no digit of MNIST, and in
one of a thousand."""

OFF = 0.6
"""What runs off the picture and is paler than this share of the darkest ink is not ink."""


def segment_digit(ink: Tensor) -> Tensor:
    """Return the ink (H, W) of the one digit of a picture, as uint8 of the same size.

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
    """Return the ink (H, W) of a coarse mask, with its soft edges, and no other."""
    coarse = _coarse(ink)
    near = grown(mask, max(1, round(thickness(mask) / 2)))
    others = (coarse >= INK) & ~mask
    if not bool(((coarse > FAINTEST) & ~near | others).any()):
        return ink
    return torch.where(_fine(mask | (near & ~grown(others, 1)), ink), ink, 0)


def picture_warnings(ink: Tensor) -> list[str]:
    """Return why a network's answer to the ink (H, W) of a digit may be worth little."""
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
    # A picture cut out along the ink touches them all, and is whole.
    if touched and len(touched) < len(sides):
        warnings.append(f"the ink touches the {' and '.join(touched)} edge: it may be cut off")
    if _has_square(_coarse(ink) >= INK, DENSE):
        warnings.append("its strokes are as wide as in no digit that was trained on")
    return warnings


def _without_stains(ink: Tensor) -> Tensor:
    """Return ink (H, W) less what is wider than any stroke and paler: stains, shadows, folds."""
    scaled = functional.adaptive_avg_pool2d(ink[None].float(), _size(ink))[0]
    strokes = scaled >= max(INK * 2, parting(scaled))
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
    """Return ink (H, W) without pale parts: without a dark pixel, or that run off the picture.

    A digit's own pale strokes stay: they belong to its dark ones, and end on the paper.
    """
    coarse = _coarse(ink)
    dark = parting(ink)
    kept = torch.zeros_like(coarse, dtype=torch.bool)
    for part in regions_of(coarse > FAINTEST):
        own = part.mask & (coarse >= (max(dark, OFF * 255) if part.touches_border else dark))
        if not bool(own.any()):
            continue
        runs_off = part.touches_border and not region_of(own).touches_border
        kept |= part.mask & grown(own, 1) if runs_off else part.mask
    if not bool(((coarse > FAINTEST) & ~kept).any()):
        return ink
    return torch.where(_fine(grown(kept, 1), ink), ink, 0)


def _without_ruled(mask: Tensor) -> Tensor:
    """Return a mask (H, W) without straight thin lines from side to side, if a digit is left."""
    ruled = torch.zeros_like(mask)
    longest = 0
    everything = region_of(mask)
    for flipped in (mask, mask.T):
        extent = everything.width if flipped is mask else everything.height
        # Lines may be slightly tilted: so much thicker, they still hold a straight piece.
        pieces = opened(_taller(flipped).float(), (1, max(3, extent // 5))) > 0
        for line in regions_of(pieces & flipped):
            if line.width < RULED * extent or line.area > RULED_WIDTH * line.width**2:
                continue
            longest = max(longest, line.width)
            thick = round(1.5 * line.area / line.width) + 1
            tall = opened(flipped.float(), (thick + 1, 1)) > 0
            found = line.mask & ~tall
            ruled |= found if flipped is mask else found.T
    # Where two lines cross, a dot is left.
    parts = regions_of(mask & ~ruled, least=CROSSING) if longest else []
    if not parts:
        return mask
    left = torch.stack([part.mask for part in parts]).any(dim=0)
    main = regions_of(grown(left, 2))[0]
    return left if FILLING * longest <= main.size <= OVERHANG * longest else mask


def _taller(mask: Tensor) -> Tensor:
    """Return a mask (H, W) one pixel taller, upwards and downwards."""
    return functional.max_pool2d(mask[None].float(), (3, 1), 1, (1, 0))[0] > 0


def _framed(mask: Tensor) -> Tensor:
    """Return what a frame in a mask (H, W) holds; the mask if there is none.

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

    Small parts beside a digit belong to it if they are near, and are specks if they are not.
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
    """Return the parts of a mask (H, W) that are farther apart than a gap, the largest first."""
    near = max(1, round(gap / 2))
    groups = [region_of(part.mask & mask) for part in regions_of(grown(mask, near))]
    return sorted(groups, key=lambda group: -group.area)


def _side_by_side(parts: list[Region]) -> bool:
    """Whether the two largest parts stand beside each other as two digits do."""
    if len(parts) < 2:
        return False
    one, two = sorted(parts[:2], key=lambda part: part.left)
    tall = max(one.height, two.height)
    is_apart = one.right <= two.left and min(one.height, two.height) >= BOTH_TALL * tall
    return is_apart and two.right - one.left >= BROADER * tall


def _refuse(parts: list[Region]) -> None:
    """Raise an UnclearError unless there is one part with the form of a digit."""
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
    """Whether a square fits into a mask (H, W) with a share of the longer side of its box."""
    reach = int(share * region_of(mask).size / 2)
    return reach > 1 and bool(shrunk(mask, reach).any())


def _coarse(ink: Tensor) -> Tensor:
    """Return ink (H, W) at the resolution of masks; of joined pixels the strongest."""
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
