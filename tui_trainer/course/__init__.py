"""The lesson texts and the guided tour.

A lesson is a folder in ``lab/lessons``. This room reads its text and fills in the figures of the
reader's own model and run, for front ends that never import torch.
"""
