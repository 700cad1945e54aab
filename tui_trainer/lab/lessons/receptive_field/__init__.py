"""Lesson: receptive field."""
