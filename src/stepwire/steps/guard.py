"""The guarded HTTP client: it reaches public addresses only, and reads no more of an answer than it was told to.

Invariant: a connection is made to an address that was checked, never to a name. A name is resolved once per connection
and what comes back is filtered before anything is dialled, so neither another spelling of an address (``0x7f.1``) nor
a redirect nor a DNS record that changes between check and use gets past. TLS and ``Host`` keep the original name,
since httpcore takes both from the URL.
"""

import asyncio
import contextlib
import http.cookiejar
import logging
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore
import httpx

from stepwire import __version__
from stepwire.errors import Misconfigured
from stepwire.steps.lookups import Lookups

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
_Origin = tuple[bytes, bytes, int]  # scheme, host, port
CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 4.0  # many servers hang up after 5, perhaps just as a request is on its way
MAX_CODINGS = 3

# IANA special-purpose registries, as of 2025, without the blocks that are global; and what the clouds put elsewhere.
# `ipaddress.is_global` is not used: what it says has changed between patch releases of Python.
_REFUSED_V4 = tuple(
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's platform endpoint
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")  # everything else is unassigned, local or multicast (RFC 4291, 2.4)
_REFUSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))  # Teredo, ORCHID; documentation
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*")
_PORTED = re.compile(r"\[(?P<v6>[0-9a-f:.]+)\](?::(?P<v6port>\d{1,5}))?|(?P<host>[^:]+):(?P<port>\d{1,5})")
_LOOKS_LIKE_AN_ADDRESS = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")


class AddressRefused(httpx.TransportError):
    """The host has no address that may be reached. Says the name only: what a private name resolves to is private."""


@dataclass(frozen=True, slots=True)
class Allow:
    """What may be reached although it is not public: names and networks, each at one port or (None) at all."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[IPv4Network | IPv6Network, int | None], ...] = ()

    def permits(self, host: str, port: int, address: Address) -> bool:
        """Whether a connection to ``address``, which ``host`` stands for, may be made."""
        if is_public(address):
            return True
        name = host.lower().removesuffix(".")
        if (name, None) in self.names or (name, port) in self.names:
            return True
        plain = (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
        return any(plain in network and only in (None, port) for network, only in self.networks)


def is_public(address: Address) -> bool:
    """Whether an address is out on the Internet. One that wraps an IPv4 address is as public as what it wraps."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None:
        return False
    nat64 = IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
    wrapped = address.ipv4_mapped or address.sixtofour or nat64
    if wrapped is not None:
        return is_public(wrapped)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)


def parse_allow(text: str) -> Allow:
    """Read ``STEPWIRE_HTTP_ALLOW``: names, addresses and networks, comma-separated, at one port or at all.

    Raises:
        Misconfigured: an entry is none of these; better no start than a guard that is not what its owner meant.
    """
    names: set[tuple[str, int | None]] = set()
    networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        match = _PORTED.fullmatch(entry)
        host = (match["v6"] or match["host"]) if match else entry
        digits = (match["v6port"] or match["port"]) if match else None
        port = int(digits) if digits else None
        if port is not None and not 0 < port < 65536:
            raise Misconfigured(f"STEPWIRE_HTTP_ALLOW: {entry!r} has a port that is not between 1 and 65535.")
        try:
            networks.append((ip_network(host), port))
        except ValueError:
            if not _NAME.fullmatch(host) or _LOOKS_LIKE_AN_ADDRESS.fullmatch(host):
                raise Misconfigured(
                    f"STEPWIRE_HTTP_ALLOW: {entry!r} is neither a host name (localhost, api.internal:8080), an address "
                    "(127.0.0.1, [::1]:8080) nor a network (10.0.0.0/8, its host bits zero)."
                ) from None
            names.add((host, port))
    return Allow(frozenset(names), tuple(networks))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials for httpcore: resolves, filters, and connects to what is left, by address and in order."""

    def __init__(
        self, allow: Allow, resolver: Resolver | None = None, dialler: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._allow = allow
        self._resolver = resolver or Lookups()
        self._dialler = dialler or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        deadline = asyncio.get_running_loop().time() + (CONNECT_SECONDS if timeout is None else timeout)
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._permitted(host, port)
                return await self._first(addresses, port, deadline, local_address, socket_options)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} took too long to connect to.") from None

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("Unix sockets are not reachable.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _permitted(self, host: str, port: int) -> list[str]:
        try:
            texts: Sequence[str] = [str(ip_address(host))]
        except ValueError:
            try:
                texts = await self._resolver(host, port)
            except (OSError, UnicodeError) as error:  # UnicodeError: a label that IDNA cannot have
                raise httpcore.ConnectError(f"{host} cannot be resolved.") from error
        permitted = [text for text in texts if self._allow.permits(host, port, ip_address(text))]
        if texts and not permitted:
            raise AddressRefused(f"{host} is not at a public address; STEPWIRE_HTTP_ALLOW opens private ones.")
        return permitted

    async def _first(
        self,
        addresses: Sequence[str],
        port: int,
        deadline: float,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        """The first that answers. Each gets an equal part of the time left: a dead first one must not use it all up."""
        failure: Exception = httpcore.ConnectError("The host has no address.")
        for tried, address in enumerate(addresses):
            share = (deadline - asyncio.get_running_loop().time()) / (len(addresses) - tried)
            try:
                return await self._dialler.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class GuardedTransport(httpx.AsyncBaseTransport):
    """Pools guarded connections for httpx.

    On httpcore's connections, which are public API, but not on its pool: that one looks at every connection on every
    request, asking the kernel about each, and with a hundred requests at a time it gets through seventy a second.
    Here a request looks at the connections of its origin, the one that was used last first.
    """

    def __init__(self, backend: GuardedBackend, verify: ssl.SSLContext, max_connections: int) -> None:
        verify.set_alpn_protocols(["http/1.1"])
        self._backend = backend
        self._verify = verify
        self._places = asyncio.Semaphore(max_connections)
        self._max_connections = max_connections
        self._taken = 0
        self._idle: dict[httpcore.AsyncHTTP11Connection, _Origin] = {}  # the one that has been idle longest first
        self._idle_at: dict[_Origin, dict[httpcore.AsyncHTTP11Connection, None]] = {}
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("Only http and https are spoken.")
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        timeouts = request.extensions.get("timeout", {})
        origin = (url.origin.scheme, url.origin.host, url.origin.port)
        await self._wait_for_a_place(timeouts.get("pool"))
        connection = None
        try:
            with _httpx_errors():
                connection = await self._reused(origin) or await self._connected(url.origin, timeouts.get("connect"))
                answer = await connection.handle_async_request(sent)
        except BaseException:
            await self._give_back(connection, origin)
            raise
        stream = _Stream(answer.stream, lambda: self._give_back(connection, origin))
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, extensions=answer.extensions)

    async def aclose(self) -> None:
        """Close the idle connections. Those in use are closed when their answers are."""
        self._is_closed = True
        while self._idle:
            await self._oldest().aclose()

    async def _wait_for_a_place(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("Too many requests are under way.") from None
        self._taken += 1

    async def _reused(self, origin: _Origin) -> httpcore.AsyncHTTP11Connection | None:
        while idle := self._idle_at.get(origin):
            connection = next(reversed(idle))
            self._forget(connection)
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def _connected(self, origin: httpcore.Origin, seconds: float | None) -> httpcore.AsyncHTTP11Connection:
        while self._idle and len(self._idle) + self._taken > self._max_connections:
            await self._oldest().aclose()
        host = origin.host.decode("ascii")
        stream = await self._backend.connect_tcp(host, origin.port, seconds)
        if origin.scheme == b"https":
            try:
                stream = await stream.start_tls(self._verify, host, seconds)
            except BaseException:
                await stream.aclose()  # httpcore does so after an error, but not when it is cancelled
                raise
        return httpcore.AsyncHTTP11Connection(origin, stream, KEEPALIVE_SECONDS)

    async def _give_back(self, connection: httpcore.AsyncHTTP11Connection | None, origin: _Origin) -> None:
        """Free the place; keep the connection if its answer was read to the end, else close it."""
        try:
            if connection is not None and connection.is_idle() and not self._is_closed:
                self._idle[connection] = origin
                self._idle_at.setdefault(origin, {})[connection] = None
            elif connection is not None:
                await connection.aclose()
            while self._idle and next(iter(self._idle)).has_expired():
                await self._oldest().aclose()
        finally:
            self._taken -= 1
            self._places.release()

    def _oldest(self) -> httpcore.AsyncHTTP11Connection:
        connection = next(iter(self._idle))
        self._forget(connection)
        return connection

    def _forget(self, connection: httpcore.AsyncHTTP11Connection) -> None:
        origin = self._idle.pop(connection)
        del self._idle_at[origin][connection]
        if not self._idle_at[origin]:
            del self._idle_at[origin]


class _Stream(httpx.AsyncByteStream):
    """httpcore's body, with httpx's errors, which gives its connection back once."""

    def __init__(self, body: Any, give_back: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._give_back: Callable[[], Awaitable[None]] | None = give_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for chunk in self._body:
                yield chunk

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            try:
                await self._body.aclose()
            finally:
                await give_back()


@contextlib.contextmanager
def _httpx_errors() -> Iterator[None]:
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        named = getattr(httpx, type(error).__name__, httpx.TransportError)  # the two libraries use the same names
        raise named(str(error)) from error


class _NoCookies(http.cookiejar.CookieJar):
    """Keeps nothing: the client is shared by every run of every owner."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        return


def guarded_client(
    allow: Allow | Sequence[str] = (),
    *,
    max_connections: int = 200,
    resolver: Resolver | None = None,
    verify: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """A client to share, for public addresses and ``allow``: pooled, without cookies, proxies, netrc or redirects.

    Callers follow redirects themselves, since httpx would read a redirect's body whole, however large. `read_bounded`
    reads an answer; httpx's own decoders have no limit. A private CA comes in by ``SSL_CERT_FILE``, OpenSSL's variable.
    """
    if not isinstance(allow, Allow):
        allow = parse_allow(allow if isinstance(allow, str) else ",".join(allow))
    for chatty in ("httpx", "httpcore"):  # they log whole URLs at INFO and headers at DEBUG, with the secrets in them
        logging.getLogger(chatty).setLevel(logging.WARNING)
    verify = verify or httpx.create_ssl_context()
    return httpx.AsyncClient(
        transport=GuardedTransport(GuardedBackend(allow, resolver), verify, max_connections),
        headers={"Accept-Encoding": "gzip, deflate", "User-Agent": f"stepwire/{__version__}"},
        cookies=_NoCookies(),
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


async def read_bounded(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The body, decompressed and cut to ``limit`` bytes, and whether it was cut. Needs at most three times that memory.

    Raises:
        httpx.DecodingError: the compressed data is broken.
    """
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) > limit:
            break
    data, is_cut = bytes(raw), len(raw) > limit
    codings = [part.strip().lower() for part in response.headers.get("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if data and len(codings) <= MAX_CODINGS and all(coding in ("gzip", "x-gzip", "deflate") for coding in codings):
        for coding in reversed(codings):
            data, is_cut = _inflated(data, coding, limit, is_cut)
    return data[:limit], is_cut


def _inflated(data: bytes, coding: str, limit: int, is_cut: bool) -> tuple[bytes, bool]:
    """At most one byte more than ``limit``, whatever the data say: a bomb goes off in a small room."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS if coding == "deflate" else zlib.MAX_WBITS | 16)
    try:
        try:
            plain = inflater.decompress(data, limit + 1)
        except zlib.error:
            if coding != "deflate":
                raise
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # many servers leave zlib's header out (RFC 9110, 8.4.1.2)
            plain = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"The {coding} data is broken.") from error
    if len(plain) <= limit and not is_cut and not inflater.eof:
        raise httpx.DecodingError(f"The {coding} data is incomplete.")
    return plain, is_cut or len(plain) > limit
