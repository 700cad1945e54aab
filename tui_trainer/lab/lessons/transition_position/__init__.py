"""Lesson: transition position."""
