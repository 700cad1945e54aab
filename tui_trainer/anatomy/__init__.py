"""What a network is: its layer table, and what its features see of an image."""
