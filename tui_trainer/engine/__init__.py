"""The training engine: loop, optimizers, checkpoints, probes. Imports torch, but no front end."""
