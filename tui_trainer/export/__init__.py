"""A run and its network in the formats of other programs."""
