"""Themes, theme files and colour roles."""
