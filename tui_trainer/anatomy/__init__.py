"""The structure of a model: layer table, receptive fields, design review."""
