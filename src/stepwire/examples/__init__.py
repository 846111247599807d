"""Definitions to look at and run, and a demonstration of them: ``python -m stepwire.examples.demo``."""
