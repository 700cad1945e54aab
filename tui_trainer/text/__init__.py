"""Formatting of numbers and texts for terminals."""
