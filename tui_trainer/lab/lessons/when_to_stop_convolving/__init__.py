"""Lesson: when to stop convolving."""
