"""What a terminal can show, its streams and its signals."""
