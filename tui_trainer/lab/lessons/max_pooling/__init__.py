"""Lesson: max pooling."""
