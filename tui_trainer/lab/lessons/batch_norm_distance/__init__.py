"""Lesson: batch norm distance."""
