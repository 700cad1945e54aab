"""Intervals, tests, confusion, reliability, and how healthy runs begin."""
