"""The training: data, loop, optimizers. Knows torch, knows no front end."""
