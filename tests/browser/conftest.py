"""Fixtures: Chromium, and a site at `http://localhost:5173` whose pages use the API through a generated client."""

import functools
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import node
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from stack import PATIENCE_SECONDS, Api
from studio import own

EDITOR, FOREIGN = "http://localhost:5173", "http://localhost:5174"
BUILD = node.HERE / "build"
expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture(scope="session")
def generated(server: Api) -> Path:
    """The types of the client, from the document of the server that runs."""
    BUILD.mkdir(exist_ok=True)
    document, types = BUILD / "openapi.json", BUILD / "api.d.ts"
    document.write_bytes(server.http.get("/docs/openapi.json").content)
    node.run("openapi-typescript", str(document), "--output", str(types))
    return types


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def site(generated: Path, workplace: Path) -> Iterator[int]:
    """The port of the site; Chromium finds it under any name that `chromium` maps to it."""
    folder = workplace / "site"
    folder.mkdir()
    shutil.copy(node.HERE / "page" / "index.html", folder)
    node.run("esbuild", "page/main.ts", "--bundle", "--format=esm", "--sourcemap=inline", f"--outdir={folder}")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="session")
async def chromium(site: int) -> AsyncIterator[Browser]:
    """Headless Chromium, to which the ports 5173 and 5174 are the site's: so nobody's own development server is in the way."""
    rules = ", ".join(f"MAP {origin.removeprefix('http://')} 127.0.0.1:{site}" for origin in (EDITOR, FOREIGN))
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            chromium_sandbox=os.geteuid() != 0,
            args=[f"--host-resolver-rules={rules}"],
        ) as browser,
    ):
        yield browser


@pytest.fixture
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page in a fresh profile."""
    async with await chromium.new_context() as context:
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        yield await context.new_page()


@pytest.fixture
def mine(server: Api) -> Iterator[Api]:
    """The API as whoever is signed in to the studio uses it."""
    api = own(server)
    with closing(api.http):
        yield api
