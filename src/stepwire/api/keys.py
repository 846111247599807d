"""The headers that an idempotency key may be in."""

from typing import Annotated, Any

from litestar import Request
from litestar.params import Parameter

from stepwire.services.idempotency import one_key

KEY_HEADERS = ("X-Idempotency-Key", "Idempotency-Key")

IdempotencyKey = Annotated[
    str | None,
    Parameter(header="X-Idempotency-Key", description="The same key and request make one resource, however often sent"),
]
StandardKey = Annotated[str | None, Parameter(header="Idempotency-Key", description="As X-Idempotency-Key")]


def provide_idempotency_key(
    request: Request[Any, Any, Any],
    idempotency_key_header: IdempotencyKey = None,  # noqa: ARG001 - for the document; of a repeated header it holds one
    standard_key: StandardKey = None,  # noqa: ARG001
) -> str | None:
    """The key in the headers; one that is repeated has to say the same each time."""
    return one_key(*(key for name in KEY_HEADERS for key in request.headers.getall(name, [])))
