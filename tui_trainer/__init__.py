"""A laboratory in the terminal for training small convolutional networks."""

__version__ = "0.1.0"
