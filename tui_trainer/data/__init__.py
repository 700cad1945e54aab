"""Datasets, splits, batches, augmentation, and pictures as input."""
