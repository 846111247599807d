"""The shop, the weather station and the chat that the examples call: one small HTTP service on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

MEASUREMENTS = [
    {"at": "2026-07-03T12:00:00Z", "sensor": "roof", "celsius": 34.5, "quality": "good"},
    {"at": "2026-07-03T12:00:00Z", "sensor": "yard", "celsius": 31, "quality": "good"},
    {"at": "2026-07-03T12:00:00Z", "sensor": "cellar", "celsius": 17.25, "quality": "good"},
    {"at": "2026-07-03T12:00:00Z", "sensor": "gate", "celsius": 85, "quality": "suspect"},
]
MAX_BODY = 1 << 20


class Service(ThreadingHTTPServer):
    """Remembers what it was asked; the warehouse fails the first reservation, as if it had just woken up."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.calls: list[tuple[str, int]] = []
        self.bodies: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, call: str, body: Any) -> tuple[int, Any]:
        """The status and the body of an answer to a method and path."""
        with self._lock:
            is_first = all(earlier != call for earlier, _ in self.calls)
            status, value = _answer(call, is_first=is_first)
            self.calls.append((call, status))
            self.bodies[call] = body
        return status, value


def _answer(call: str, *, is_first: bool) -> tuple[int, Any]:
    match call:
        case "POST /reservations":
            return (503, {"error": "The warehouse is waking up."}) if is_first else (201, {"id": "R-7"})
        case "POST /charges":
            return 200, {"id": "ch_1042", "status": "paid"}
        case "GET /measurements":
            return 200, {"items": MEASUREMENTS}
        case "POST /chat/messages" | "POST /summaries":
            return 202, {"ok": True}
    return 404, {"error": "There is nothing here."}


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
        sent = self.rfile.read(length)
        call = f"{self.command} {urlsplit(self.path).path}"
        status, value = self.server.answer(call, json.loads(sent) if sent else None)
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _respond  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The demonstration tells what was called itself."""


@contextmanager
def running_service(port: int = 0) -> Iterator[Service]:
    """The service, on a free port or a given one, for as long as the context lasts."""
    with Service(port) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.05,), name="service", daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
