"""Custom models: import and call code that is not part of this package."""
