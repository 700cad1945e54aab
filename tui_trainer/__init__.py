"""A laboratory in the terminal for training small convolutional networks.

:func:`watch` records and diagnoses the training loop of a script.
"""

from typing import TYPE_CHECKING, Any

from tui_trainer.version import __version__

if TYPE_CHECKING:
    from tui_trainer.watching import WatchedRun, watch

__all__ = ["WatchedRun", "__version__", "watch"]


def __getattr__(name: str) -> Any:
    """Import the public interface at its first use: it loads torch."""
    if name in ("WatchedRun", "watch"):
        from tui_trainer import watching

        return getattr(watching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
