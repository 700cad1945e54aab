"""Terminal features for the window: graphics, output redirection, signals."""
