"""Lesson: layers."""
