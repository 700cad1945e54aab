"""Lesson: batch normalization."""
