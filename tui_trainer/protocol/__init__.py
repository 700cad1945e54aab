"""The language of runs: settings, events, commands, exhibits, layers, errors, exit codes."""
