"""Custom models: a person's own code, loaded and called with care."""
