"""The front end without a window: events in, data to stdout, messages to stderr, an exit code."""
