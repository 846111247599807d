"""Reading a compact JWS strictly, before any signature is looked at. Sources: RFC 7515, RFC 7519, RFC 8725."""

import base64
import binascii
import json
import re
from typing import Any

import msgspec

MAX_KEY_ID_CHARACTERS = 256
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# Parameters that say where a key is to be had, that change how the token is read, or that have to be understood.
_REFUSED = frozenset({"b64", "crit", "enc", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip"})


class Malformed(ValueError):
    """The text is not a token that we would read."""


class Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    typ: str | None = None


def header_and_payload(token: str) -> tuple[Header, Any]:
    """A token's header and payload, which nobody has vouched for yet.

    Raises:
        Malformed: not three parts of base64url as it is written by everybody, not JSON objects, a name that
            occurs twice, or a header that asks for more than a signature.
    """
    if not _COMPACT.fullmatch(token):
        raise Malformed("The token is not a signed one in compact form.")
    header_part, payload_part, signature = token.split(".")
    _decoded(signature)
    raw = _object(_decoded(header_part))
    if not _REFUSED.isdisjoint(raw):
        raise Malformed("The token's header holds parameters that are not accepted.")
    try:
        header = msgspec.convert(raw, Header)
    except msgspec.ValidationError:
        raise Malformed("The token's header is not one that is accepted.") from None
    if header.typ is not None and header.typ.upper() != "JWT":
        raise Malformed("The token is of another type.")
    if header.kid is not None and len(header.kid) > MAX_KEY_ID_CHARACTERS:
        raise Malformed("The token's key id is too long.")
    return header, _object(_decoded(payload_part))


def _decoded(part: str) -> bytes:
    """Base64url without padding, in the one way to write it."""
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise Malformed("The token is not base64url.") from None
    if base64.urlsafe_b64encode(decoded).decode().rstrip("=") != part:
        raise Malformed("The token is not base64url as it is written.")
    return decoded


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Malformed("The token does not hold JSON.") from None
    if not isinstance(value, dict):
        raise Malformed("The token does not hold JSON objects.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
