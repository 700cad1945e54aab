"""The language of a run: configuration, events, commands, history, findings."""
