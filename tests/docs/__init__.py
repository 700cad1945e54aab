"""The documents: their links, their commands, and the tables that are made from the code."""
