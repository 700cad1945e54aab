"""Lesson: image normalization."""
