"""Clients of `/ws/runs/{run_id}` in a process of their own, as cheap as clients can be: frames are counted, their order is
checked, and only some are looked into. Told what to do as JSON in the first argument; says "ready", then the figures.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

CONNECTING_AT_ONCE = 100
SAMPLED = 20  # one socket in so many notes when each event comes
FIRST = 6  # the first event that counts: those before it are of the run's start, and its wait for watchers
CLOSE = bytes((0x88, 0x80, 0, 0, 0, 0))  # masked with nothing


class Watcher(asyncio.Protocol):
    """One socket, until the server closes it."""

    def __init__(self, came: list[tuple[int, float]] | None) -> None:
        loop = asyncio.get_running_loop()
        self.is_open, self.is_closed = loop.create_future(), loop.create_future()
        self.seq: int | None = None  # of the last frame
        self.events = self.holes = 0
        self.began_at = self.last_at = 0.0
        self._came = came
        self._buffer = b""
        self._has_head = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._has_head:
            head, separator, rest = buffer.partition(b"\r\n\r\n")
            if not separator:
                self._buffer = buffer
                return
            if b" 101 " not in head[:20]:
                raise SystemExit(head.decode())
            self._has_head, buffer = True, rest
        place = 0
        while len(buffer) - place >= 2:
            length, start = buffer[place + 1], place + 2
            if length >= 126:
                size = 2 if length == 126 else 8
                if len(buffer) - start < size:
                    break
                length, start = int.from_bytes(buffer[start : start + size], "big"), start + size
            if len(buffer) - start < length:
                break
            if buffer[place] & 15 == 1:
                self._take(buffer[start : start + length])
            elif buffer[place] & 15 == 8:
                self.transport.write(CLOSE)
            place = start + length
        self._buffer = buffer[place:]

    def _take(self, frame: bytes) -> None:
        at = frame.index(b'"seq":') + 6
        seq = int(frame[at : at + 12].split(b",")[0])
        if self.seq is None:
            self.is_open.set_result(None)
        else:
            self.holes += seq != self.seq + 1
        if self.seq is not None and seq >= FIRST:
            self.events += 1
            self.last_at = time.perf_counter()
            self.began_at = self.began_at or self.last_at
            if self._came is not None:
                self._came.append((seq, time.time()))
        self.seq = seq

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.is_open, self.is_closed):
            if not future.done():
                future.set_result(None)


async def connect(told: dict[str, Any], run_id: str, came: list[tuple[int, float]] | None) -> Watcher:
    _, watcher = await asyncio.get_running_loop().create_connection(lambda: Watcher(came), "127.0.0.1", told["port"])
    watcher.transport.write(
        f"GET /ws/runs/{run_id} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer "
        f"{told['token']}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    await watcher.is_open
    return watcher


async def main() -> None:
    told = json.loads(sys.argv[1])
    came: list[tuple[int, float]] = []
    room = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def one(number: int) -> Watcher:
        async with room:
            is_sampled = number % min(SAMPLED, told["sockets"]) == 0
            return await connect(told, told["runs"][number % len(told["runs"])], came if is_sampled else None)

    watchers = await asyncio.gather(*map(one, range(told["sockets"])))
    print("ready", flush=True)
    if told["is_idle"]:
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps({"open": sum(not watcher.is_closed.done() for watcher in watchers)}), flush=True)
        return
    await asyncio.gather(*(watcher.is_closed for watcher in watchers))
    figures = {
        "seconds": max(each.last_at for each in watchers) - min(each.began_at for each in watchers),
        "deliveries": sum(watcher.events for watcher in watchers),
        "holes": sum(watcher.holes for watcher in watchers),
        "lasts": sorted({watcher.seq or 0 for watcher in watchers}),
        "came": came,
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
