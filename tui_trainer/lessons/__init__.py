"""The lessons: the course's twenty topics and backpropagation by hand, as texts and arithmetic.

A lesson is one TOML file in ``texts``; what its experiment needs beside torch is a small pure
function here. The experiments themselves are in ``tui_trainer.engine.experiments``.
"""
