"""Drawing in the studio: containers, the forms of all steps, and what other editors have saved."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from factories import definition, edge
from factories import node as drawn
from stack import Api, until
from studio import laid_out, open_workflow, opened, step


@pytest.fixture
async def page(chromium: Browser, server: Api) -> AsyncIterator[Page]:
    async with opened(chromium, server) as page:
        yield page


def stored(api: Api, workflow_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.http.get(f"/api/v1/workflows/{workflow_id}").json()["definition"]
    return found


def parents(api: Api, workflow_id: str) -> dict[str, str | None]:
    return {each["id"]: each.get("parentId") for each in stored(api, workflow_id)["nodes"]}


async def drag(page: Page, what: Locator, to: Locator, *, x: float, y: float) -> None:
    """Take a node by its head to a place in another one."""
    start, end = await what.bounding_box(), await to.bounding_box()
    assert start is not None
    assert end is not None
    await page.mouse.move(start["x"] + 60, start["y"] + 12)
    await page.mouse.down()
    await page.mouse.move(start["x"] + 70, start["y"] + 20)
    await page.mouse.move(end["x"] + x, end["y"] + y, steps=4)
    await page.mouse.up()


async def test_steps_go_into_a_container_and_out_again_and_away_with_it(page: Page, mine: Api) -> None:
    each, inner = drawn("each", "core.map", {"items": "{{ input.list }}"}), drawn("inner", "core.log", {"message": "x"})
    outer = drawn("outer", "core.log", {"message": "x"})
    each |= {"position": {"x": 0, "y": 0}, "width": 420, "height": 200}
    inner |= {"position": {"x": 24, "y": 64}, "parentId": "each"}
    outer |= {"position": {"x": 0, "y": 260}}
    workflow_id = mine.create({"nodes": [each, inner, outer], "edges": []})["id"]
    await open_workflow(page, workflow_id)
    await page.get_by_role("button", name="Fit View").click()
    await step(page, "inner").locator(".step-outputs").wait_for()

    await drag(page, step(page, "outer"), step(page, "each"), x=230, y=80)
    until(lambda: parents(mine, workflow_id)["outer"] == "each", "the step being in the container")
    await drag(page, step(page, "inner"), step(page, "each"), x=60, y=260)
    until(lambda: parents(mine, workflow_id)["inner"] is None, "the step being out of the container")
    await page.keyboard.press("Control+z")
    until(lambda: parents(mine, workflow_id)["inner"] == "each", "one undo of the drag and of what it came to")
    box = await step(page, "each").bounding_box()
    canvas = await page.locator(".react-flow__pane").bounding_box()
    assert box is not None
    assert canvas is not None
    place = {"x": box["x"] - canvas["x"] + 40, "y": box["y"] - canvas["y"] + box["height"] - 20}
    delay = page.get_by_role("button", name="Delay", exact=True)
    await delay.drag_to(page.locator(".react-flow__pane"), target_position=place, force=True)  # type: ignore[arg-type]
    until(lambda: parents(mine, workflow_id).get("delay") == "each", "the new step being in the container")
    await step(page, "each").click(position={"x": 60, "y": 12})
    await page.keyboard.press("Delete")
    until(lambda: parents(mine, workflow_id) == {}, "all of it being gone")


async def test_steps_are_added_where_they_can_be_read_and_a_condition_goes_on_at_its_ways_out(
    page: Page, mine: Api
) -> None:
    workflow_id = mine.create({"nodes": [], "edges": []})["id"]
    await open_workflow(page, workflow_id)
    for name in ("Manual start", "Condition", "Transform", "Log", "Merge", "HTTP request"):
        await page.get_by_role("button", name=name, exact=True).click()
    await expect(step(page, "request")).to_be_in_viewport(ratio=1)
    box, side = await step(page, "request").bounding_box(), await page.get_by_label("Selected step").bounding_box()
    assert box is not None
    assert side is not None
    assert box["width"] > 150, "it is drawn as large as it is"
    until(lambda: len(stored(mine, workflow_id)["edges"]) == 5, "the connections being saved")
    await step(page, "condition").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Log", exact=True).click()
    until(lambda: len(stored(mine, workflow_id)["edges"]) == 6, "the second way out")

    ways = [each["sourceHandle"] for each in stored(mine, workflow_id)["edges"] if each["source"] == "condition"]
    assert ways == ["true", "false"]


async def test_forms_say_what_counts_and_make_what_the_server_takes(page: Page, mine: Api) -> None:
    child = mine.publish(laid_out(definition([drawn("a", "core.log", {"message": "x"})], [])), name="The child")
    types = ["core.approval", "core.workflow", "core.map", "core.delay", "core.switch", "http.request"]
    steps = [drawn(each.partition(".")[2], each, {}) for each in types]
    workflow_id = mine.create(
        laid_out(definition([drawn("start", "trigger.webhook", {}), *steps], [edge("start", steps[0]["id"])]))
    )["id"]
    await open_workflow(page, workflow_id)
    form = page.get_by_label("Selected step")

    async def chosen(step_id: str) -> None:
        await page.locator(f'.react-flow__node[data-id="{step_id}"]').focus()
        await page.keyboard.press("Enter")
        await expect(form.get_by_label("Id, by which")).to_have_value(step_id)

    def config(step_id: str) -> Any:
        return next(each for each in stored(mine, workflow_id)["nodes"] if each["id"] == step_id)["data"]["config"]

    await chosen("start")
    await expect(form.get_by_label("Authentication").locator(":checked")).to_have_text("standard (default)")
    await chosen("request")
    await expect(form.get_by_label("Method").locator(":checked")).to_have_text("GET (default)")
    await expect(form.locator(".field-errors").filter(has_text="It is required.")).to_be_visible()
    await form.get_by_label("Method").select_option("POST")
    await form.get_by_label("URL").fill("https://example.com")
    await form.get_by_label("Follow redirects").select_option("an expression …")
    await form.get_by_label("Expression", exact=True).fill("{{ input.follow }}")
    until(
        lambda: (
            config("request")
            == {"method": "POST", "url": "https://example.com", "follow_redirects": "{{ input.follow }}"}
        ),
        "the request",
    )
    await chosen("workflow")
    await form.get_by_role("combobox", name="Workflow*").select_option(label="The child, version 1")
    until(lambda: config("workflow") == {"workflow_id": child}, "the child")
    await chosen("delay")
    await expect(form.get_by_label("Duration")).to_have_count(1)
    await chosen("map")
    await expect(form.get_by_label("When an item fails").locator(":checked")).to_have_text("fail (default)")
    await chosen("switch")
    await form.get_by_role("button", name="Add").click()
    await form.get_by_label("Handle").fill("large")
    await form.get_by_label("When", exact=False).first.fill("{{ input.n > 1 }}")
    until(lambda: config("switch") == {"cases": [{"handle": "large", "when": "{{ input.n > 1 }}"}]}, "the case")
    await expect(step(page, "switch").locator(".step-outputs")).to_contain_text("large")
    await chosen("approval")
    for number, (name, kind) in enumerate((("amount", "number"), ("how", "one of")), start=1):
        await form.get_by_role("button", name="Add a field").click()
        await form.get_by_label(f"Form, field {number}: name").fill(name)
        await form.get_by_label(f"Form, field {number}: kind").select_option(kind)
    await form.get_by_label("Form, field 2: choices").fill("air, sea")
    await form.get_by_label("required").first.check()
    schema = {
        "type": "object",
        "properties": {"amount": {"type": "number"}, "how": {"type": "string", "enum": ["air", "sea"]}},
        "required": ["amount"],
    }
    until(lambda: config("approval") == {"schema": schema}, "the form that people are asked to fill in")


async def test_what_no_editor_should_save_opens_and_is_saved_as_it_was(page: Page, mine: Api) -> None:
    place = {"x": 1, "y": 2}
    odd: dict[str, Any] = {
        "nodes": [
            {"id": "first", "type": "core.log", "position": {"x": 500, "y": 0}, "data": {"config": {"message": "x"}}},
            {"id": "jsx", "type": "input", "position": place, "data": {"label": {"type": "div", "props": {}}}},
            {"id": "inner", "type": "core.log", "parentId": "box", "extent": "parent", "position": place, "data": None},
            {"id": "box", "type": "group", "position": place, "parentId": None, "style": {"width": 300}, "data": {}},
            {"id": "loop", "parentId": "pool", "position": place, "data": {"config": "none"}},
            {"id": "pool", "parentId": "loop", "position": place, "data": {"step_type": 7}},
            {"id": "twice", "type": "core.switch", "position": place, "data": {"config": {"cases": [None, 5]}}},
            {"id": "twice", "type": "note", "position": place, "data": {"text": {"a": 1}}},
            {"id": "huge", "type": "core.log", "zIndex": 10**19, "width": 10**19, "position": place, "data": {}},
            {"id": "held", "type": "__proto__", "extent": [], "origin": [], "handles": {}, "position": place, "data": {}},
        ],
        "edges": [
            {"id": "e", "source": "jsx", "target": "first", "sourceHandle": "out-3", "type": "curly", "label": {"a": 1}},
            {"id": "e", "source": "first", "target": "gone", "targetHandle": "in-3"},
            {"id": "self", "source": "twice", "target": "twice", "animated": True},
        ],
    }  # fmt: skip
    workflow_id = mine.create(odd)["id"]
    await open_workflow(page, workflow_id)
    nodes = page.locator(".react-flow__node")
    await expect(nodes).to_have_count(len(odd["nodes"]))
    await expect(page.locator(".react-flow__edge.faulty")).to_have_count(1)
    for number in range(await nodes.count()):
        await nodes.nth(number).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Selected step")).to_be_visible()
    await page.get_by_role("textbox", name="Name", exact=True).fill("Renamed")
    until(lambda: mine.http.get(f"/api/v1/workflows/{workflow_id}").json()["name"] == "Renamed", "the name being saved")

    saved = stored(mine, workflow_id)
    for each in saved["nodes"]:
        each.pop("measured", None)
        each.pop("selected", None)
    assert saved == odd


async def test_whole_numbers_keep_their_digits_and_texts_their_place(page: Page, mine: Api) -> None:
    digits = "9007199254740993"
    raw = """{"name": "Long numbers", "input_schema": {"type": "object", "properties": {"order": {"type": "integer"}}}, "definition": {
        "nodes": [{"id": "a", "type": "core.transform", "position": {"x": 0, "y": 0}, "data": {"config": {"values": {"n": %s}}}},
                  {"id": "b", "type": "core.log", "position": {"x": 260, "y": 0}, "data": {"config": {"message": "x"}}}],
        "edges": [{"id": "ab", "source": "a", "target": "b"}], "theirs": [%s0]}}"""
    sent = mine.http.post(
        "/api/v1/workflows", content=raw % (digits, digits), headers={"Content-Type": "application/json"}
    )
    workflow_id = sent.json()["id"]
    await open_workflow(page, workflow_id)
    await step(page, "b").click()
    await page.get_by_label("Label").fill("Says it")
    until(lambda: stored(mine, workflow_id)["nodes"][1]["data"].get("label") == "Says it", "the label being saved")
    await step(page, "a").click()
    value = page.get_by_label("Values: value of n")
    await expect(value).to_have_value(digits)
    await value.fill("9007199254740995")
    until(
        lambda: stored(mine, workflow_id)["nodes"][0]["data"]["config"]["values"]["n"] == int(digits) + 2, "the value"
    )
    assert stored(mine, workflow_id)["theirs"] == [int(digits + "0")]

    mine.http.post(f"/api/v1/workflows/{workflow_id}/publish").raise_for_status()
    await page.reload()
    await page.get_by_role("button", name="Run Long numbers").click()
    await page.get_by_label("order").fill(digits)
    await page.get_by_role("dialog").get_by_role("button", name="Start run").click()
    await page.wait_for_url("**/studio/runs/*")
    assert mine.run(page.url.partition("/runs/")[2].partition("?")[0])["input"] == {"order": int(digits)}
    await expect(page.get_by_text(digits, exact=True)).to_be_visible()


async def test_what_was_wrong_is_not_said_once_it_is_mended(chromium: Browser, server: Api, mine: Api) -> None:
    workflow_id = mine.create(laid_out(definition([drawn("a", "core.log", {"message": "{{ wrong }}"})], [])))["id"]
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        await page.get_by_role("button", name="Publish").click()
        refusal = page.get_by_role("alert").get_by_text("The definition has 1 problem")
        await expect(refusal).to_be_visible()
        await step(page, "a").click()
        await page.get_by_role("combobox", name="Message").fill("right")
        await expect(page.get_by_text("Ready to publish")).to_be_visible()
        await expect(refusal).to_have_count(0)


async def test_a_workflow_without_a_name_is_asked_for_one(chromium: Browser, server: Api, mine: Api) -> None:
    workflow_id = mine.create({"nodes": [], "edges": []})["id"]
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        name = page.get_by_role("textbox", name="Name", exact=True)
        await name.fill("")
        await expect(page.get_by_role("alert").get_by_text("A workflow needs a name")).to_be_visible()
        await name.fill("Named")
        await expect(page.locator(".saving")).to_have_text("Saved")
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_what_is_wrong_moves_nothing_until_somebody_asks(page: Page, mine: Api) -> None:
    workflow_id = mine.create(laid_out(definition([drawn("a", "core.log", {"message": "x"})], [])))["id"]
    await open_workflow(page, workflow_id)
    await step(page, "a").click()
    message = page.get_by_role("combobox", name="Message")
    await message.wait_for()
    canvas = page.locator(".canvas")
    before = await canvas.bounding_box(), await message.bounding_box()

    await message.fill("{{ input.")
    await page.get_by_role("status").filter(has_text="1 problem").wait_for()
    await expect(page.locator(".problems ul")).to_be_hidden()
    assert (await canvas.bounding_box(), await message.bounding_box()) == before
    await page.locator(".problems summary").click()
    await expect(page.locator(".problems ul")).to_contain_text("The expression is not closed")
    await message.fill("y")
    await page.get_by_role("status").filter(has_text="Ready to publish").wait_for()
    assert (await canvas.bounding_box(), await message.bounding_box()) == before


async def test_what_was_not_saved_when_its_page_was_left_is_there_again(
    chromium: Browser, server: Api, mine: Api
) -> None:
    workflow_id = mine.create(laid_out(definition([drawn("a", "core.log", {"message": "x"})], [])))["id"]
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow_id)
        await step(page, "a").click()
        await page.get_by_role("combobox", name="Message").wait_for()
        await page.context.set_offline(True)
        await page.get_by_label("Label").fill("Mine")
        await page.get_by_text("Not saved: no connection").wait_for()
        await page.get_by_role("link", name="Workflows").click()
        theirs = mine.http.get(f"/api/v1/workflows/{workflow_id}").json() | {"description": "theirs"}
        mine.http.put(f"/api/v1/workflows/{workflow_id}", json=theirs).raise_for_status()
        await page.context.set_offline(False)
        await page.go_back()
        await page.get_by_role("dialog").get_by_text("This draft was changed elsewhere").wait_for()
        await page.get_by_role("button", name="Keep mine", exact=True).click()
        until(lambda: stored(mine, workflow_id)["nodes"][0]["data"].get("label") == "Mine", "mine being saved")
