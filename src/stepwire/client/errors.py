"""What ends `stepwire run` early. Each message is a sentence or a list for a person's eyes."""

from uuid import UUID


class CouldNotStart(Exception):
    """No run was started; exit code 2."""


class ConnectionLost(Exception):
    """A run was started, and how it ends could not be followed; exit code 3."""

    def __init__(self, run_id: UUID, reason: str) -> None:
        super().__init__(f"{reason} Run {run_id} is stored and goes on without us.")
