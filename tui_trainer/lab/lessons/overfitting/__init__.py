"""Lesson: overfitting."""
