"""The command line's client: the public API and nothing else, as any other program would use it."""
