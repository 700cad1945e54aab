"""Lesson: convolutions 3x3."""
