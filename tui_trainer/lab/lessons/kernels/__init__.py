"""Lesson: kernels."""
