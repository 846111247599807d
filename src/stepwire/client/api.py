"""The REST half of the public API, as far as running a workflow needs it."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec

from stepwire.client.errors import CouldNotStart

TIMEOUT_SECONDS = 30.0
_T = TypeVar("_T")
_OK = range(200, 300)
_PLACES = (("node_id", "node "), ("edge_id", "edge "), ("path", ""), ("column", "column "))


class Run(msgspec.Struct, frozen=True):
    """The part of a run that is shown."""

    id: UUID
    status: str
    output: Any = None
    error: dict[str, Any] | None = None


class Started(msgspec.Struct, frozen=True):
    """A run, and whether an earlier request with the same idempotency key started it."""

    run: Run
    is_replayed: bool


class _Created(msgspec.Struct, frozen=True):
    id: UUID


class Server:
    """A Stepwire server. ``token`` is asked for each time, so that a minted one never runs out."""

    def __init__(self, url: str, token: Callable[[], str], client: httpx.Client) -> None:
        self.url = url
        self.token = token
        self._client = client

    @property
    def socket_url(self) -> str:
        """Where runs are watched."""
        return "ws" + self.url.removeprefix("http") + "/ws/runs"

    def start(self, workflow: dict[str, Any], value: dict[str, Any], key: str | None) -> Started:
        """Create, publish and run. A definition that cannot be published leaves no draft behind.

        Raises:
            CouldNotStart: with every issue that the server names.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        created = _accepted(self._post("/workflows", workflow, headers), _Created)
        path = f"/workflows/{created.id}"
        published = self._post(f"{path}/publish")
        if published.status_code not in _OK:
            with suppress(httpx.HTTPError):
                self._send("DELETE", path)
            raise CouldNotStart(refusal(published))
        answer = self._post(f"{path}/run", {"input": value}, headers)
        return Started(_accepted(answer, Run), answer.headers.get("Idempotency-Replayed") == "true")

    def run(self, run_id: UUID) -> Run:
        """A run as it is now.

        Raises:
            httpx.HTTPError: the server cannot be reached, or does not give it.
        """
        response = self._send("GET", f"/runs/{run_id}")
        response.raise_for_status()
        return msgspec.json.decode(response.content, type=Run)

    def _post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        try:
            return self._send("POST", path, body, headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CouldNotStart(unreachable(self.url, error)) from None

    def _send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        given = {"Authorization": f"Bearer {self.token()}", **(headers or {})}
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            given["Content-Type"] = "application/json"
        return self._client.request(method, f"{self.url}/api/v1{path}", content=content, headers=given)


@contextmanager
def connected(url: str, token: Callable[[], str]) -> Iterator[Server]:
    """A server to talk to; nothing is sent yet.

    Raises:
        CouldNotStart: the URL is none.
    """
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=not is_loopback(url)) as client:
        yield Server(checked_url(url), token, client)


def checked_url(url: str) -> str:
    """The URL without a slash at its end.

    Raises:
        CouldNotStart: it is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise CouldNotStart(f"{url!r} is not the URL of a server, such as http://127.0.0.1:8000.")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether it is this machine: then no proxy is asked, and a token of the local secret can be meant for it."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unreachable(url: str, error: Exception) -> str:
    """One sentence about a connection that does not come about."""
    if isinstance(error, httpx.TimeoutException):
        return f"{url} does not answer in time."
    return f"{url} cannot be reached: {reason(error)}."


def reason(error: Exception) -> str:
    """An exception's words, without the number that the operating system has for them."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).rstrip(".") or type(error).__name__


def refusal(response: httpx.Response) -> str:
    """What the server says, with every issue at its place."""
    problem = _problem(response)
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    if response.status_code == 401:
        return f"The server refuses the token: {detail}"
    if not problem:
        return f"{response.request.url} answers {response.status_code} {detail}; is it a Stepwire server?"
    issues = [issue for issue in problem.get("errors", []) if isinstance(issue, dict)]
    return "\n".join([detail, *(f"  {_place(issue)}{issue.get('message', '')}" for issue in issues)])


def _place(issue: dict[str, Any]) -> str:
    named = [(label, issue.get(key)) for key, label in _PLACES]
    place = ", ".join(f"{label}{value}" for label, value in named if value is not None and value != "")
    return f"{place}: " if place else ""


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _accepted(response: httpx.Response, kind: type[_T]) -> _T:
    if response.status_code not in _OK:
        raise CouldNotStart(refusal(response))
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, ValueError):
        raise CouldNotStart(f"{response.request.url} does not answer as a Stepwire server does.") from None
