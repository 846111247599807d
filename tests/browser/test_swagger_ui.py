"""Swagger UI in a browser without a network: authorise, try operations out, see what they answer."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import ConsoleMessage, Locator, Page, Route, expect

from stack import Api


@dataclass
class Reader:
    """Somebody at `/docs`; what the page did behind their back."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def try_out(self, operation: str, **parameters: str) -> Locator:
        """The block of an operation, opened, tried out with its prefilled body, and answered."""
        block = self.page.locator(f"[id$='-{operation}'].opblock")
        await block.locator(".opblock-summary-control").click()
        await block.get_by_role("button", name="Try it out").click()
        for name, value in parameters.items():
            await block.locator(f"tr[data-param-name='{name}'] input").fill(value)
        await block.get_by_role("button", name="Execute").click()
        return block

    async def answer(self, block: Locator, status: int) -> Any:
        live = block.locator(".live-responses-table")
        await expect(live.locator(".response-col_status").nth(1)).to_have_text(str(status))
        return json.loads(await live.locator(".highlight-code code").first.inner_text())


@pytest.fixture
async def reader(page: Page, server: Api) -> Reader:
    someone = Reader(page)

    async def stay_offline(route: Route) -> None:
        if route.request.url.startswith((server.url, "data:")):
            await route.continue_()
        else:
            someone.elsewhere.append(route.request.url)
            await route.abort()

    await page.context.route("**/*", stay_offline)
    page.on("console", someone.heard)
    page.on("pageerror", lambda error: someone.complaints.append(str(error)))
    await page.goto(f"{server.url}/docs")
    return someone


async def test_a_reader_authorises_creates_and_runs_without_a_network(reader: Reader, server: Api) -> None:
    page = reader.page
    await page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".dialog-ux")
    await dialog.locator("input").fill(server.token(uuid4()))
    await dialog.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close").click()

    workflow = await reader.answer(await reader.try_out("createWorkflow"), 201)
    await reader.answer(await reader.try_out("publishWorkflow", workflow_id=workflow["id"]), 200)
    run = await reader.answer(await reader.try_out("startRun", workflow_id=workflow["id"]), 201)

    assert run["workflow_id"] == workflow["id"]
    assert reader.elsewhere == []
    assert reader.complaints == []
