"""The front end without a window: events in, data to stdout, prose to stderr, an exit code."""
