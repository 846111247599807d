"""Stepwire: the API, live stream and engine behind a visual workflow editor."""

__version__ = "0.1.0"
