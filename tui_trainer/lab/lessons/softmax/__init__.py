"""Lesson: softmax."""
