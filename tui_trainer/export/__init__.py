"""A run and its model in the formats of other programs."""
