"""Colours: themes, their files, the roles they colour."""
