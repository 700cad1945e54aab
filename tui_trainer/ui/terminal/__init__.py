"""What the window needs of the terminal."""
