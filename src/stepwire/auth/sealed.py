"""Short texts that only this installation can have made, good for one purpose and until their time."""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from typing import NamedTuple

CODE, CODE_SECONDS = "sign-in code", 600
_NONCE_BYTES, _TAG_BYTES = 12, 16
_TIME = struct.Struct(">Q")
_LENGTH = _TIME.size + _NONCE_BYTES + _TAG_BYTES


class Sealed(NamedTuple):
    """What a text says: until when it is good (Unix time), and what tells it from all others."""

    expires_at: int
    nonce: str


def seal(secret: str, purpose: str, expires_at: float) -> str:
    """Make one: 48 characters of base64url. Source: RFC 2104 (HMAC), with SHA-256 cut to 128 bits."""
    said = _TIME.pack(int(expires_at)) + secrets.token_bytes(_NONCE_BYTES)
    return base64.urlsafe_b64encode(said + _tag(secret, purpose, said)).decode()


def unseal(secret: str, purpose: str, text: str, now: float) -> Sealed | None:
    """Read one; None where it is another's, for another purpose, or too old."""
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    said, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
    if len(raw) != _LENGTH or not hmac.compare_digest(tag, _tag(secret, purpose, said)):
        return None
    (expires_at,) = _TIME.unpack_from(said)
    return Sealed(expires_at, said[_TIME.size :].hex()) if now < expires_at else None


def sign_in_code(secret: str, now: float) -> str:
    """A code for a link to the studio, good once and for ten minutes."""
    return seal(secret, CODE, now + CODE_SECONDS)


def _tag(secret: str, purpose: str, said: bytes) -> bytes:
    return hmac.digest(secret.encode(), f"stepwire {purpose}\0".encode() + said, hashlib.sha256)[:_TAG_BYTES]
