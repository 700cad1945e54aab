"""A laboratory in the terminal for training small convolutional networks.

:func:`watch` records and diagnoses a training loop of your own.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_trainer.watching import WatchedRun, watch

__all__ = ["WatchedRun", "__version__", "watch"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public interface at its first use: it loads torch."""
    if name in ("WatchedRun", "watch"):
        from tui_trainer import watching

        return getattr(watching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
