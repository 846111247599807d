"""Idempotency keys: the same key and the same request are the same effect."""

import hashlib
import re
from typing import Any

import msgspec

from stepwire.errors import IdempotencyKeyReused, Malformed

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def one_key(*given: str | None) -> str | None:
    """The key that a request names, in one or more of the places where it may.

    ``"abc"`` in quotes, as the IETF draft has it (draft-ietf-httpapi-idempotency-key-header), and ``abc`` are the same.

    Raises:
        Malformed: not 1 to 255 visible ASCII characters, or two places that differ.
    """
    keys = {_unquoted(key) for key in given if key is not None}
    if len(keys) > 1:
        raise Malformed("The idempotency keys in the headers and in the body differ.")
    if not keys:
        return None
    key = keys.pop()
    if not _KEY.fullmatch(key):
        raise Malformed("An idempotency key has 1 to 255 visible ASCII characters.")
    return key


def request_hash(request: Any) -> bytes:
    """What tells requests apart: the decoded request, so that white space and key order do not count."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()


def check_same(stored: bytes | None, request: bytes) -> None:
    """Make sure that a repeated key repeats its request.

    Raises:
        IdempotencyKeyReused: it does not.
    """
    if stored != request:
        raise IdempotencyKeyReused(
            "This idempotency key was used for another request; take a new key for a new request."
        )


def _unquoted(key: str) -> str:
    return key[1:-1] if len(key) > 2 and key[0] == key[-1] == '"' else key
