"""The project's public keys, as its JWKS endpoint says them. Source: RFC 7517, RFC 7518 section 6.

Keys are taken from nowhere else, and each is good for the one algorithm that its kind decides.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
from jose import jwk
from jose.exceptions import JOSEError

from stepwire.errors import Unavailable

log = logging.getLogger(__name__)
FRESH_SECONDS = 300.0  # then keys are fetched anew beside the requests
STALE_SECONDS = 600.0  # then a request waits for that
KEEP_SECONDS = 3600.0  # so long are known keys good while the endpoint is down
COOL_DOWN_SECONDS = 10.0  # between two fetches for keys that are not known, and after one that failed
FETCH_SECONDS = 3.0
MAX_BYTES, MAX_KEYS = 256 << 10, 50
LEAST_RSA_BITS = 2048

Jwk = dict[str, str]


class _Answer(msgspec.Struct):
    keys: list[dict[str, Any]]


class Keys:
    """Public keys by algorithm and key id. Known ones cost no waiting, whatever state the endpoint is in."""

    def __init__(self, supabase_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{supabase_url.rstrip('/')}/auth/v1/.well-known/jwks.json"
        self._clock = clock
        self._keys: dict[tuple[str, str | None], list[Jwk]] = {}
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._asked_at: float | None = None  # for a key that was not known
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, key_id: str | None) -> list[Jwk]:
        """The keys that a token may be signed with: one, as a rule; none where there is no such key.

        Raises:
            Unavailable: nobody can say, because the endpoint cannot be reached.
        """
        is_stale = self._age() > STALE_SECONDS
        if is_stale and not self._is_cooling(self._failed_at):
            await self._fetch()
        found = self._look_up(algorithm, key_id)
        if not found and not is_stale and not self._is_cooling(self._asked_at):
            self._asked_at = self._clock()
            await self._fetch()
            found = self._look_up(algorithm, key_id)
        if not found and (self._fetched_at is None or self._failed_at is not None):
            raise Unavailable("The keys that tokens are verified with cannot be fetched just now; try again.")
        return found

    def knows(self, algorithm: str, key: Jwk) -> bool:
        """Whether a key that was found before is still one; fetches anew, beside the requests, what has grown old."""
        if self._age() > FRESH_SECONDS and not self._is_cooling(self._failed_at):
            self._start_fetch()
        return self._age() <= KEEP_SECONDS and any(
            key in keys for (kind, _), keys in self._keys.items() if kind == algorithm
        )

    def _look_up(self, algorithm: str, key_id: str | None) -> list[Jwk]:
        if self._age() > KEEP_SECONDS:
            return []
        if key_id is not None:
            return self._keys.get((algorithm, key_id), [])
        all_of_kind = [key for (kind, _), keys in self._keys.items() if kind == algorithm for key in keys]
        return all_of_kind if len(all_of_kind) == 1 else []

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _is_cooling(self, since: float | None) -> bool:
        return since is not None and self._clock() - since < COOL_DOWN_SECONDS

    def _start_fetch(self) -> "asyncio.Task[None]":
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_once())
        return self._fetching

    async def _fetch(self) -> None:
        """One fetch for all who wait; whoever gives up takes nobody else's away."""
        await asyncio.shield(self._start_fetch())

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                body = await _get(self._url)
            self._keys = _usable(msgspec.json.decode(body, type=_Answer))
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            msgspec.MsgspecError,
            TimeoutError,
            ValueError,
            RecursionError,
        ) as error:
            log.warning("The keys at %s cannot be had: %s: %s", self._url, type(error).__name__, error)
            self._failed_at = self._clock()
            return
        self._fetched_at, self._failed_at = self._clock(), None


async def _get(url: str) -> bytes:
    """The answer, which is 200, of bounded size, and from nowhere else."""
    async with (
        httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=FETCH_SECONDS) as client,
        client.stream("GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"the answer is {response.status_code}")
        body = b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError("the answer is too large")
        return body


def _usable(answer: _Answer) -> dict[tuple[str, str | None], list[Jwk]]:
    found: dict[tuple[str, str | None], list[Jwk]] = {}
    for raw in answer.keys[:MAX_KEYS]:
        try:
            algorithm, key = _public(raw)
            jwk.construct(key, algorithm)
        except (JOSEError, KeyError, TypeError, ValueError) as error:
            log.warning("A key is left out: %s", error)
            continue
        key_id = raw.get("kid")
        found.setdefault((algorithm, key_id if isinstance(key_id, str) else None), []).append(key)
    return found


def _public(raw: dict[str, Any]) -> tuple[str, Jwk]:
    """The algorithm that a key is for, and its public members."""
    if raw.get("use", "sig") != "sig" or "verify" not in raw.get("key_ops", ["verify"]):
        raise ValueError("it does not verify signatures")
    if raw["kty"] == "EC" and raw["crv"] == "P-256":
        algorithm, members = "ES256", ["kty", "crv", "x", "y"]
    elif raw["kty"] == "RSA":
        algorithm, members = "RS256", ["kty", "n", "e"]
        if len(_bytes(raw["n"]).lstrip(b"\0")) * 8 < LEAST_RSA_BITS:
            raise ValueError("it is too short")
    else:
        raise ValueError("it is of another kind")
    if raw.get("alg", algorithm) != algorithm:
        raise ValueError("it is for another algorithm")
    return algorithm, {"alg": algorithm} | {name: _text(raw[name]) for name in members}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a member is not text")
    return value


def _bytes(value: Any) -> bytes:
    return base64.urlsafe_b64decode(_text(value) + "=" * (-len(_text(value)) % 4))
