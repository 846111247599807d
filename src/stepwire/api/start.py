"""What starting a run needs beside its body, as one dependency.

Litestar resolves several dependencies in a task each; that would be a fifth of what this route costs.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request

from stepwire.api.keys import IdempotencyKey, StandardKey, provide_idempotency_key
from stepwire.api.prefer import PreferHeader, provide_wait
from stepwire.services.control import RunControl
from stepwire.services.runs import RunService


@dataclass(frozen=True, slots=True)
class Start:
    """Who starts a run, with which services; the key in the headers, and the seconds that the client would wait."""

    runs: RunService
    control: RunControl
    owner: UUID
    key: str | None
    wait: int | None


def provide_start(
    request: Request[Any, Any, Any],
    idempotency_key_header: IdempotencyKey = None,
    standard_key: StandardKey = None,
    prefer: PreferHeader = None,
) -> Start:
    """Read it off the request; the guard has verified the token."""
    services = request.app.state.services
    key = provide_idempotency_key(request, idempotency_key_header, standard_key)
    return Start(services.runs, services.control, request.scope["user"].owner, key, provide_wait(prefer))
