"""The studio while drafts are changed elsewhere and the server is away for a while."""

import json
from typing import Any

from playwright.async_api import Browser, Page, Route, expect

from factories import chain
from factories import node as drawn
from stack import Api, until
from studio import laid_out, link, open_workflow, opened, step

SAVED = "Saved"


async def typed(page: Page, text: str) -> None:
    """Select the step and type its label."""
    await step(page, "a").click()
    await page.get_by_role("combobox", name="Message").wait_for()
    await page.get_by_label("Label").press_sequentially(text)


def draft(api: Api) -> str:
    return str(api.create(laid_out(chain(drawn("a", "core.log", {"message": "x"}))))["id"])


def stored(api: Api, workflow_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.http.get(f"/api/v1/workflows/{workflow_id}").json()
    return found


async def test_what_was_drawn_on_a_version_that_is_published_meanwhile_is_the_next_one(
    chromium: Browser, server: Api, mine: Api
) -> None:
    workflow_id = draft(mine)
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        await page.route("**/publish", _lose_the_answer)
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_role("alert").get_by_text("The server cannot be reached.")).to_be_visible()
        await typed(page, "Mine")
        dialog = page.get_by_role("dialog", name="This draft was changed elsewhere")
        await expect(dialog).to_contain_text("frozen")
        await expect(dialog.get_by_role("button", name="Keep mine", exact=True)).to_have_count(0)
        await dialog.get_by_role("button", name="Keep mine as the next version").click()
        await page.wait_for_url(lambda url: workflow_id not in url)
        await expect(page.locator(".saving")).to_have_text(SAVED)
        following = stored(mine, page.url.rpartition("/")[2])

    assert (following["version"], following["status"], following["source_id"]) == (2, "draft", workflow_id)
    assert following["definition"]["nodes"][0]["data"]["label"] == "Mine"
    assert stored(mine, workflow_id)["status"] == "published"


async def test_what_is_typed_while_it_is_published_is_not_lost(chromium: Browser, server: Api, mine: Api) -> None:
    workflow_id = draft(mine)
    async with opened(chromium, server, expects_errors=True) as page:

        async def publish(route: Route) -> None:
            answer = await route.fetch()
            await typed(page, "Late")
            await route.fulfill(response=answer)

        await open_workflow(page, workflow_id)
        await page.route("**/publish", publish)
        await page.get_by_role("button", name="Publish").click()
        await page.get_by_role("button", name="Keep mine as the next version").click()
        await page.wait_for_url(lambda url: workflow_id not in url)
        await expect(page.locator(".saving")).to_have_text(SAVED)
        following = stored(mine, page.url.rpartition("/")[2])

    assert following["definition"]["nodes"][0]["data"]["label"] == "Late"


async def _lose_the_answer(route: Route) -> None:
    await route.fetch()
    await route.abort()


async def test_a_version_that_is_published_meanwhile_is_shown_as_it_is(
    chromium: Browser, server: Api, mine: Api
) -> None:
    workflow_id = draft(mine)
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        await step(page, "a").wait_for()
        mine.http.post(f"/api/v1/workflows/{workflow_id}/publish").raise_for_status()
        await typed(page, "Mine")
        await page.get_by_role("button", name="Take theirs").click()
        await expect(page.get_by_text("This version is published, and frozen")).to_be_visible()
        await expect(page.get_by_role("button", name="Publish")).to_have_count(0)


async def test_what_was_drawn_on_a_draft_that_is_deleted_meanwhile_is_not_lost(
    chromium: Browser, server: Api, mine: Api
) -> None:
    workflow_id = draft(mine)
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        await step(page, "a").wait_for()
        mine.http.delete(f"/api/v1/workflows/{workflow_id}").raise_for_status()
        await typed(page, "Mine")
        await expect(page.get_by_text("This draft was deleted elsewhere.")).to_be_visible()
        await page.get_by_role("button", name="Keep mine as a copy").click()
        await page.wait_for_url(lambda url: workflow_id not in url)
        await expect(page.locator(".saving")).to_have_text(SAVED)
        copy = stored(mine, page.url.rpartition("/")[2])

    assert copy["definition"]["nodes"][0]["data"]["label"] == "Mine"


async def test_who_goes_on_typing_chooses_no_version(chromium: Browser, server: Api, mine: Api) -> None:
    workflow_id = draft(mine)
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        theirs = stored(mine, workflow_id)["definition"] | {"theirs": True}
        await typed(page, "M")
        mine.http.put(f"/api/v1/workflows/{workflow_id}", json={"definition": theirs}).raise_for_status()
        dialog = page.get_by_role("dialog", name="This draft was changed elsewhere")
        await dialog.wait_for()
        for key in ("Space", "Enter", "x", "Escape"):
            await page.keyboard.press(key)
        await expect(dialog).to_be_visible()
        await dialog.get_by_role("button", name="Keep mine", exact=True).click()
        until(
            lambda: stored(mine, workflow_id)["definition"]["nodes"][0]["data"].get("label") == "M", "mine being saved"
        )


async def test_nobody_is_told_to_be_signed_out_by_a_server_that_is_away(chromium: Browser, server: Api) -> None:
    async def is_away(route: Route) -> None:
        await route.fulfill(status=503, body="{}", content_type="application/json")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=401, body=json.dumps({"detail": "no"}), content_type="application/problem+json")

    async with opened(chromium, server, expects_errors=True) as page:
        new = page.get_by_role("button", name="New workflow")
        for place in ("**/studio/config.json", "**/studio/token"):
            await page.route(place, is_away)
            await page.reload()
            await expect(page.get_by_role("status")).to_contain_text("Trying again")
            await page.unroute(place)
            await expect(new).to_be_visible()

        used = link(server)
        for _ in range(2):
            await page.goto("about:blank")
            await page.goto(used)
            await expect(new).to_be_visible()
        assert "code" not in page.url

        await page.route("**/studio/token", refuse)
        await page.reload()
        await expect(page.get_by_text("You are signed out")).to_be_visible()
        await page.unroute("**/studio/token")  # as after signing in on another page
        await page.evaluate("dispatchEvent(new Event('focus'))")
        await expect(new).to_be_visible()
