"""Intervals, tests, confusion matrix, calibration, and reference curves of healthy runs."""
