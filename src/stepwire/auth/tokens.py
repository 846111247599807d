"""Whose request it is: Supabase access tokens, verified.

The key decides the algorithm, never the token; keys are JWK dictionaries, so that no text is ever taken for another
kind of key.
"""

import base64
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from jose import jws
from jose.exceptions import JOSEError

from stepwire.errors import Misconfigured, Unauthenticated

LEEWAY_SECONDS = 60
AUDIENCE = ROLE = "authenticated"
MAX_TOKEN_BYTES = 8192
CACHED_TOKENS = 10_000


class Session(msgspec.Struct, frozen=True):
    """A verified token: who it speaks for, until when (Unix time, leeway not included)."""

    owner: UUID
    expires_at: float


class InvalidToken(Unauthenticated):
    """There was a token, and it is not to be believed."""

    kind, title = "invalid-token", "The token is not valid"


class _Header(msgspec.Struct):
    alg: str
    crit: Any = None


class _Claims(msgspec.Struct):
    sub: str
    exp: int | float
    aud: str | list[str]
    role: str
    nbf: int | float | None = None
    iss: str | None = None


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


class TokenVerifier:
    """Verifies tokens; those verified are remembered until they expire, so that a signature is checked once."""

    def __init__(self, secret: str | None, supabase_url: str | None, clock: Callable[[], float] = time.time) -> None:
        if not secret:
            raise Misconfigured("SUPABASE_JWT_SECRET is not set: no token could be verified.")
        self._key = {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}
        self._issuer = f"{supabase_url.rstrip('/')}/auth/v1" if supabase_url else None
        self._clock = clock
        self._verified: OrderedDict[bytes, Session] = OrderedDict()

    def verify(self, token: str) -> Session:
        """The session of a token.

        Raises:
            InvalidToken: malformed, forged, expired, not yet valid, for somebody else, or not a user's.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        session = self._verified.get(digest)
        if session is None:
            session = self._verify(token)
            self._verified[digest] = session
            if len(self._verified) > CACHED_TOKENS:
                self._verified.popitem(last=False)
        if session.expires_at + LEEWAY_SECONDS <= self._clock():
            self._verified.pop(digest, None)
            raise InvalidToken("The token has expired; sign in again.")
        return session

    def _verify(self, token: str) -> Session:
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidToken(f"The token is longer than {MAX_TOKEN_BYTES} bytes.")
        try:
            header = _decode_header(_part(token, 0))
            if header.alg != self._key["alg"] or header.crit is not None:
                raise InvalidToken(f"Tokens signed with {header.alg[:20]!r} are not accepted.")
            claims = _decode_claims(jws.verify(token, self._key, self._key["alg"]))
            owner = UUID(claims.sub)
        except (JOSEError, msgspec.MsgspecError, ValueError, RecursionError):
            raise InvalidToken("The token is malformed, or its signature is wrong.") from None
        self._check(claims)
        return Session(owner, float(claims.exp))

    def _check(self, claims: _Claims) -> None:
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if AUDIENCE not in audiences:
            raise InvalidToken(f"The token's audience is not {AUDIENCE!r}.")
        if claims.role != ROLE:
            raise InvalidToken(f"The token's role is not {ROLE!r}: project keys are no users.")
        if self._issuer is not None and claims.iss != self._issuer:
            raise InvalidToken("The token is from another issuer.")
        if claims.nbf is not None and claims.nbf - LEEWAY_SECONDS > self._clock():
            raise InvalidToken("The token is not valid yet.")


def _part(token: str, number: int) -> bytes:
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWS in compact form")
    return base64.urlsafe_b64decode(parts[number] + "=" * (-len(parts[number]) % 4))


def mint(secret: str, owner: UUID, *, lifetime_seconds: int, now: float, supabase_url: str | None = None) -> str:
    """A token such as Supabase issues, for the embedded mode, tests and measurements."""
    claims: dict[str, Any] = {
        "sub": str(owner), "aud": AUDIENCE, "role": ROLE, "iat": int(now), "exp": int(now) + lifetime_seconds,
    }  # fmt: skip
    if supabase_url:
        claims["iss"] = f"{supabase_url.rstrip('/')}/auth/v1"
    key = {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}
    return str(jws.sign(claims, key, algorithm="HS256"))
