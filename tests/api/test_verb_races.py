"""Orders about runs, at the same moment as other orders and as what the runs do by themselves, with two APIs and two workers."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from audit import audit
from factories import chain, definition, edge, node
from fleet import Fleet
from load import World
from stack import until

RUNS = 80  # of each race, side by side
OVER = ("completed", "failed", "cancelled")
Found = TypeVar("Found")
ANSWER = {"data": {"by": "a person"}}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="module")
def fleet(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("races")
    fleet = Fleet(services, folder, apis=2, workers=2, number=5)
    yield fleet
    fleet.kill()
    for api in fleet.apis:
        api.http.close()
    fleet.redis.close()


class Race:
    """One run's life, told by a client that goes to both APIs in turn. Delays are drawn from the run's number."""

    def __init__(self, fleet: Fleet, clients: list[httpx.AsyncClient], number: int) -> None:
        self.chance = random.Random(number)
        self._fleet = fleet
        self._clients = clients
        self.id = ""

    async def start(self, workflow_id: str) -> None:
        answer = await self._post(f"/api/v1/workflows/{workflow_id}/run", {"input": {}})
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]

    async def order(self, verb: str, body: dict[str, Any] | None = None, *, within: float = 0.0) -> int:
        """Give an order after a pause of up to ``within`` seconds; the status of the answer."""
        await asyncio.sleep(self.chance.uniform(0, within))
        return (await self._post(f"/api/v1/runs/{self.id}/{verb}", body)).status_code

    async def read(self) -> dict[str, Any]:
        answer = await self.chance.choice(self._clients).get(f"/api/v1/runs/{self.id}")
        return dict(answer.json())

    async def until(self, *statuses: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while (run := await self.read())["status"] not in statuses:
                await asyncio.sleep(0.02)
        return run

    async def events(self) -> Counter[str]:
        answer = await self._clients[0].get(f"/api/v1/runs/{self.id}/events", params={"per_page": 200})
        return Counter(each["event"] for each in answer.json()["items"])

    async def _post(self, path: str, body: dict[str, Any] | None) -> httpx.Response:
        return await self.chance.choice(self._clients).post(path, json=body)


def hold(fleet: Fleet, run: Callable[[Race], Awaitable[Found]]) -> list[Found]:
    """Have ``RUNS`` races of a kind at once, then check all that is in the database. What each said, and its run."""

    async def all_of_them() -> list[Found]:
        headers = {"Authorization": f"Bearer {fleet.apis[0].token()}"}
        clients = [
            httpx.AsyncClient(base_url=api.url, headers=headers, timeout=60, trust_env=False) for api in fleet.apis
        ]
        try:
            async with asyncio.timeout(120):
                return await asyncio.gather(*(run(Race(fleet, clients, number)) for number in range(RUNS)))
        finally:
            for client in clients:
                await client.aclose()

    return asyncio.run(all_of_them())


def check(fleet: Fleet, world: World, found: list[tuple[Any, dict[str, Any]]]) -> None:
    """Every event sequence is without a gap and comes to what is stored, and nothing is left over."""
    ends = {run["id"]: (run["status"],) for _, run in found}
    asyncio.run(audit(fleet.url, ends, [key for _, key in world.calls], {}))


def call(world: World, name: str, path: str = "ok", **data: Any) -> dict[str, Any]:
    return node(name, "http.request", {"method": "POST", "url": f"{world.url}/{path}"}, **data)


def test_who_is_told_that_a_run_will_be_cancelled_finds_it_cancelled_and_nothing_done_after(
    fleet: Fleet, world: World
) -> None:
    steps = [call(world, "one"), node("two"), call(world, "three"), node("four")]
    workflow_id = fleet.apis[0].publish(chain(*steps))
    late: list[str] = []

    async def run(race: Race) -> tuple[list[int], dict[str, Any]]:
        await race.start(workflow_id)
        answers = await asyncio.gather(*(race.order("cancel", within=0.4) for _ in range(2)))
        run = await race.until(*OVER)
        calls = sum(key.startswith(race.id) for _, key in world.calls)
        again = await race.order("cancel", within=0.2)
        late.extend([race.id] if calls != sum(key.startswith(race.id) for _, key in world.calls) else [])
        assert again == (200 if run["status"] == "cancelled" else 409)
        return answers, run

    found = hold(fleet, run)

    for answers, ended in found:
        if ended["status"] == "cancelled":
            assert 202 in answers
            assert set(answers) <= {200, 202}
        else:
            assert (answers, ended["status"]) == ([409, 409], "completed")
    assert late == []
    assert {run["status"] for _, run in found} == {"cancelled", "completed"}, "no race"
    check(fleet, world, found)


def test_of_an_answer_and_the_end_of_the_time_for_it_one_counts(fleet: Fleet, world: World) -> None:
    nodes = [node("ask", "core.approval", {"timeout": 1.5}), node("answered"), node("late")]
    edges = [edge("ask", "answered"), edge("ask", "late", "timeout")]
    workflow_id = fleet.apis[0].publish(definition(nodes, edges))

    async def run(race: Race) -> tuple[list[int], dict[str, Any]]:
        await race.start(workflow_id)
        await race.until("paused", *OVER)
        answers = await asyncio.gather(*(race.order("resume", {"step_id": "ask", **ANSWER}, within=2.5) for _ in "ab"))
        return answers, await race.until(*OVER)

    found = hold(fleet, run)

    for answers, ended in found:
        steps = {step_id: step["status"] for step_id, step in ended["context"]["steps"].items()}
        was_answered = steps["answered"] == "completed"
        assert ended["status"] == "completed"
        assert steps["late"] == ("skipped" if was_answered else "completed")
        assert (202 in answers) == was_answered
        assert set(answers) <= {200, 202, 409}
        assert Counter(answers)[202] <= 1
    assert {202 in answers for answers, _ in found} == {True, False}, "no race"
    check(fleet, world, found)


def test_of_retries_at_once_one_takes_the_run_up(fleet: Fleet, world: World) -> None:
    workflow_id = fleet.apis[0].publish(chain(call(world, "breaks", "breaks"), call(world, "after")))

    async def run(race: Race) -> tuple[list[int], dict[str, Any]]:
        await race.start(workflow_id)
        await race.until("failed")
        world.mended.add(race.id)
        answers = await asyncio.gather(*(race.order("retry", within=0.01) for _ in range(3)))
        ended = await race.until("completed")
        events = await race.events()
        assert (events["run.retried"], events["step.started"]) == (1, 3)
        return answers, ended

    found = hold(fleet, run)

    assert [sorted(answers) for answers, _ in found] == [[202, 409, 409]] * RUNS
    check(fleet, world, found)


def test_a_run_that_is_taken_up_and_cancelled_at_once_ends_as_the_last_of_both_said(fleet: Fleet, world: World) -> None:
    workflow_id = fleet.apis[0].publish(chain(call(world, "breaks", "breaks"), call(world, "after")))

    async def run(race: Race) -> tuple[tuple[int, int], dict[str, Any]]:
        await race.start(workflow_id)
        await race.until("failed")
        world.mended.add(race.id)
        retried, cancelled = await asyncio.gather(race.order("retry", within=0.01), race.order("cancel", within=0.04))
        return (retried, cancelled), await race.until("completed", "cancelled")

    found = hold(fleet, run)

    assert {(*answers, run["status"]) for answers, run in found} == {(202, 202, "cancelled"), (202, 409, "completed")}
    check(fleet, world, found)


def test_orders_that_are_given_while_no_worker_lives_are_carried_out(fleet: Fleet, world: World) -> None:
    api = fleet.apis[0]
    calls = api.publish(chain(call(world, "long", "endless"), node("after")))
    asks = api.publish(chain(node("ask", "core.approval", {}), call(world, "after")))
    breaks = api.publish(chain(call(world, "breaks", "breaks"), node("after")))
    ready: set[str] = set()
    orders = ("cancel", "resume", "retry")

    async def prepare(race: Race) -> tuple[str, str]:
        verb = orders[race.chance.randrange(3)]
        await race.start({"cancel": calls, "resume": asks, "retry": breaks}[verb])
        await race.until({"cancel": "running", "resume": "paused", "retry": "failed"}[verb])
        ready.add(race.id)
        return race.id, verb

    given = dict(hold(fleet, prepare))
    for name in ("worker-0", "worker-1"):
        fleet.processes[name].kill()
    world.mended.update(given)

    by_id = iter(given.items())

    async def say(race: Race) -> tuple[int, str]:
        race.id, verb = next(by_id)
        body = {"step_id": "ask", **ANSWER} if verb == "resume" else None
        return await race.order(verb, body), verb

    answers = hold(fleet, say)
    for name in ("worker-0", "worker-1"):
        fleet.replace(name)
    until(lambda: all(api.run(run_id)["status"] in OVER for run_id in given), "all of their ends")

    assert set(answers) == {(202, verb) for verb in orders}
    ended = {run_id: api.run(run_id) for run_id in given}
    right = {"cancel": "cancelled", "resume": "completed", "retry": "completed"}
    assert {run_id: run["status"] for run_id, run in ended.items()} == {
        run_id: right[verb] for run_id, verb in given.items()
    }
    check(fleet, world, [(None, run) for run in ended.values()])
