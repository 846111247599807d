"""Where the focus is in the studio, whatever happens to what had it; and pages seen at 400 %."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from factories import chain
from factories import node as drawn
from stack import Api, until
from studio import laid_out, open_workflow, opened, step


@pytest.fixture
async def page(chromium: Browser, server: Api) -> AsyncIterator[Page]:
    async with opened(chromium, server, expects_errors=True) as page:  # a workflow without a hook is asked for it
        yield page


async def test_the_focus_stays_in_the_page_when_what_had_it_goes(page: Page, mine: Api) -> None:
    log = {"message": "{{ steps.a.output.message }}"}
    workflow_id = mine.create(laid_out(chain(drawn("a", "core.log", {"message": "x"}), drawn("b", "core.log", log))))[
        "id"
    ]
    await open_workflow(page, workflow_id)
    keyboard, workflow = page.keyboard, page.get_by_label("The workflow", exact=True)
    await expect(page).to_have_title("Test · Stepwire Studio")
    await expect(step(page, "a")).to_have_accessible_name("Log, core.log")
    await step(page, "a").focus()
    await keyboard.press("Enter")
    field = page.get_by_label("Id, by which expressions name it")
    await page.get_by_role("combobox", name="Message").wait_for()
    await field.fill("first")
    await field.press("Enter")
    await step(page, "first").wait_for()
    await expect(field).to_be_focused()
    await field.fill("begin")
    await field.press("Tab")
    await step(page, "begin").wait_for()
    await expect(page.get_by_role("combobox", name="Message")).to_be_focused()
    until(
        lambda: "steps.begin.output" in mine.http.get(f"/api/v1/workflows/{workflow_id}").text,
        "the new id in expressions",
    )

    await page.get_by_role("button", name="Delete step").press("Enter")
    await expect(step(page, "begin")).to_have_count(0)
    await expect(workflow).to_be_focused()
    await step(page, "b").focus()
    await keyboard.press("Enter")
    await keyboard.press("Delete")
    await expect(page.locator(".react-flow__node")).to_have_count(0)
    await expect(workflow).to_be_focused()
    undo = page.get_by_role("button", name="Undo")
    await undo.focus()
    for _ in range(6):
        await keyboard.press("Enter")
    await expect(step(page, "a")).to_be_visible()
    await expect(undo).to_be_disabled()
    await expect(undo).to_be_focused()

    await page.get_by_role("link", name="Triggers").press("Enter")
    await expect(page.get_by_role("heading", name="Webhook")).to_be_visible()
    await expect(page.locator("main")).to_be_focused()
    await expect(page).to_have_title("Triggers of Test · Stepwire Studio")
    await page.get_by_role("link", name="Workflows").press("Enter")
    row = page.get_by_role("row", name=mine.http.get(f"/api/v1/workflows/{workflow_id}").json()["name"]).first
    await row.get_by_role("button", name="Delete").press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator("main")).to_be_focused()


async def test_a_click_beside_the_id_does_what_it_says(page: Page, mine: Api) -> None:
    workflow_id = mine.create(laid_out(chain(drawn("a", "core.log", {"message": "x"}))))["id"]
    await open_workflow(page, workflow_id)
    await step(page, "a").click()
    await page.get_by_role("combobox", name="Message").wait_for()
    await page.get_by_label("Id, by which expressions name it").fill("other")
    await page.get_by_role("button", name="JSON", exact=True).click()
    await expect(page.get_by_role("button", name="JSON", exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(step(page, "other")).to_be_visible()


async def test_keys_for_what_is_selected_do_nothing_where_nothing_is(page: Page, mine: Api) -> None:
    workflow_id = mine.create(laid_out(chain(drawn("a", "core.log", {"message": "x"}))))["id"]
    await open_workflow(page, workflow_id)
    await step(page, "a").click()
    await page.keyboard.press("Delete")
    await page.keyboard.press("Control+z")
    await page.locator(".react-flow__pane").click(position={"x": 10, "y": 10})
    for key in ("Backspace", "Delete", "Control+d", "c"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("button", name="Redo")).to_be_enabled()
    await step(page, "a").click()
    await expect(page.get_by_label("Selected step")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_step_can_be_filled_in_at_400_percent(chromium: Browser, server: Api, mine: Api) -> None:
    """WCAG 1.4.10: a window of 1280x1024 is 320x256 then."""
    workflow_id = mine.create(
        laid_out(chain(drawn("a", "core.log", {"message": "x"}), drawn("b", "core.log", {"message": "y"})))
    )["id"]
    async with opened(chromium, server, viewport={"width": 320, "height": 256}) as page:
        await open_workflow(page, workflow_id)
        await step(page, "b").focus()
        await page.keyboard.press("Enter")
        message = page.get_by_role("combobox", name="Message")
        await message.focus()
        await expect(message).to_be_in_viewport(ratio=1)
        for place in (page.get_by_label("The workflow", exact=True), page.get_by_label("Selected step")):
            box = await place.bounding_box()
            assert box is not None
            assert box["height"] > 120
        assert await page.evaluate("document.documentElement.scrollWidth") == 320


async def test_what_the_list_of_problems_covers_can_still_be_reached(page: Page, mine: Api) -> None:
    workflow_id = mine.create(
        laid_out(chain(*(drawn(f"n{number}", "core.log", {"message": "{{ wrong }}"}) for number in range(12))))
    )["id"]
    await open_workflow(page, workflow_id)
    await step(page, "n0").click()
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator(".problems")).to_have_attribute("open", "")
    await page.get_by_role("button", name="HTTP request", exact=True).click()
    await expect(step(page, "request")).to_be_attached()
    await page.get_by_role("button", name="Delete step").click()
    await expect(step(page, "request")).to_have_count(0)
