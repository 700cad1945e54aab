"""The folder of a run: its journal, summary, lock and saved states."""
