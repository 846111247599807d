"""Signing in to the studio of the embedded mode: a link that is good once, then a cookie that brings tokens."""

import math
import time

import msgspec
from redis.asyncio import Redis

from stepwire.auth.sealed import CODE, seal, unseal
from stepwire.auth.tokens import mint
from stepwire.errors import NotFound, Unauthenticated, Unavailable
from stepwire.settings import EMBEDDED_OWNER, Settings
from stepwire.signals.connection import Lost
from stepwire.signals.once import use_once

SESSION_SECONDS = 30 * 86_400
TOKEN_SECONDS = 900
_SESSION = "studio session"


class Granted(msgspec.Struct, frozen=True):
    """An access token, and how long it is good."""

    access_token: str
    expires_in: int


class SignIn:
    """Takes codes and cookies, and gives tokens for them; only where the secret is the installation's own."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._secret = settings.supabase_jwt_secret if settings.embedded else None

    async def by_code(self, code: str) -> tuple[Granted, str]:
        """A token, and a session to keep as a cookie. Raises: Unauthenticated, Unavailable, NotFound."""
        secret, now = self._own_secret(), time.time()
        sealed = unseal(secret, CODE, code, now)
        if sealed is None:
            raise Unauthenticated("The link is too old; `stepwire studio` prints a new one.")
        try:
            is_first = await use_once(
                self._redis, sealed.nonce, remembered_seconds=math.ceil(sealed.expires_at - now) + 1
            )
        except Lost:
            raise Unavailable("Nobody can sign in just now; try again.") from None
        if not is_first:
            raise Unauthenticated("The link has been used; `stepwire studio` prints a new one.")
        return _granted(secret), seal(secret, _SESSION, now + SESSION_SECONDS)

    def by_session(self, session: str) -> Granted:
        """Another token. Raises: Unauthenticated, NotFound."""
        secret = self._own_secret()
        if unseal(secret, _SESSION, session, time.time()) is None:
            raise Unauthenticated("You are signed out; `stepwire studio` prints a link that signs in.")
        return _granted(secret)

    def _own_secret(self) -> str:
        if self._secret is None:
            raise NotFound("Links sign in to the embedded mode alone.")
        return self._secret


def _granted(secret: str) -> Granted:
    return Granted(mint(secret, EMBEDDED_OWNER, lifetime_seconds=TOKEN_SECONDS, now=time.time()), TOKEN_SECONDS)
