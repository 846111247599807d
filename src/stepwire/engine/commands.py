"""What the engine asks of the shell. Read off events, so that a journal alone says what was left undone."""

import msgspec


class Execute(msgspec.Struct, frozen=True):
    """Evaluate the step's configuration and run this attempt of it."""

    step_id: str
    attempt: int


class StopAll(msgspec.Struct, frozen=True):
    """Stop every attempt in flight: the run has ended."""


AnyCommand = Execute | StopAll
