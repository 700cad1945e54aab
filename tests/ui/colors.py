"""Measures of colors: contrast, and how far two of them are apart for any eyes."""

from __future__ import annotations

import itertools
import math

from textual.color import Color

CURVES = ("role-train", "role-validation", "role-test", "role-intervention")
SEVERITIES = ("role-ok", "role-warning", "role-error")

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15(6), 2009: the matrices of severity 1.0, for linear RGB.
DEFICIENCIES: dict[str, Matrix] = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# Ottosson, "A perceptual color space for image processing", 2020: linear RGB to OKLab.
TO_CONES: Matrix = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_OKLAB: Matrix = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def times(matrix: Matrix, vector: Vector) -> Vector:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def linear(text: str) -> Vector:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in Color.parse(text).normalized
    )
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    weights = (0.2126, 0.7152, 0.0722)
    dark, light = sorted(
        sum(w * part for w, part in zip(weights, linear(text), strict=True))
        for text in (one, other)
    )
    return (light + 0.05) / (dark + 0.05)


def oklab(text: str, deficiency: str | None = None) -> Vector:
    seen = linear(text)
    if deficiency is not None:
        red, green, blue = times(DEFICIENCIES[deficiency], seen)
        seen = (min(1, max(0, red)), min(1, max(0, green)), min(1, max(0, blue)))
    long, medium, short = times(TO_CONES, seen)
    return times(TO_OKLAB, (math.cbrt(long), math.cbrt(medium), math.cbrt(short)))


def nearest(
    roles: dict[str, str], compared: tuple[str, ...], deficiency: str | None = None
) -> tuple[float, str]:
    """The pair of roles that look most alike: their distance in OKLab and their names."""
    return min(
        (math.dist(oklab(roles[a], deficiency), oklab(roles[b], deficiency)), f"{a} and {b}")
        for a, b in itertools.combinations(compared, 2)
    )


def hue(text: str) -> float:
    _, a, b = oklab(text)
    return math.degrees(math.atan2(b, a))
