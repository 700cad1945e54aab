"""Watch a training loop that somebody else wrote: record it, diagnose it, take commands for it.

The loop stays the user's. Hooks on the model and on the optimizers see what it does; its events go
through the findings to the recorder and to one line of progress, on the thread of the loop. The
weights with and without it are the same to the last bit.
"""

from tui_trainer.watching.evaluation import Validated
from tui_trainer.watching.watched_run import WatchedRun, watch

__all__ = ["Validated", "WatchedRun", "watch"]
