"""The run that the window shows: live or recorded, and what was asked of it."""
