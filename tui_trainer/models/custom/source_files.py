"""Which files are custom code, and in which folders their imports may resolve."""

from __future__ import annotations

import os
import stat
import sysconfig
from contextlib import suppress
from pathlib import Path

_OURS = Path(__file__).parents[2]
_INSTALLED = tuple(
    Path(folder)
    for key, folder in sysconfig.get_paths().items()
    if key in ("stdlib", "platstdlib", "purelib", "platlib")
)


def is_installed(path: Path) -> bool:
    """Return whether a file belongs to Python, an installed package or this program."""
    if {"site-packages", "dist-packages"} & {*path.parts}:
        return True
    return any(path.is_relative_to(folder) for folder in (*_INSTALLED, _OURS))


def is_package_file(file: str) -> bool:
    """Return whether a file belongs to this program, without the zoo, which others build on."""
    path = Path(file)
    return path.is_relative_to(_OURS) and not path.is_relative_to(_OURS / "models" / "zoo")


def roots_of(folder: Path) -> tuple[Path, ...]:
    """Return a folder and the folders above it in which its imports may resolve, nearest first.

    The last one is the root of the repository, or the home folder. ``/tmp`` and other
    world-writable folders are excluded: anybody could leave a ``utils.py`` there.
    """
    roots = [folder]
    home = os.path.expanduser("~")
    for above in folder.parents:
        if (roots[-1] / ".git").exists() or str(roots[-1]) == home or above == above.parent:
            break
        with suppress(OSError):
            mode = above.stat().st_mode
            if mode & stat.S_IWOTH and mode & stat.S_ISVTX:
                break
        roots.append(above)
    return tuple(roots)


def holds(root: Path, name: str) -> bool:
    """Return whether a folder has a module of that name; a folder without Python files has none."""
    folder = root / name
    if (root / f"{name}.py").is_file() or (folder / "__init__.py").is_file():
        return True
    with suppress(OSError):
        return any(folder.glob("*.py")) or any(folder.glob("*/*.py"))
    return False
