"""The lessons: the course's twenty topics and backpropagation by hand, as texts and arithmetic.

A lesson is a folder of ``lab/lessons``; this room reads its text, for front ends that never import
torch: the lessons, the guided tour, and the sentences about the reader's own model and run.
"""
