"""The project's public keys, as its JWKS endpoint says them. Source: RFC 7517, RFC 7518 section 6.

Keys are taken from nowhere else, and each is good for the one algorithm that its kind decides. Whatever state the
endpoint is in, a request whose key is known does not wait for it; the exception is the first after an idle stretch, which
gives the endpoint a moment to say that the key is none any more.
"""

import asyncio
import base64
import ipaddress
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
from jose import jwk
from jose.exceptions import JOSEError

from stepwire.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)
FRESH_SECONDS = 300.0  # then keys are fetched anew, beside the requests
STALE_SECONDS = 600.0  # then they are believed only while the endpoint is away
KEEP_SECONDS = 3600.0  # and so long at most
COOL_DOWN_SECONDS = 10.0  # after a fetch for a key that was not known, and after one that failed
FETCH_SECONDS = 3.0
PATIENCE_SECONDS = 1.0  # of a request whose key is known
MAX_BYTES, MAX_KEYS = 256 << 10, 50
RSA_BITS = range(2048, 8192 + 1)
_LOCAL_DOMAINS = (".internal", ".local", ".localhost")

Jwk = dict[str, str]


class _Answer(msgspec.Struct):
    keys: list[Any]


class Keys:
    """Public keys by algorithm and key id."""

    def __init__(self, supabase_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = _endpoint(supabase_url)
        self._tls = httpx.create_ssl_context()  # takes 15 ms, which requests need not wait for
        self._clock = clock
        self._keys: dict[tuple[str, str | None], list[Jwk]] = {}
        self._fetched_at: float | None = None
        self._is_away = False
        self._quiet_until = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, key_id: str | None) -> list[Jwk]:
        """The keys that a token may be signed with: one, as a rule; none where there is no such key.

        Raises:
            Unavailable: nobody can say, because the endpoint cannot be reached.
        """
        found = self._look_up(algorithm, key_id)
        if found and self._age() <= FRESH_SECONDS:
            return found
        fetch = self._fetch()
        if fetch is not None and (not found or not self._is_current()):
            await asyncio.wait({fetch}, timeout=PATIENCE_SECONDS if found else None)
            found = self._look_up(algorithm, key_id)
        if not found and self._is_away:
            raise Unavailable(
                "The keys that tokens are verified with cannot be fetched just now; try again.",
                retry_after_seconds=max(1, math.ceil(self._quiet_until - self._clock())),
            )
        return found

    def knows(self, algorithm: str, key: Jwk) -> bool:
        """Whether a key that was found before still counts; if not, `find` may have it again."""
        if self._age() > FRESH_SECONDS:
            self._fetch()
        return self._is_current() and any(key in keys for (kind, _), keys in self._keys.items() if kind == algorithm)

    def _look_up(self, algorithm: str, key_id: str | None) -> list[Jwk]:
        """A token that names no key is taken for one of the only key there is."""
        if self._age() > KEEP_SECONDS:
            return []
        if key_id is not None:
            return self._keys.get((algorithm, key_id), [])
        all_of_kind = [key for (kind, _), keys in self._keys.items() if kind == algorithm for key in keys]
        return all_of_kind if len(all_of_kind) == 1 else []

    def _age(self) -> float:
        return math.inf if self._fetched_at is None else self._clock() - self._fetched_at

    def _is_current(self) -> bool:
        return self._age() <= (KEEP_SECONDS if self._is_away else STALE_SECONDS)

    def _fetch(self) -> "asyncio.Task[None] | None":
        """The fetch that is under way, or a new one: all who wait share it, and whoever gives up ends nobody else's.

        None when it is too early for another: keys that nobody knows are anybody's to name.
        """
        if self._fetching is None or self._fetching.done():
            if self._clock() < self._quiet_until:
                return None
            if self._age() <= FRESH_SECONDS:
                self._quiet_until = self._clock() + COOL_DOWN_SECONDS
            self._fetching = asyncio.create_task(self._fetch_once())
        return self._fetching

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                body = await self._get()
            self._keys = _usable(msgspec.json.decode(body, type=_Answer))
        except Exception as error:  # whatever it is, it must not take away the keys that are known
            log.warning("The keys at %s cannot be had: %s: %s", self._url, type(error).__name__, error)
            self._is_away, self._quiet_until = True, self._clock() + COOL_DOWN_SECONDS
        else:
            self._is_away, self._fetched_at = False, self._clock()

    async def _get(self) -> bytes:
        """The answer, which is 200, of bounded size, and from nowhere else."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(follow_redirects=False, trust_env=False, verify=self._tls) as client,
            client.stream("GET", self._url, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"the answer is {response.status_code}")
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BYTES:
                    raise ValueError("the answer is too large")
            return body


def _endpoint(supabase_url: str) -> str:
    """Where a project's keys are.

    Raises:
        Misconfigured: it is no URL, or the keys would come over a network where anybody can change them.
    """
    try:
        url = httpx.URL(supabase_url)
        host = url.host  # is decoded
    except (httpx.InvalidURL, UnicodeError):
        url, host = httpx.URL(), ""
    if url.scheme not in ("http", "https") or not host or url.userinfo or url.query or url.fragment:
        raise Misconfigured("SUPABASE_URL cannot be used: it looks like https://<project>.supabase.co.")
    if url.scheme == "http" and not _is_near(host):
        raise Misconfigured("SUPABASE_URL cannot be used: over http:// anybody on the way could change the keys.")
    return f"{supabase_url.rstrip('/')}/auth/v1/.well-known/jwks.json"


def _is_near(host: str) -> bool:
    """Whether a host is this machine or in a network of one's own, as in a container beside."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_DOMAINS)


def _usable(answer: _Answer) -> dict[tuple[str, str | None], list[Jwk]]:
    found: dict[tuple[str, str | None], list[Jwk]] = {}
    for raw in answer.keys[:MAX_KEYS]:
        try:
            key_id, algorithm, key = _public(raw)
            jwk.construct(key, algorithm)
        except (AttributeError, JOSEError, KeyError, TypeError, ValueError) as error:
            log.warning("A key is left out: %s: %s", type(error).__name__, error)
            continue
        found.setdefault((algorithm, key_id), []).append(key)
    return found


def _public(raw: dict[str, Any]) -> tuple[str | None, str, Jwk]:
    """A key's id, the algorithm that it is for, and its public members."""
    if raw.get("use", "sig") != "sig" or "verify" not in raw.get("key_ops", ["verify"]):
        raise ValueError("it does not verify signatures")
    if raw["kty"] == "EC" and raw["crv"] == "P-256":
        algorithm, members = "ES256", ["kty", "crv", "x", "y"]
    elif raw["kty"] == "RSA":
        algorithm, members = "RS256", ["kty", "n", "e"]
        if int.from_bytes(_bytes(raw["n"])).bit_length() not in RSA_BITS:
            raise ValueError("it is too short, or too long")
    else:
        raise ValueError("it is of another kind")
    if raw.get("alg", algorithm) != algorithm:
        raise ValueError("it is for another algorithm")
    key_id = _text(raw["kid"]) if "kid" in raw else None
    return key_id, algorithm, {"alg": algorithm} | {name: _text(raw[name]) for name in members}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a member is not text")
    return value


def _bytes(value: Any) -> bytes:
    return base64.urlsafe_b64decode(_text(value) + "=" * (-len(_text(value)) % 4))
