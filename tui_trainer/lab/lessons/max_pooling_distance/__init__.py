"""Lesson: max pooling distance."""
