"""The document that a student hands in: each run is a step with target, result and analysis."""
