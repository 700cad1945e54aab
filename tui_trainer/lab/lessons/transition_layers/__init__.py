"""Lesson: transition layers."""
