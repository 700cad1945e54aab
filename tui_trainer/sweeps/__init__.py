"""Sweeps: many runs over a space of settings, and what they say about it."""
