"""The studio with Supabase's sign-in: its own library against a service that answers as Supabase Auth does."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Browser, expect

from factories import chain, node
from stack import Api, another_api
from stepwire.auth.tokens import mint

EMAIL, PASSWORD = "ada@example.com", "correct horse"
LIFETIME_SECONDS = 3600


class Auth:
    """Passwords and refresh tokens for access tokens. Source: github.com/supabase/auth, openapi.yaml, POST /token."""

    def __init__(self, secret: str) -> None:
        self.user, self.asked, self.lifetime = uuid4(), list[str](), LIFETIME_SECONDS
        auth = self

        class Handler(BaseHTTPRequestHandler):
            def do_OPTIONS(self) -> None:
                self.answer(204, None)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                kind = self.path.partition("grant_type=")[2]
                auth.asked.append(kind or self.path)
                if kind == "password" and (body["email"], body["password"]) != (EMAIL, PASSWORD):
                    self.answer(
                        400, {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
                    )
                elif self.path.startswith("/auth/v1/logout"):
                    self.answer(204, None)
                else:
                    self.answer(200, auth.session(secret))

            def answer(self, status: int, body: Any) -> None:
                self.send_response(status)
                for name in ("origin", "headers", "methods"):
                    self.send_header(f"access-control-allow-{name}", "*")
                self.send_header("content-type", "application/json")
                content = b"" if body is None else json.dumps(body).encode()
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def session(self, secret: str) -> dict[str, Any]:
        token = mint(secret, self.user, lifetime_seconds=self.lifetime, now=time.time(), supabase_url=self.url)
        user = {"id": str(self.user), "aud": "authenticated", "role": "authenticated", "email": EMAIL}
        return {
            "access_token": token, "token_type": "bearer", "expires_in": LIFETIME_SECONDS,
            "expires_at": int(time.time()) + LIFETIME_SECONDS, "refresh_token": uuid4().hex, "user": user,
        }  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def auth(services: dict[str, str]) -> Iterator[Auth]:
    with closing(Auth(services["SUPABASE_JWT_SECRET"])) as auth:
        yield auth


@pytest.fixture
def hosted(services: dict[str, str], workplace: Path, auth: Auth, server: Api) -> Iterator[Api]:
    """An API as an operator with a Supabase project runs it."""
    project = {"SUPABASE_URL": auth.url, "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x", "STEPWIRE_EMBEDDED": ""}
    with another_api(services | project, workplace / "hosted.log") as api:
        yield api


async def test_who_signs_in_stays_signed_in_and_the_socket_is_renewed_in_place(
    chromium: Browser, hosted: Api, auth: Auth, server: Api
) -> None:
    async with await chromium.new_context() as visitor:
        page = await visitor.new_page()
        await page.goto(f"{hosted.url}/studio/")
        await page.get_by_label("E-mail").fill(EMAIL)
        await page.get_by_label("Password").fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("Invalid login credentials")).to_be_visible()
        auth.lifetime = 4  # the socket renews at four fifths of what its token has left
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("button", name="New workflow")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("button", name="New workflow")).to_be_visible()

        run = _run(server, auth.user)
        sent: list[str] = []
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(str(frame))))
        await page.goto(f"{hosted.url}/studio/runs/{run}")
        await expect(page.locator(".run-head .status")).to_contain_text("completed")
        assert [each for each in sent if '"type":"auth"' in each], "the session is renewed by a frame"
        assert "password" in auth.asked
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password")).to_be_visible()


def _run(server: Api, owner: UUID) -> str:
    """A run of somebody's that takes a while."""
    with server.client(owner) as client:
        drawn = chain(node("wait", "core.delay", {"duration": 6}))
        workflow_id = client.post("/api/v1/workflows", json={"name": "Slow", "definition": drawn}).json()["id"]
        client.post(f"/api/v1/workflows/{workflow_id}/publish")
        return str(client.post(f"/api/v1/workflows/{workflow_id}/run").json()["id"])
