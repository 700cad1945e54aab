"""``python -m tui_trainer`` is the same as ``mnist-tui``."""

from tui_trainer.cli import main

if __name__ == "__main__":
    main()
