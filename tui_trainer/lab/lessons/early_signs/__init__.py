"""Lesson: early signs."""
