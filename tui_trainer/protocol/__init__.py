"""What the rooms exchange: settings, events, commands, exhibits, layers, errors, exit codes."""
