"""Lesson: learning rate."""
