"""The laboratory: preflight check, views and lesson experiments on a model of a run."""
