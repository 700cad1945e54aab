"""Themes, theme files and color roles."""
