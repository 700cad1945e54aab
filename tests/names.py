"""Class names for tests: those of CIFAR-10, and names that break what takes them for plain text."""

from __future__ import annotations

CIFAR = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x","y")',
    "猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫",
    "قطة\u202e txt.exe",
    "👨\u200d👩\u200d👧 family",
    "long " * 40,
    "long " * 39 + "end",
    "a|b*c_d`$x$ [link](http://y) \x1b[31mred\x1b[0m",
    "7",
    "",
)
"""Ten names: HTML, a formula, wide, right to left, emoji, long, equal when cut, Markdown and an
escape sequence, the number of another class, none."""
