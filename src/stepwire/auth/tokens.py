"""Whose request it is: Supabase access tokens, verified.

The key decides the algorithm, never the token; keys are JWK dictionaries, so that no text is ever taken for another
kind of key.
"""

import base64
import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
from jose import jws
from jose.exceptions import JOSEError

from stepwire.auth.jose import Header, Malformed, header_and_payload
from stepwire.auth.keys import Jwk, Keys
from stepwire.errors import Misconfigured, Unauthenticated

log = logging.getLogger(__name__)
LEEWAY_SECONDS = 60
MAX_TOKEN_BYTES = 8192
AUDIENCE = ROLE = "authenticated"
CACHED_TOKENS = 10_000
LATEST = 1 << 53  # seconds
LEAST_SECRET_BYTES = 32  # RFC 7518 section 3.2
_NO_SECRETS = ("-----BEGIN ", "ssh-", "sb_publishable_", "sb_secret_")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Session(msgspec.Struct, frozen=True):
    """A verified token: who it speaks for, until when (Unix time, leeway not included)."""

    owner: UUID
    expires_at: float


class InvalidToken(Unauthenticated):
    """There was a token, and it is not to be believed."""

    kind, title = "invalid-token", "The token is not valid"


class _Claims(msgspec.Struct):
    sub: str
    exp: int | float
    aud: str | list[str]
    role: str
    nbf: int | float | None = None
    iss: str | None = None


class _Verified(msgspec.Struct, frozen=True):
    """A session, and the public key that vouched for it; None: the secret did."""

    session: Session
    algorithm: str
    key: Jwk | None


class TokenVerifier:
    """Verifies tokens; those verified are remembered until they expire, so that a signature is checked once."""

    def __init__(
        self,
        secret: str | None,
        supabase_url: str | None,
        clock: Callable[[], float] = time.time,
        keys: Keys | None = None,
        cached_tokens: int = CACHED_TOKENS,
    ) -> None:
        if not secret and not supabase_url:
            raise Misconfigured("Neither SUPABASE_JWT_SECRET nor SUPABASE_URL is set: no token could be verified.")
        self._secret = _secret_key(_checked_secret(secret)) if secret else None
        self._keys = keys or (Keys(supabase_url) if supabase_url else None)
        self._issuer = f"{supabase_url.rstrip('/')}/auth/v1" if supabase_url else None
        self._clock = clock
        self._cached_tokens = cached_tokens
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Session:
        """The session of a token.

        Costs 1 to 3 µs for a token that was verified before, and up to 200 µs for one that was not.

        Raises:
            InvalidToken: malformed, forged, expired, not yet valid, for somebody else, or not a user's.
            Unavailable: the keys to verify it with cannot be fetched.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidToken("The token is too long.")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None and self._still_holds(known):
            return known.session
        self._verified.pop(digest, None)
        known = await self._verify(token)
        self._verified[digest] = known
        if len(self._verified) > self._cached_tokens:
            self._verified.popitem(last=False)
        return known.session

    def _still_holds(self, known: _Verified) -> bool:
        if known.session.expires_at + LEEWAY_SECONDS <= self._clock():
            return False
        return known.key is None or (self._keys is not None and self._keys.knows(known.algorithm, known.key))

    async def _verify(self, token: str) -> _Verified:
        try:
            header, payload = header_and_payload(token)
        except Malformed as error:
            raise InvalidToken(str(error)) from None
        key = await self._vouching_key(token, header)
        try:
            claims = msgspec.convert(payload, _Claims)
        except msgspec.ValidationError:
            raise InvalidToken("The token lacks a claim that is needed, or it has the wrong type.") from None
        owner = self._checked(claims)
        return _Verified(Session(owner, float(claims.exp)), header.alg, key)

    async def _vouching_key(self, token: str, header: Header) -> Jwk | None:
        """The public key whose signature the token bears; None where it is the secret's.

        The algorithm says which of our keys to try, and each key is used with its own algorithm alone.
        """
        if header.alg == "HS256" and self._secret is not None:
            candidates, algorithm = [self._secret], "HS256"
        elif header.alg in ("ES256", "RS256") and self._keys is not None:
            algorithm = "ES256" if header.alg == "ES256" else "RS256"
            candidates = await self._keys.find(algorithm, header.kid)
        else:
            raise InvalidToken(f"Tokens signed with {header.alg[:20]!r} are not accepted.")
        for key in candidates:
            with suppress(JOSEError, ValueError, RecursionError):
                jws.verify(token, key, [algorithm])
                return None if key is self._secret else key
        raise InvalidToken("The token's signature is wrong, or made with a key that is not known.")

    def _checked(self, claims: _Claims) -> UUID:
        """The owner that the claims name."""
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if AUDIENCE not in audiences:
            raise InvalidToken(f"The token's audience is not {AUDIENCE!r}.")
        if claims.role != ROLE:
            raise InvalidToken(f"The token's role is not {ROLE!r}: project keys are no users.")
        if self._issuer is not None and claims.iss != self._issuer:
            raise InvalidToken("The token is from another issuer.")
        if not 0 <= claims.exp < LATEST or not 0 <= (claims.nbf or 0) < LATEST:
            raise InvalidToken("The token's times are not instants.")
        if claims.exp + LEEWAY_SECONDS <= self._clock():
            raise InvalidToken("The token has expired; sign in again.")
        if claims.nbf is not None and claims.nbf - LEEWAY_SECONDS > self._clock():
            raise InvalidToken("The token is not valid yet.")
        if not _UUID.fullmatch(claims.sub):
            raise InvalidToken("The token's subject is not a user's id.")
        return UUID(claims.sub)


def _checked_secret(secret: str) -> str:
    """A secret that can be one.

    Short ones are only warned of: the project's own servers sign with it, and a process that does not start helps nobody.

    Raises:
        Misconfigured: it is something that is no secret: with a public key or the project's public API key in its place,
            anybody could make tokens.
    """
    if secret.startswith(_NO_SECRETS) or _is_token_or_jwk(secret):
        raise Misconfigured(
            "SUPABASE_JWT_SECRET holds a key or token of another kind, not the project's JWT secret; "
            "public keys are fetched from SUPABASE_URL, and need not be set."
        )
    if len(secret.encode()) < LEAST_SECRET_BYTES:
        log.warning("SUPABASE_JWT_SECRET has fewer than %s bytes: it can be guessed", LEAST_SECRET_BYTES)
    return secret


def _is_token_or_jwk(text: str) -> bool:
    with suppress(msgspec.MsgspecError):
        return "kty" in msgspec.json.decode(text, type=dict[str, Any])
    return text.startswith("eyJ") and text.count(".") == 2


def _secret_key(secret: str) -> Jwk:
    return {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}


def mint(secret: str, owner: UUID, *, lifetime_seconds: int, now: float, supabase_url: str | None = None) -> str:
    """A token such as Supabase issues, for the embedded mode, tests and measurements."""
    claims: dict[str, Any] = {
        "sub": str(owner), "aud": AUDIENCE, "role": ROLE, "iat": int(now), "exp": int(now) + lifetime_seconds,
    }  # fmt: skip
    if supabase_url:
        claims["iss"] = f"{supabase_url.rstrip('/')}/auth/v1"
    return str(jws.sign(claims, _secret_key(secret), algorithm="HS256"))
