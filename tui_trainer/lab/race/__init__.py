"""Race: copies of a run train its next batches with several values of a knob."""
