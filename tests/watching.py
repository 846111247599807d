"""Clients that watch runs: by socket and by server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from stack import Api


@asynccontextmanager
async def watching(server: Api, run_id: str, query: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
    options.setdefault("additional_headers", {"Authorization": f"Bearer {server.token()}"})
    url = f"{server.url.replace('http', 'ws')}/ws/runs{f'/{run_id}' if run_id else ''}{query}"
    async with connect(url, proxy=None, **options) as socket:
        yield socket


async def frames(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """Everything until the end, and the code that it ended with."""
    found: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(60):
            while True:
                found.append(json.loads(await socket.recv()))
    except ConnectionClosed as closed:
        return found, closed.rcvd.code if closed.rcvd else 1006


@contextmanager
def streaming(server: Api, run_id: str, query: str = "", **headers: str) -> Iterator[httpx.Response]:
    headers = {"Accept": "text/event-stream", **headers}
    with server.http.stream("GET", f"/api/v1/runs/{run_id}/events{query}", headers=headers) as response:
        yield response


def sent(response: httpx.Response) -> list[dict[str, Any]]:
    """Everything until the end, each with the id that a browser would come back with."""
    found = []
    for block in response.read().decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            found.append({"id": int(fields["id"]), **json.loads(fields["data"])})
    return found


def stream(server: Api, run_id: str, query: str = "", **headers: str) -> list[dict[str, Any]]:
    with streaming(server, run_id, query, **headers) as response:
        assert response.status_code == 200, response.read()
        return sent(response)
