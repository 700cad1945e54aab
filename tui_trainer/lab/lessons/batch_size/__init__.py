"""Lesson: batch size."""
