"""The run that the window shows, live or recorded, and the questions about it."""
