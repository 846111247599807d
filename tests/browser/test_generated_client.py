"""A client generated from the OpenAPI document does the editor's whole journey, from a page at another origin."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import node
import pytest
from playwright.async_api import Page

from conftest import EDITOR, FOREIGN
from factories import chain
from factories import node as step
from stack import PATIENCE_SECONDS, Api, another_api

JOURNEYS = ["draw", "publish", "duplicate", "run", "hold", "cancel", "retry", "list", "nobody"]


async def travel(
    page: Page, journey: str, api: Api, origin: str = EDITOR, owner: UUID | None = None, **more: str
) -> None:
    """Do one of the journeys of `page/main.ts`, which throws where something is not as expected."""
    await page.goto(origin)
    place = {"api": api.url, "token": api.token(owner or uuid4()), **more}
    async with asyncio.timeout(PATIENCE_SECONDS):
        await page.evaluate("([journey, place]) => journeys[journey](place)", [journey, place])


@pytest.fixture
def limited(server: Api, server_environment: dict[str, str], workplace: Path) -> Iterator[Api]:
    """A second API, that answers each owner once a second."""
    with another_api(server_environment | {"STEPWIRE_RATE_LIMIT": "1"}, workplace / "limited.log") as api:
        yield api


def test_the_client_compiles_strictly_and_needs_no_casts(generated: Path) -> None:
    node.run("tsc")
    node.run("eslint", "--max-warnings=0", "page")


@pytest.mark.parametrize("journey", JOURNEYS)
async def test_a_page_does_the_journey(page: Page, server: Api, journey: str) -> None:
    await travel(page, journey, server)


async def test_a_page_reads_how_long_to_wait(page: Page, limited: Api) -> None:
    await travel(page, "tooMany", limited)


async def test_a_page_at_a_foreign_origin_gets_nothing(page: Page, server: Api) -> None:
    owner = uuid4()
    with server.client(owner) as client:
        made = client.post(
            "/api/v1/workflows", json={"name": "Private", "definition": chain(step("wait", "core.delay"))}
        )
        workflow = made.json()["id"]
        client.post(f"/api/v1/workflows/{workflow}/publish")
        run = client.post(f"/api/v1/workflows/{workflow}/run").json()["id"]

        await travel(page, "foreign", server, FOREIGN, owner, run=run)

        assert [item["name"] for item in client.get("/api/v1/workflows").json()["items"]] == ["Private"]
        client.post(f"/api/v1/runs/{run}/cancel")
