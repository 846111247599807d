"""The studio as somebody has it open: signed in by a link, watched for errors and for requests to elsewhere."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Locator, Page

from stack import PATIENCE_SECONDS, Api
from stepwire.auth.sealed import sign_in_code
from stepwire.settings import EMBEDDED_OWNER

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def link(api: Api, url: str | None = None) -> str:
    """What `stepwire studio` prints."""
    return f"{url or api.url}/studio/#code={sign_in_code(api.secret, time.time())}"


@asynccontextmanager
async def opened(
    browser: Browser, api: Api, *, url: str | None = None, expects_errors: bool = False, **context: Any
) -> AsyncIterator[Page]:
    """A page of a new visitor, who has signed in. ``expects_errors``: the network is to break."""
    said: list[str] = []
    async with await browser.new_context(**{"viewport": WIDE, **context}) as visitor:
        visitor.set_default_timeout(PATIENCE_SECONDS * 1000)
        page = await visitor.new_page()
        home = (url or api.url).removeprefix("http://")
        page.on(
            "request", lambda request: said.append(f"asked {request.url}") if _is_foreign(request.url, home) else None
        )
        page.on("pageerror", lambda error: said.append(f"thrown: {error}"))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        await page.goto(link(api, url))
        await page.wait_for_url("**/workflows")
        yield page
    excused = ("Failed to load resource", "WebSocket") if expects_errors else ()
    unwanted = [each for each in said if not any(words in each for words in excused)]
    assert not unwanted, f"thrown, refused, or asked for elsewhere: {unwanted}"


def _is_foreign(url: str, home: str) -> bool:
    return not url.startswith((f"http://{home}/", "data:", f"blob:http://{home}/"))


def own(api: Api) -> Api:
    """The API as the embedded mode's one owner uses it, who is who signs in by links."""
    mine = Api(api.url, api.secret)
    mine.http.headers["Authorization"] = f"Bearer {api.token(EMBEDDED_OWNER)}"
    return mine


def step(page: Page, step_id: str) -> Locator:
    """The node of a step."""
    return page.locator(f'.react-flow__node[data-id="{step_id}"]')


async def open_workflow(page: Page, workflow_id: str) -> None:
    await page.goto(f"{page.url.partition('/studio')[0]}/studio/workflows/{workflow_id}")
    await page.locator(".react-flow__viewport").wait_for()


def laid_out(drawing: dict[str, Any]) -> dict[str, Any]:
    """With its nodes beside each other, so that each can be clicked."""
    for number, each in enumerate(drawing["nodes"]):
        each["position"] = {"x": number * 260, "y": 0}
    return drawing
