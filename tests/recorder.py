"""A small HTTP service that remembers its requests and answers as told."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """``answers`` are given one after another, then 200 with ``{}``; while ``held`` is set, none is given."""

    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                recorder._answer(self)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that were killed
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Answer nothing until `let_go`."""
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    def close(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _answer(self, handler: BaseHTTPRequestHandler, chosen: int | None = None) -> None:
        """With the status that is ``chosen``, or with the next of the answers."""
        length = int(handler.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Request(handler.command, handler.path, headers, handler.rfile.read(length)))
        self._open.wait(60)
        status, extra, body = (chosen or 200, {}, {})
        if chosen is None and self.answers:
            status, extra, body = self.answers.pop(0)
        encoded = json.dumps(body).encode()
        try:
            handler.send_response(status)
            for name, value in {"content-type": "application/json", **extra}.items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(encoded)))
            handler.end_headers()
            handler.wfile.write(encoded)
        except OSError:
            handler.close_connection = True
