"""``make screenshots``: the README's pictures, of a real workflow and a real run of it."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.async_api import async_playwright

from recorder import Recorder
from served import Served
from stack import until
from studio import own, step

FOLDER = Path(__file__).parents[2] / "src" / "studio" / "screenshots"
SIZE = {"width": 1280, "height": 800}


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stepwire-pictures-") as folder:
        Path(folder).chmod(0o755)
        served, shop = Served(Path(folder)), Recorder()
        assert served.api is not None
        try:
            await take(served, shop)
        finally:
            served.api.http.close()
            served.process.stop()
            shop.close()


async def take(served: Served, shop: Recorder) -> None:
    assert served.api is not None
    api = own(served.api)
    workflow_id = api.publish(order(shop.url), name="Order intake")
    draft = api.http.post(f"/api/v1/workflows/{workflow_id}/duplicate").json()["id"]
    run_id = api.start(workflow_id, {"customer": "Ada", "total": 180})["id"]
    until(lambda: api.run(run_id)["status"] == "paused", "the question")
    command = [sys.executable, "-m", "stepwire", "studio"]
    link = subprocess.run(command, env=served.environment, capture_output=True, text=True, check=True).stdout.strip()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--force-color-profile=srgb"]
        )
        page = await browser.new_page(viewport=SIZE, color_scheme="light")
        await page.goto(link)
        await page.wait_for_url("**/workflows")
        await page.goto(f"{api.url}/studio/workflows/{draft}")
        await step(page, "decide").click()
        await page.get_by_text("Ready to publish").wait_for()
        await page.get_by_role("combobox", name="Expression").wait_for()
        await page.get_by_role("button", name="Fit View").click()
        await page.wait_for_function("document.querySelector('.react-flow__viewport').getAnimations().length === 0")
        await page.screenshot(path=FOLDER / "editor.png")
        await page.goto(f"{api.url}/studio/runs/{run_id}")
        await step(page, "approve").click()
        await page.get_by_role("button", name="Send answer").wait_for()
        await page.screenshot(path=FOLDER / "run.png")
        await browser.close()
    api.http.close()


def order(url: str) -> dict[str, object]:
    """An order that is fetched, looked at, approved and charged."""

    def placed(step_id: str, kind: str, label: str, x: int, y: int, **config: object) -> dict[str, object]:
        return {"id": step_id, "type": kind, "position": {"x": x, "y": y}, "data": {"label": label, "config": config}}

    schema = {"type": "object", "properties": {"discount": {"type": "number", "title": "Discount in percent"}}}
    nodes = [
        placed("start", "trigger.manual", "Order received", 0, 90),
        placed(
            "stock",
            "http.request",
            "Ask the warehouse",
            240,
            90,
            url=f"{url}/stock",
            query={"customer": "{{ input.customer }}"},
        ),
        placed("decide", "core.condition", "A large order?", 500, 90, expression="{{ input.total > 100 }}"),
        placed(
            "approve",
            "core.approval",
            "Sales approves",
            760,
            0,
            message="Give {{ input.customer }} a discount?",
            schema=schema,
        ),
        placed(
            "charge",
            "http.request",
            "Charge the customer",
            1020,
            110,
            method="POST",
            url=f"{url}/charge",
            json={"total": "{{ input.total }}"},
        ),
    ]
    edges = [
        ("start", "stock", None),
        ("stock", "decide", None),
        ("decide", "approve", "true"),
        ("decide", "charge", "false"),
        ("approve", "charge", None),
    ]
    nodes[-1]["data"]["join"] = "any"  # type: ignore[index]
    return {
        "nodes": nodes,
        "edges": [
            {"id": f"{one}-{other}", "source": one, "target": other, "sourceHandle": handle}
            for one, other, handle in edges
        ],
    }


if __name__ == "__main__":
    asyncio.run(main())
