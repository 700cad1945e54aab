"""The model zoo, custom models, and what works on any model: copies, modes, rng and state."""
