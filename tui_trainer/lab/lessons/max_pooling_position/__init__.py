"""Lesson: max pooling position."""
