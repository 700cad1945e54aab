"""Lesson: dropout."""
