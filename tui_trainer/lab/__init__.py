"""The laboratory: preflight check, views and lesson experiments on a model, next to its training."""
