"""Lesson: convolutions 1x1."""
