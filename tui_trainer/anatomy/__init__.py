"""What a network is: its layer table."""
