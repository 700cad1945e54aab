"""Lesson: backpropagation."""
