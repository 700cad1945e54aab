"""Events to the state of a run: what every front end, summary and finding reads."""
