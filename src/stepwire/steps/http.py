"""``http.request``: call an endpoint and hand its answer downstream."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urlencode

import httpx
import msgspec
from msgspec import UNSET, Meta, UnsetType

from stepwire.definition.durations import seconds_of
from stepwire.definition.plan import StepKind
from stepwire.steps.base import BuiltIn, EffectContext, Outcome, StepFailed
from stepwire.steps.guard import CONNECT_SECONDS, AddressRefused, read_bounded
from stepwire.steps.outcome import is_deeper

MAX_REQUEST_BYTES = 1 << 20
MAX_RESPONSE_BYTES = (1 << 20) - (16 << 10)  # a step's output may have 1 MiB; the rest is for the headers
MAX_ERROR_BYTES = 4 << 10
MAX_URL_LENGTH = 8 << 10
MAX_TIMEOUT_SECONDS = 300.0
MAX_REDIRECTS = 10
MAX_RETRY_AFTER_SECONDS = 86400.0
MAX_JSON_DEPTH = 60  # below the 64 of a whole document, since the body sits inside the output

Scalar = str | int | float | bool
Values = dict[str, Scalar | list[Scalar | None] | None]

_BODIES = ("json", "form", "text")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_IN_A_KEY = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")  # a step's id may be any text
# The first ones frame the message. Host would pick another site at an address that was opened for one name.
_OURS = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "host"})
# What another origin gets on a redirect. A list of what may pass, since nobody can list what is secret: X-Api-Key, …
_PASSED_ON = frozenset(
    (
        *("accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type", "host"),
        *("idempotency-key", "transfer-encoding", "user-agent"),
    )
)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
# Only these are looked up: Python's codecs include some that take quadratic time (punycode) or make lone surrogates.
_KNOWN_CHARSET = re.compile(
    r"us-ascii|ascii|utf-?8|utf-?(?:16|32)(?:-?[lb]e)?|iso-?8859-(?:[1-9]|1[0-6])|latin-?1|windows-125[0-8]|cp125[0-8]"
    r"|koi8-[ru]|shift_jis|windows-31j|euc-(?:jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5",
    re.IGNORECASE,
)
_TEXTUAL = re.compile(
    r"text/.*|.*\+(?:json|xml)|application/(?:json|xml|javascript|x-www-form-urlencoded|x-ndjson|yaml)"
)
_JSON = re.compile(r"(?:application|text)/json|.*\+json")


class HttpRequestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[
        str, Meta(title="URL", description="http or https", min_length=1, examples=["https://api.example.com/orders"])
    ]
    method: Annotated[Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"], Meta(title="Method")] = "GET"
    query: Annotated[
        Values,
        Meta(
            title="Query",
            description="Added to the URL's own query. A list repeats its name; null leaves it out.",
            examples=[{"page": 2, "tag": ["new", "paid"]}],
        ),
    ] = {}
    headers: Annotated[
        dict[str, Scalar],
        Meta(
            title="Headers",
            description="Idempotency-Key and User-Agent are sent anyway, unless they are given here.",
            examples=[{"Authorization": "Bearer {{ secrets.shop }}"}],
        ),
    ] = {}
    json: Annotated[Any, Meta(title="JSON body", description="Any value, null included", examples=[{"id": 7}])] = UNSET
    form: Annotated[Values | UnsetType, Meta(title="Form body", examples=[{"name": "Ada"}])] = UNSET
    text: Annotated[str | UnsetType, Meta(title="Text body", description="Sent as UTF-8", examples=["hello"])] = UNSET
    expect: Annotated[
        list[Annotated[int, Meta(ge=100, le=599)]],
        Meta(
            title="Expected statuses",
            description="Any other status fails the attempt. Empty: 200 to 299. A redirect named here is not followed.",
            examples=[[200, 404]],
        ),
    ] = []
    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_SECONDS)] | Annotated[str, Meta(pattern="^P")],
        Meta(
            title="Timeout",
            description="Seconds, or an ISO 8601 duration, for the whole attempt; at most 300 seconds.",
            examples=[30, "PT1M"],
        ),
    ] = 30.0
    follow_redirects: Annotated[bool, Meta(title="Follow redirects", description="Up to ten")] = True

    def __post_init__(self) -> None:
        problem = _too_many_bodies([name for name in _BODIES if getattr(self, name) is not UNSET])
        problem = problem or _bad_timeout(self.timeout)
        if problem:
            raise ValueError(problem)  # msgspec makes it a ValidationError


class HttpRequest(BuiltIn):
    """Call an endpoint and hand its status, headers and body downstream.

    Sends the step's key as ``Idempotency-Key``: an attempt may run twice when a worker dies.
    """

    type: ClassVar[str] = "http.request"
    kind: ClassVar[StepKind] = "effect"
    title: ClassVar[str] = "HTTP request"
    description: ClassVar[str] = (
        "Calls an endpoint. Connection errors, timeouts, 408, 429 and 5xx are retried; other unexpected statuses fail."
    )
    category = "Network"
    icon = "globe"
    config = HttpRequestConfig
    output_schema: ClassVar[dict[str, Any] | None] = {
        "type": "object",
        "properties": {
            "status": {"type": "integer"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "body": {"description": "Decoded where it is JSON, otherwise text; base64 where it is not text"},
            "encoding": {"const": "base64", "description": "Present where the body is base64"},
        },
        "required": ["status", "headers", "body"],
    }
    examples: ClassVar[list[dict[str, Any]]] = [
        {"url": "https://api.example.com/orders", "query": {"status": "paid"}},
        {
            "method": "POST",
            "url": "https://api.example.com/orders",
            "headers": {"Authorization": "Bearer {{ secrets.shop }}"},
            "json": {"id": "{{ input.id }}"},
            "expect": [200, 201, 409],
            "timeout": "PT10S",
        },
    ]

    def check(self, config: Mapping[str, Any]) -> str | None:
        timeout = config.get("timeout", 30.0)
        problem = None if isinstance(timeout, str) and "{{" in timeout else _bad_timeout(timeout)
        return _too_many_bodies([name for name in _BODIES if name in config]) or problem

    async def execute(self, config: HttpRequestConfig, context: EffectContext) -> Outcome:
        seconds = seconds_of(config.timeout)
        request = _request(config, context, min(seconds, CONNECT_SECONDS))
        called = f"{request.method} {_shown(request.url)}"
        try:
            async with asyncio.timeout(seconds):
                response = await _send(context.http, request, config)
                try:
                    return await _outcome(response, config)
                finally:
                    await response.aclose()
        except AddressRefused as error:
            raise StepFailed("address-refused", f"{called} is refused: {error}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            is_unconnected = isinstance(error, httpx.ConnectTimeout)
            what, limit = ("connect", min(seconds, CONNECT_SECONDS)) if is_unconnected else ("answer", seconds)
            raise StepFailed(
                "http-timeout", f"{called} did not {what} in time ({limit:g} s).", is_retryable=True
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise StepFailed("bad-url", f"{called} redirected to a URL that cannot be followed.") from error
        except (httpx.HTTPError, OSError) as error:
            # h11 quotes what it will not send, so its words about our own side stay out of the message.
            reason = "" if isinstance(error, httpx.LocalProtocolError) else str(error)[:300]
            message = f"{called} failed: {reason or type(error).__name__}"
            raise StepFailed("http-connection", message, is_retryable=True) from error


def _too_many_bodies(given: list[str]) -> str | None:
    return f"Give one body, not {' and '.join(given)}." if len(given) > 1 else None


def _bad_timeout(timeout: Any) -> str | None:
    try:
        is_good = 0 < seconds_of(timeout) <= MAX_TIMEOUT_SECONDS
    except ValueError as error:
        return f"The timeout is wrong: {error}"
    return None if is_good else f"The timeout is over 0 and at most {MAX_TIMEOUT_SECONDS:g} seconds."


def _request(config: HttpRequestConfig, context: EffectContext, connect_seconds: float) -> httpx.Request:
    content, content_type = _content(config)
    if content is not None and len(content) > MAX_REQUEST_BYTES:
        raise StepFailed("request-too-large", f"The body has {len(content)} bytes; {MAX_REQUEST_BYTES} are allowed.")
    defaults = {"Idempotency-Key": quote(context.idempotency_key, safe=_IN_A_KEY), "Content-Type": content_type}
    given = {name.lower() for name in config.headers}
    headers = [_header(name, value) for name, value in config.headers.items()]
    headers += [_header(name, value) for name, value in defaults.items() if value and name.lower() not in given]
    return context.http.build_request(
        config.method,
        _url(config),
        headers=headers,
        content=content,
        timeout=httpx.Timeout(None, connect=connect_seconds),  # `execute` times the rest
    )


def _content(config: HttpRequestConfig) -> tuple[bytes | None, str | None]:
    if config.json is not UNSET:
        return msgspec.json.encode(config.json), "application/json"
    if not isinstance(config.form, UnsetType):
        return urlencode(_pairs(config.form)).encode(), "application/x-www-form-urlencoded"
    if not isinstance(config.text, UnsetType):
        return config.text.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    return None, None


def _pairs(values: Values) -> list[tuple[str, str]]:
    """Names and texts, lists spread out, nulls left out."""
    spread = ((name, value if isinstance(value, list) else [value]) for name, value in values.items())
    return [(name, _text(item)) for name, items in spread for item in items if item is not None]


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _header(name: str, value: Scalar) -> tuple[bytes, bytes]:
    text = _text(value).strip(" \t")
    if not _TOKEN.fullmatch(name):
        raise StepFailed("bad-header", f"{name[:60]!r} is not a name that a header can have.")
    if name.lower() in _OURS:
        raise StepFailed("bad-header", f"The header {name} cannot be set.")
    if _NOT_IN_A_VALUE.search(text):
        raise StepFailed("bad-header", f"The header {name} has a line break or another control character in it.")
    return name.encode(), text.encode("utf-8", "replace")


def _url(config: HttpRequestConfig) -> httpx.URL:
    try:
        url = httpx.URL(config.url.strip())
        if pairs := _pairs(config.query):
            query = b"&".join(filter(None, (url.query, urlencode(pairs).encode())))
            url = url.copy_with(query=query)
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: lone surrogates
        raise StepFailed("bad-url", "The URL is not a URL that can be read.") from error
    return _checked(url)


def _checked(url: httpx.URL) -> httpx.URL:
    if url.scheme not in ("http", "https"):
        raise StepFailed("bad-url", "The URL does not begin with http:// or https://.")
    try:
        host = url.host
    except UnicodeError:  # httpx decodes it: xn-- and what IDNA 2008 does not have
        raise StepFailed("bad-url", "The URL's host is not a name that can be read.") from None
    if not host:
        raise StepFailed("bad-url", "The URL names no host.")
    if url.port is not None and not 0 < url.port < 65536:
        raise StepFailed("bad-url", "The URL's port is not between 1 and 65535.")
    if len(str(url)) > MAX_URL_LENGTH:
        raise StepFailed("bad-url", f"The URL is longer than {MAX_URL_LENGTH} characters.")
    return url


def _shown(url: httpx.URL) -> str:
    """The URL as messages have it: without user, password, query and fragment, where credentials are."""
    return f"{url.scheme}://{url.netloc.decode()}{url.raw_path.decode().partition('?')[0][:200]}"


async def _send(client: httpx.AsyncClient, request: httpx.Request, config: HttpRequestConfig) -> httpx.Response:
    """Send and follow redirects; the caller closes what it gets."""
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        follows = config.follow_redirects and response.status_code not in config.expect
        if response.next_request is None or not follows:
            return response
        await response.aclose()  # unread: a redirect's body may have any size
        request = _redirected(request, response.next_request)
    raise StepFailed("too-many-redirects", f"More than {MAX_REDIRECTS} redirects, the last to {_shown(request.url)}.")


def _redirected(request: httpx.Request, following: httpx.Request) -> httpx.Request:
    """Httpx's idea of the next request, with the cookie that was given for this origin, and secrets for no other."""
    before, after = _origin(_checked(request.url)), _origin(_checked(following.url))
    host = request.url.host
    is_upgrade = (before, after) == (("http", host, None), ("https", host, None))
    if before == after or is_upgrade:
        for name in ("Authorization", "Cookie"):
            if name in request.headers:
                following.headers[name] = request.headers[name]
    else:
        for name in set(following.headers) - _PASSED_ON:
            del following.headers[name]
    return following


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return (url.scheme, url.host, url.port)  # httpx has None for the scheme's own port


async def _outcome(response: httpx.Response, config: HttpRequestConfig) -> Outcome:
    status = response.status_code
    is_expected = status in config.expect if config.expect else 200 <= status <= 299
    data, is_cut = await read_bounded(response, MAX_RESPONSE_BYTES if is_expected else MAX_ERROR_BYTES)
    output = {"status": status, "headers": dict(response.headers.items()), **_body(response, data)}
    called = f"{response.request.method} {_shown(response.request.url)}"
    if is_expected and is_cut:
        raise StepFailed("response-too-large", f"{called} answered with more than {MAX_RESPONSE_BYTES} bytes.")
    if is_expected:
        return Outcome(output)
    raise StepFailed(
        "http-status",
        f"{called} answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip(),
        details=output,
        is_retryable=status in (408, 429) or status >= 500,
        retry_after=_retry_after(response.headers.get("retry-after")),
    )


def _body(response: httpx.Response, data: bytes) -> dict[str, Any]:
    """The body as JSON has it. Content types lie, so what does not decode as declared is text, or else base64."""
    declared = response.headers.get("content-type", "")
    media_type = declared.partition(";")[0].strip().lower()
    charset = _CHARSET.search(declared)
    codec = charset[1] if charset and _KNOWN_CHARSET.fullmatch(charset[1]) else "utf-8"
    is_text = charset is not None or _TEXTUAL.fullmatch(media_type) is not None
    try:
        text = data.decode(codec, "replace" if is_text else "strict").removeprefix("\ufeff")
    except ValueError:
        return {"body": b64encode(data).decode(), "encoding": "base64"}
    if _JSON.fullmatch(media_type):
        try:
            value = msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return {"body": text}
        return {"body": text if is_deeper(value, MAX_JSON_DEPTH) else value}
    return {"body": text}


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, as the other side asks: a number of them, or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]+", value := value.strip()):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(value)
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
