"""The state of a run, built from its events; read by front ends, summaries and findings."""
