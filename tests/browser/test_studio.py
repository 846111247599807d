"""The studio in a real browser: from an empty canvas to a run that ended, and what happens on the way when things go wrong."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import node as programs
import pytest
from playwright.async_api import Browser, Page, expect
from test_stream_clients import Mortal

from factories import chain as chain_of
from factories import definition as definition_of
from factories import edge
from factories import node as drawn
from recorder import Recorder
from stack import Api, until
from studio import PHONE, WIDE, laid_out, link, open_workflow, opened, step


def chain(*steps: dict[str, Any]) -> dict[str, Any]:
    return laid_out(chain_of(*steps))


SAVED = re.compile("^Saved$")
FIRST_LOAD_BYTES = 350 << 10


@pytest.fixture
async def page(chromium: Browser, server: Api) -> AsyncIterator[Page]:
    async with opened(chromium, server) as page:
        yield page


@pytest.fixture
def mortal(server: Api, server_environment: dict[str, str], workplace: Path) -> Iterator[Mortal]:
    with closing(Mortal(server_environment, workplace, server.secret)) as api:
        yield api


async def test_a_stranger_draws_publishes_runs_and_looks_back(page: Page, mine: Api) -> None:
    name = f"Greeting {uuid4().hex[:6]}"
    await page.get_by_role("button", name="New workflow").click()
    await page.get_by_role("dialog").get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create").click()
    await page.get_by_role("button", name="Manual start").click()
    await page.get_by_role("button", name="Transform", exact=True).click()
    await page.get_by_role("button", name="Add to values").click()
    await page.get_by_label("Values: name 1").fill("greeting")
    value = page.get_by_label("Values: value of greeting")
    await value.fill("{{ 'Hello ' + run.tri")
    await value.press("Control+Space")
    await page.get_by_role("option", name="trigger_type").wait_for()
    await value.press("Enter")
    await value.press("End")
    await value.press_sequentially(" }}")
    await expect(value).to_have_value("{{ 'Hello ' + run.trigger_type }}")
    await expect(page.get_by_role("status").filter(has_text="Ready to publish")).to_be_visible()
    await page.get_by_role("button", name="Publish").click()
    await page.get_by_role("button", name=f"Run {name}").click()
    await page.get_by_role("dialog").get_by_role("button", name=re.compile("Start|Run")).click()
    await page.wait_for_url("**/studio/runs/*")
    await expect(page.locator(".run-head .status")).to_have_text(re.compile("completed"))
    await expect(step(page, "transform").locator(".status.completed")).to_be_visible()

    run = mine.run(page.url.partition("/runs/")[2].partition("?")[0])
    assert run["output"] == {"transform": {"greeting": "Hello manual"}}
    await page.get_by_role("button", name="First event").click()
    await expect(step(page, "transform").locator(".status.completed")).to_have_count(0)
    await page.wait_for_url("**seq=1*")
    await page.reload()
    await expect(page.get_by_text("As of event 1")).to_be_visible()


async def test_what_is_wrong_is_said_at_its_place_and_leads_there(chromium: Browser, server: Api, mine: Api) -> None:
    workflow = mine.create(chain(drawn("a", "core.transform", {"values": {"x": "{{ steps.b.output }}"}}), drawn("b")))
    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow["id"])
        problem = page.locator(".problems").get_by_role("button").first

        await page.locator(".problems").get_by_text("1 problem").click()
        await problem.click()
        await expect(page.get_by_label("Selected step")).to_contain_text(await problem.inner_text())
        await expect(step(page, "a").locator(".problem")).to_be_visible()
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_role("alert")).to_contain_text("The definition has")
    assert mine.http.get(f"/api/v1/workflows/{workflow['id']}").json()["status"] == "draft"


async def test_everything_is_done_by_the_keyboard_alone(page: Page, mine: Api) -> None:
    workflow = mine.create({"nodes": [], "edges": []})
    await open_workflow(page, workflow["id"])
    await page.get_by_role("button", name="Manual start").wait_for()
    keyboard = page.keyboard
    for search in ("manual", "transform", "log"):
        await keyboard.press("/")
        await expect(page.get_by_label("Search steps")).to_be_focused()
        await page.get_by_label("Search steps").fill(search)
        await keyboard.press("Enter")
    await expect(page.locator(".react-flow__node")).to_have_count(3)
    await page.get_by_label("Search steps").evaluate("field => field.blur()")
    await keyboard.press("Control+d")
    await expect(page.locator(".react-flow__node")).to_have_count(4)
    await keyboard.press("Delete")
    await expect(page.locator(".react-flow__node")).to_have_count(3)
    await keyboard.press("Control+z")
    await expect(page.locator(".react-flow__node")).to_have_count(4)
    await keyboard.press("Control+z")
    await expect(page.locator(".react-flow__node")).to_have_count(3)
    await keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await keyboard.press("Escape")
    await page.locator(".react-flow__node").first.focus()
    await expect(page.locator(".react-flow__node").first).to_have_css("outline-style", "solid")
    await keyboard.press("Enter")
    await keyboard.press("c")
    await expect(page.get_by_role("dialog", name=re.compile("Connect"))).to_be_visible()
    await keyboard.press("Escape")
    await keyboard.press("Control+s")
    await expect(page.locator(".saving")).to_have_text(SAVED)

    saved = mine.http.get(f"/api/v1/workflows/{workflow['id']}").json()["definition"]
    assert {"trigger.manual", "core.transform", "core.log"} == {each["type"] for each in saved["nodes"]}
    assert [(each["source"], each["target"]) for each in saved["edges"]][:2] == [
        ("manual", "transform"),
        ("transform", "log"),
    ]


async def test_what_others_drew_comes_back_as_it_was_but_for_what_was_changed(page: Page, mine: Api) -> None:
    theirs = {
        "nodes": [
            {"id": "a", "type": "step", "position": {"x": 0.5, "y": -1e-7}, "data": {"step_type": "core.log", "config": {"message": "ä"}, "theirs": [None, 1.5]}, "zIndex": 7},
            {"id": "b", "type": "core.log", "position": {"x": 300, "y": 0}, "data": {"label": "B"}},
            {"id": "n", "type": "note", "position": {"x": 0, "y": 200}, "data": {"text": "Note"}, "style": {"width": 150}},
        ],
        "edges": [{"id": "reactflow__edge-a-b", "source": "a", "target": "b", "sourceHandle": None, "animated": True}],
        "viewport": {"x": 1, "y": 2, "zoom": 0.5}, "other": {"kept": True},
    }  # fmt: skip
    workflow = mine.create(theirs)
    await open_workflow(page, workflow["id"])
    await step(page, "b").click()
    await page.get_by_label("Label").fill("Changed")
    await expect(page.locator(".saving")).to_have_text(SAVED)
    until(lambda: "Changed" in mine.http.get(f"/api/v1/workflows/{workflow['id']}").text, "the change being saved")
    saved = mine.http.get(f"/api/v1/workflows/{workflow['id']}").json()["definition"]

    for each in saved["nodes"]:
        each.pop("measured", None)
        each.pop("selected", None)
    wanted = json.loads(json.dumps(theirs))
    wanted["nodes"][1]["data"]["label"] = "Changed"
    assert saved == wanted


async def test_two_who_edit_one_draft_lose_nothing(chromium: Browser, server: Api, mine: Api) -> None:
    workflow = mine.create(
        chain(drawn("first", "core.log", {"message": "x"}), drawn("second", "core.log", {"message": "y"}))
    )
    address = f"/api/v1/workflows/{workflow['id']}"

    async with opened(chromium, server, expects_errors=True) as page:
        await open_workflow(page, workflow["id"])
        for number, choice in enumerate(("Keep mine", "Take theirs", "Keep mine as a copy")):
            theirs = mine.http.get(address).json()["definition"]
            theirs["nodes"][0]["data"]["label"] = f"theirs {number}"
            await step(page, "second").click()
            await page.get_by_label("Label").fill(f"mine {number}")
            assert mine.http.put(address, json={"definition": theirs}).status_code == 200
            dialog = page.get_by_role("dialog", name="This draft was changed elsewhere")
            await expect(dialog.get_by_text("Step first")).to_be_visible()
            await dialog.get_by_role("button", name=choice, exact=True).click()
            await expect(dialog).to_have_count(0)
            await expect(page.locator(".saving")).to_have_text(SAVED)
            labels = [each["data"].get("label") for each in mine.http.get(address).json()["definition"]["nodes"]]
            if number == 0:
                assert "mine 0" in labels
            else:
                assert labels[0] == f"theirs {number}"
        await page.wait_for_url(lambda url: workflow["id"] not in url)
        copy = mine.http.get(f"/api/v1/workflows/{page.url.rpartition('/')[2]}").json()

    assert "mine 2" in [each["data"].get("label") for each in copy["definition"]["nodes"]]


async def test_a_person_answers_in_place(page: Page, mine: Api) -> None:
    schema = {
        "type": "object",
        "properties": {"amount": {"type": "integer", "title": "Amount"}},
        "required": ["amount"],
    }
    run = mine.start(
        mine.publish(chain(drawn("ask", "core.approval", {"message": "How much?", "schema": schema}), drawn("done")))
    )
    await page.goto(f"{mine.url}/studio/runs/{run['id']}")
    await step(page, "ask").click()
    await page.get_by_label("Amount").fill("7")
    await page.get_by_role("button", name="Send answer").click()
    await expect(page.locator(".run-head .status")).to_have_text(re.compile("completed"))

    assert mine.run(run["id"])["output"] is not None
    assert mine.http.get(f"/api/v1/runs/{run['id']}/steps").json()["items"][0]["output"] == {"amount": 7}


async def test_a_failed_run_shows_why_and_is_tried_again(page: Page, mine: Api, recorder: Recorder) -> None:
    recorder.answers.append((404, {}, {"error": "gone"}))
    run = mine.start(mine.publish(chain(drawn("call", "http.request", {"url": recorder.url}), drawn("after"))))
    await page.goto(f"{mine.url}/studio/runs/{run['id']}")
    await expect(page.locator(".run-head .status")).to_have_text(re.compile("failed"))
    await step(page, "call").click()
    await expect(page.get_by_label("Details").get_by_label("Error")).to_contain_text("404")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator(".run-head .status")).to_have_text(re.compile("completed"))
    await expect(step(page, "call")).to_contain_text("attempt 2")


async def test_a_lost_connection_is_said_and_nothing_is_missed(
    chromium: Browser, server: Api, mortal: Mortal, mine: Api
) -> None:
    steps = [drawn(f"s{number}", "core.delay", {"duration": 0.4}) for number in range(12)]
    workflow_id = mine.publish(chain(*steps))
    async with opened(chromium, server, url=mortal.url, expects_errors=True) as page:
        run = mine.start(workflow_id)
        await page.goto(f"{mortal.url}/studio/runs/{run['id']}")
        await expect(page.get_by_text("● Live")).to_be_visible()
        mortal.process.kill()
        mortal.proxy.cut()
        await expect(page.get_by_text("Reconnecting")).to_be_visible()
        await asyncio.to_thread(mortal.begin)
        await expect(page.locator(".run-head .status")).to_have_text(re.compile("completed"))
        await page.get_by_role("button", name="Events").click()
        last = mine.events(run["id"])[-1]["seq"]
        await expect(page.get_by_label("Event", exact=True)).to_have_attribute("max", str(last))


async def test_a_draft_is_saved_once_the_connection_is_back(
    chromium: Browser, server: Api, mortal: Mortal, mine: Api
) -> None:
    workflow = mine.create(chain(drawn("a", "core.log", {"message": "x"})))
    async with opened(chromium, server, url=mortal.url, expects_errors=True) as page:
        await open_workflow(page, workflow["id"])
        await page.wait_for_load_state("networkidle")  # the form is loaded when the canvas is there
        mortal.process.kill()
        mortal.proxy.cut()
        await step(page, "a").click()
        await page.get_by_label("Label").fill("While away")
        await expect(page.locator(".saving")).to_contain_text("no connection")
        await asyncio.to_thread(mortal.begin)
        await expect(page.locator(".saving")).to_have_text(SAVED)

    assert "While away" in mine.http.get(f"/api/v1/workflows/{workflow['id']}").text


async def test_a_thousand_nodes_and_copies_between_workflows(page: Page, mine: Api) -> None:
    many = chain(*(drawn(f"n{number}", "core.log", {"message": "x"}) for number in range(1000)))
    for number, each in enumerate(many["nodes"]):
        each["position"] = {"x": number % 40 * 250, "y": number // 40 * 120}
    large, empty = mine.create(many), mine.create({"nodes": [], "edges": []})
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await open_workflow(page, large["id"])
    await page.locator(".react-flow__pane").click(position={"x": 5, "y": 5})
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Control+c")
    await open_workflow(page, empty["id"])
    await page.keyboard.press("Control+v")
    await expect(page.locator(".saving")).to_have_text(SAVED)
    address = f"/api/v1/workflows/{empty['id']}"
    until(lambda: len(mine.http.get(address).json()["definition"]["nodes"]) == 1000, "the copy being saved")
    await page.keyboard.press("Control+z")
    until(lambda: len(mine.http.get(address).json()["definition"]["nodes"]) == 0, "its being undone")


PLACES = [
    "/workflows",
    "/runs",
    "/secrets",
    "/workflows/{draft}",
    "/workflows/{published}",
    "/workflows/{published}/triggers",
    "/runs/{run}",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
async def test_no_page_shuts_anybody_out(
    chromium: Browser, server: Api, mine: Api, scheme: Any, viewport: dict[str, int]
) -> None:
    """WCAG 2.2 A and AA, as far as axe can tell; and nothing is wider than the screen."""
    steps = [
        drawn("hook", "trigger.webhook"),
        drawn("start", "trigger.manual"),
        drawn("ask", "core.approval", {"message": "?"}),
    ]
    published = mine.publish(laid_out(definition_of(steps, [edge("hook", "ask"), edge("start", "ask")])))
    run = mine.start(published)["id"]
    draft = mine.create(chain(drawn("a", "core.transform", {"values": {"x": "{{ wrong }}"}}), drawn("b")))["id"]
    until(lambda: mine.run(run)["status"] == "paused", "the question")
    axe = (programs.HERE.parents[1] / "src/studio/node_modules/axe-core/axe.min.js").read_text()
    found = []
    async with opened(chromium, server, expects_errors=True, color_scheme=scheme, viewport=viewport) as page:
        for place in PLACES:
            await page.goto(f"{server.url}/studio{place.format(draft=draft, published=published, run=run)}")
            await page.wait_for_load_state("networkidle")
            if place.endswith(("{draft}", "{run}")):
                await step(page, "a" if "draft" in place else "ask").click()
            await page.evaluate(axe)
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
            answer = await page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
            found += [(place, each["id"], each["nodes"][0]["html"][:200]) for each in answer["violations"]]
            width = await page.evaluate("document.documentElement.scrollWidth")
            found += [(place, "wider than the screen", width)] if width > viewport["width"] else []
    assert not found


async def test_the_first_load_is_small_and_the_canvas_comes_when_it_is_looked_at(
    chromium: Browser, server: Api
) -> None:
    async with await chromium.new_context() as visitor:
        page = await visitor.new_page()
        client = await visitor.new_cdp_session(page)
        await client.send("Network.enable")
        sizes: list[float] = []
        client.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        names: list[str] = []
        page.on("request", lambda request: names.append(request.url))
        await page.goto(link(server))
        await page.get_by_role("button", name="New workflow").wait_for()
        await page.wait_for_load_state("networkidle")

    assert 10_000 < sum(sizes) < FIRST_LOAD_BYTES
    assert not [each for each in names if "forms" in each or "supabase" in each]


async def test_who_is_signed_out_is_told_how_to_come_back(chromium: Browser, server: Api) -> None:
    used = link(server)
    async with await chromium.new_context() as visitor:
        page = await visitor.new_page()
        await page.goto(used)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_text("stepwire studio", exact=True)).to_be_visible()
        assert "code" not in page.url
        await page.goto("about:blank")
        await page.goto(used)
        await expect(page.get_by_text("You are signed out")).to_be_visible()
        kept = await page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")

    assert kept == '[{},{},""]', "no token is kept where scripts can read it"


async def test_a_schedule_is_looked_ahead_at_made_paused_and_deleted(chromium: Browser, server: Api, mine: Api) -> None:
    workflow_id = mine.publish(chain(drawn("a", "core.log", {"message": "x"})))
    async with opened(chromium, server, expects_errors=True) as page:  # there is no hook yet
        await page.goto(f"{mine.url}/studio/workflows/{workflow_id}/triggers")
        await page.get_by_role("button", name="New schedule").click()
        form = page.get_by_role("dialog")
        await form.get_by_label("Time zone").fill("Europe/Berlin")
        await form.get_by_label("Cron").fill("30 2 29 3 *")
        await expect(form.get_by_role("row").filter(has_text="-03-29 02:30:00+02:00")).to_have_count(3)
        await form.get_by_role("button", name="Save").click()
        await page.get_by_role("button", name="Pause default").click()
        await page.get_by_role("button", name="Resume default").click()
        await page.get_by_role("button", name="Delete default").click()
        await form.get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("It is not started by the clock.")).to_be_visible()
    found = mine.http.get("/api/v1/triggers/schedules", params={"workflow_id": workflow_id}).json()
    assert found["items"] == []
