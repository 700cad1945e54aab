"""What is asked of a model besides its training: preflight check, views, lesson experiments."""
