"""Capabilities of the terminal, its streams, and signals."""
