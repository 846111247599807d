"""Idempotency keys: the same key and the same request are the same effect."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from stepwire.errors import IdempotencyKeyReused, Malformed

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ESCAPED = re.compile(r'\\(["\\])')


def one_key(*given: str | None) -> str | None:
    """The key that a request names, in one or more of the places where it may.

    ``"abc"`` in quotes, as the IETF draft has it (draft-ietf-httpapi-idempotency-key-header), and ``abc`` are the same;
    ``""`` is the empty key, and so none.

    Raises:
        Malformed: not 1 to 255 visible ASCII characters, or two places that differ.
    """
    keys = {_unquoted(key) for key in given if key is not None}
    if len(keys) > 1:
        raise Malformed("The request names several idempotency keys, in its headers or its body; send one.")
    if not keys:
        return None
    key = keys.pop()
    if not _KEY.fullmatch(key):
        raise Malformed("An idempotency key has 1 to 255 visible ASCII characters.")
    return key


def request_hash(request: Any) -> bytes:
    """What tells requests apart: the decoded request, so that white space and key order do not count.

    Numbers count as numbers: 1, 1.0 and 1e0 are the same, since clients and proxies write them as they like.
    """
    return hashlib.sha256(msgspec.json.encode(_canonical(request), order="deterministic")).digest()


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
    """A structured field's string as what it stands for. Source: RFC 9651 section 4.2.5."""
    return _ESCAPED.sub(r"\1", key[1:-1]) if len(key) >= 2 and key[0] == key[-1] == '"' else key


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _canonical(item) for name, item in value.items()}
    return value
