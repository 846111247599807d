"""Schedules over HTTP, and the runs that they start. To make one due its instant is moved into the past in the database."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from factories import chain, node
from stack import STRANGER, Api, until

SCHEDULE, SCHEDULES = "/api/v1/triggers/schedule", "/api/v1/triggers/schedules"
WORK = chain(node("a", "core.transform", {"values": {"n": "{{ input.n }}", "at": "{{ trigger.fired_at }}"}}))
WAITS = chain(node("ask", "core.approval", {}))
YEARLY = "0 0 1 1 *"


@pytest.fixture
def own(server: Api) -> Iterator[Api]:
    """The server, for an owner of the test's own."""
    client = Api(server.url, server.secret)
    client.http.close()
    client.http = client.client(uuid4())
    yield client
    client.http.close()


def put(api: Api, workflow_id: str, cron: str = YEARLY, **more: Any) -> Any:
    headers = {"Idempotency-Key": more.pop("key")} if "key" in more else {}
    return api.http.post(SCHEDULE, json={"workflow_id": workflow_id, "cron": cron, **more}, headers=headers)


def make_due(services: dict[str, str], schedule_id: str, instant: datetime, *, unseen: bool = False) -> None:
    """Have an instant come just now; ``unseen``: since then nobody has looked."""
    looked_at = instant if unseen else datetime.now(UTC) - timedelta(seconds=1)
    execute(
        services, "UPDATE schedule SET next_fire_at = $2, due_at = $3 WHERE id = $1", schedule_id, instant, looked_at
    )


def execute(services: dict[str, str], statement: str, *arguments: object) -> None:
    fetch(services, statement, *arguments)


def fetch(services: dict[str, str], statement: str, *arguments: object) -> list[Any]:
    async def do() -> list[Any]:
        connection = await asyncpg.connect(services["DATABASE_URL"])
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    return asyncio.run(do())


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def runs_of(api: Api, workflow_id: str) -> list[dict[str, Any]]:
    return list(
        api.http.get("/api/v1/runs", params={"workflow_id": workflow_id, "trigger_type": "schedule"}).json()["items"]
    )


def fired(api: Api, schedule_id: str) -> dict[str, Any]:
    """The schedule, once it has been looked at."""
    path = f"{SCHEDULES}/{schedule_id}"

    def look() -> dict[str, Any] | None:
        schedule = api.http.get(path).json()
        at = schedule["next_fire_at"]
        return schedule if at is None or datetime.fromisoformat(at) > datetime.now(UTC) else None

    return dict(until(look, "the schedule being looked at"))


def test_a_schedule_is_made_then_changed_by_workflow_and_name(own: Api) -> None:
    workflow_id = own.publish(WORK)
    made = put(own, workflow_id, "@daily", timezone="Europe/Berlin", input={"n": 1})
    changed = put(own, workflow_id, "0 9 * * mon-fri", enabled=False)
    other = put(own, workflow_id, "@hourly", name="other")

    assert [made.status_code, changed.status_code, other.status_code] == [201, 200, 201]
    assert made.json()["id"] == changed.json()["id"] != other.json()["id"]
    assert made.headers["location"] == f"{SCHEDULES}/{made.json()['id']}"
    assert (made.json()["cron"], made.json()["timezone"], made.json()["input"]) == (
        "0 0 * * *",
        "Europe/Berlin",
        {"n": 1},
    )
    assert (made.json()["overlap"], made.json()["catch_up"], made.json()["jitter"]) == ("skip", "none", 0)
    assert datetime.fromisoformat(made.json()["next_fire_at"]) > datetime.now(UTC)
    assert (changed.json()["enabled"], changed.json()["next_fire_at"]) == (False, None)
    assert [each["name"] for each in own.http.get(SCHEDULES).json()["items"]] == ["other", "default"]
    assert own.http.get(SCHEDULES, params={"workflow_id": str(uuid4())}).json()["items"] == []
    assert own.http.get(made.headers["location"]).json() == changed.json()
    assert own.http.delete(made.headers["location"]).status_code == 204
    assert own.http.get(made.headers["location"]).json()["type"] == "/problems/schedule-not-found"


def test_a_key_makes_a_schedule_once_and_stands_for_one_request(own: Api) -> None:
    workflow_id = own.publish(WORK)
    answers = [put(own, workflow_id, key="one") for _ in range(2)]
    reused = put(own, workflow_id, "@daily", key="one")

    assert [each.status_code for each in answers] == [201, 200]
    assert [each.headers.get("idempotency-replayed") for each in answers] == [None, "true"]
    assert answers[0].json() == answers[1].json()
    assert (reused.status_code, reused.json()["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"cron": "61 * * * *"}, 422, "/cron"), ({"cron": "* * * *"}, 422, "/cron"), ({"cron": "0 0 30 2 *"}, 422, "/cron"), ({"cron": "* * */20 * 1L"}, 422, None),
        ({"timezone": "Europe/Berlinn"}, 422, "/timezone"), ({"timezone": "../zone"}, 422, "/timezone"),
        ({"name": "\x00"}, 422, None), ({"input": {"n": "\x00"}}, 422, None), ({"overlap": "sometimes"}, 400, "/overlap"),
        ({"jitter": 3601}, 400, "/jitter"), ({"jitter": 0.5}, 400, "/jitter"), ({"name": ""}, 400, "/name"),
        ({"cron": ""}, 400, "/cron"), ({"inputs": {}}, 400, ""), ({"input": []}, 400, "/input"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_schedule_is_refused_at_its_place(
    own: Api, body: dict[str, Any], status: int, path: str | None
) -> None:
    answer = own.http.post(SCHEDULE, json={"workflow_id": own.publish(WORK), "cron": YEARLY, **body})

    assert answer.status_code == status, answer.text
    assert path is None or [each["path"] for each in answer.json()["errors"]] == [path]
    assert own.http.get(SCHEDULES).json()["items"] == []


def test_only_a_published_workflow_has_schedules_and_their_input_fits_its_schema(own: Api) -> None:
    schema = {"type": "object", "required": ["n"]}
    workflow_id, draft = own.publish(WORK, input_schema=schema), own.create(WORK)["id"]
    archived = own.publish(WORK)
    own.http.post(f"/api/v1/workflows/{archived}/archive")

    refused = [put(own, each) for each in (draft, archived, str(uuid4()), workflow_id)]

    assert [each.status_code for each in refused] == [409, 409, 404, 422]
    assert put(own, workflow_id, input={"n": 1}).status_code == 201


def test_another_owners_schedule_is_not_there(own: Api) -> None:
    workflow_id = own.publish(WORK)
    path = f"{SCHEDULES}/{put(own, workflow_id).json()['id']}"
    with own.client(STRANGER) as stranger:
        answers = [
            stranger.get(path), stranger.delete(path), stranger.get(f"{path}/preview"), stranger.post(f"{path}/pause"),
            stranger.post(f"{path}/resume"), stranger.post(SCHEDULE, json={"workflow_id": workflow_id, "cron": YEARLY}),
        ]  # fmt: skip

    assert {each.status_code for each in answers} == {404}
    assert own.http.get(path).json()["enabled"] is True


def test_a_workflow_has_a_hundred_schedules_at_most(own: Api) -> None:
    workflow_id = own.publish(WORK)
    made = [put(own, workflow_id, name=f"number {number}").status_code for number in range(101)]

    assert made == [201] * 100 + [422]
    assert own.http.get(SCHEDULES, params={"per_page": 30}).json()["total"] == 100


def test_the_preview_says_what_clock_changes_do(own: Api) -> None:
    schedule = put(own, own.publish(WORK), "30 2 28-31 3 *", timezone="Europe/Berlin", enabled=False).json()
    items = own.http.get(f"{SCHEDULES}/{schedule['id']}/preview", params={"n": 60}).json()["items"]
    moved = [each for each in items if each["is_moved"]]

    assert len(items) == 60
    assert len(moved) > 5
    assert {each["local"][11:] for each in moved} == {"03:00:00+02:00"}
    assert {each["local"][11:19] for each in items if not each["is_moved"]} == {"02:30:00"}
    assert own.http.get(f"{SCHEDULES}/{schedule['id']}/preview", params={"n": 1001}).status_code == 400


def test_a_cron_expression_is_looked_ahead_at_before_there_is_a_schedule(own: Api) -> None:
    cron, timezone = "30 2 28-31 3 *", "Europe/Berlin"
    stored = put(own, own.publish(WORK), cron, timezone=timezone, enabled=False).json()["id"]
    seen = own.http.get(f"{SCHEDULES}/preview", params={"cron": cron, "timezone": timezone, "n": 60})
    bad = own.http.get(f"{SCHEDULES}/preview", params={"cron": "61 * * * *", "timezone": "Mars/Phobos"})

    assert seen.json() == own.http.get(f"{SCHEDULES}/{stored}/preview", params={"n": 60}).json()
    assert len(seen.json()["items"]) == 60
    assert (bad.status_code, [each["path"] for each in bad.json()["errors"]]) == (422, ["/cron", "/timezone"])
    assert own.http.get(f"{SCHEDULES}/preview").status_code == 400


def test_one_that_is_due_starts_a_run_that_knows_why(own: Api, services: dict[str, str]) -> None:
    workflow_id = own.publish(WORK)
    schedule = put(own, workflow_id, input={"n": 7}).json()
    instant = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    make_due(services, schedule["id"], instant)

    after = fired(own, schedule["id"])

    [run] = runs_of(own, workflow_id)
    said = instant.isoformat().replace("+00:00", "Z")
    assert own.finished(run["id"])["output"] == {"a": {"n": 7, "at": said}}
    assert (after["last_fired_at"], after["last_run_id"]) == (said, run["id"])
    assert after["next_fire_at"] == schedule["next_fire_at"]


@pytest.mark.parametrize(("catch_up", "count"), [("none", 1), ("last", 1), ("all", 30)])
def test_after_a_downtime_what_was_missed_is_made_up_for(
    own: Api, services: dict[str, str], catch_up: str, count: int
) -> None:
    workflow_id = own.publish(WORK)
    schedule = put(own, workflow_id, "* * * * *", catch_up=catch_up, overlap="allow", input={"n": 1}).json()
    now = datetime.now(UTC)
    make_due(services, schedule["id"], now.replace(second=0, microsecond=0) - timedelta(minutes=29), unseen=True)
    fired(own, schedule["id"])

    runs = own.http.get("/api/v1/runs", params={"workflow_id": workflow_id, "per_page": 100}).json()["items"]

    assert len(runs) in (count, count + 1), "a minute may have begun meanwhile"


@pytest.mark.parametrize(("overlap", "count"), [("skip", 1), ("allow", 2), ("queue", 1)])
def test_while_a_run_goes_on_another_is_started_waits_or_is_left_out(
    own: Api, services: dict[str, str], overlap: str, count: int
) -> None:
    workflow_id = own.publish(WAITS)
    schedule = put(own, workflow_id, overlap=overlap).json()
    make_due(services, schedule["id"], datetime.now(UTC) - timedelta(seconds=2))
    fired(own, schedule["id"])
    [first] = runs_of(own, workflow_id)
    until(lambda: own.run(first["id"])["status"] == "paused", "the first run waiting")
    make_due(services, schedule["id"], datetime.now(UTC) - timedelta(seconds=1))
    if overlap != "queue":
        fired(own, schedule["id"])

    assert len(runs_of(own, workflow_id)) == count
    own.http.post(f"/api/v1/runs/{first['id']}/cancel")
    if overlap == "queue":
        until(lambda: len(runs_of(own, workflow_id)) == 2, "the one that waited")


def test_a_paused_one_misses_nothing_and_goes_on_with_the_next_instant(own: Api) -> None:
    schedule = put(own, own.publish(WORK)).json()
    path = f"{SCHEDULES}/{schedule['id']}"
    paused, again = own.http.post(f"{path}/pause"), own.http.post(f"{path}/pause")
    resumed = own.http.post(f"{path}/resume")

    assert (paused.json()["enabled"], paused.json()["next_fire_at"]) == (False, None)
    assert again.json() == paused.json()
    assert resumed.json()["next_fire_at"] == schedule["next_fire_at"]


def test_an_archived_workflow_is_started_no_more(own: Api, services: dict[str, str]) -> None:
    workflow_id = own.publish(WORK)
    schedule = put(own, workflow_id).json()
    path = f"{SCHEDULES}/{schedule['id']}"
    own.http.post(f"/api/v1/workflows/{workflow_id}/archive")
    refused = [put(own, workflow_id), own.http.post(f"{path}/resume")]

    assert own.http.get(path).json()["next_fire_at"] is None
    assert {(each.status_code, each.json()["detail"]) for each in refused} == {
        (409, "The workflow is archived; it takes no more runs.")
    }
    make_due(services, schedule["id"], datetime.now(UTC) - timedelta(seconds=1))

    assert fired(own, schedule["id"])["next_fire_at"] is None
    assert runs_of(own, workflow_id) == []


def test_an_edit_does_not_start_an_instant_twice_and_keeps_the_one_that_is_to_come(own: Api) -> None:
    workflow_id = own.publish(WORK)
    first = put(own, workflow_id, "*/5 * * * *", jitter=3600).json()
    same = put(own, workflow_id, "*/5 * * * *", jitter=3600, input={"n": 1}).json()
    other = put(own, workflow_id, YEARLY).json()

    assert same["next_fire_at"] == first["next_fire_at"]
    assert other["next_fire_at"].endswith("-01-01T00:00:00Z")


def test_an_edit_does_not_make_an_instant_that_waits_a_missed_one(own: Api, services: dict[str, str]) -> None:
    workflow_id = own.publish(WORK)
    schedule = put(own, workflow_id, overlap="queue").json()
    instant, soon = datetime.now(UTC) - timedelta(seconds=300), datetime.now(UTC) + timedelta(seconds=1)
    statement = "UPDATE schedule SET next_fire_at = $2, due_at = $3 WHERE id = $1"
    execute(services, statement, schedule["id"], instant, soon)
    put(own, workflow_id, overlap="queue", input={"n": 2})
    fired(own, schedule["id"])

    assert [run["input"] for run in runs_of(own, workflow_id)] == [{"n": 2}]


def test_what_is_read_can_be_sent_back(own: Api) -> None:
    schedule = put(own, own.publish(WORK), input={"n": 1}, jitter=5).json()
    changed = own.http.post(SCHEDULE, json=schedule | {"cron": "@daily", "last_run_id": "whatever"})

    assert changed.status_code == 200
    assert (changed.json()["id"], changed.json()["last_run_id"]) == (schedule["id"], None)
    assert (changed.json()["cron"], changed.json()["input"]) == ("0 0 * * *", {"n": 1})


def test_a_key_belongs_to_a_workflow(own: Api) -> None:
    """As the contract has it for runs and schedules: another workflow's request with the same key is another request."""
    first, second = own.publish(WORK), own.publish(WORK)
    answers = [put(own, each, key="same") for each in (first, second, first, second)]

    assert [each.status_code for each in answers] == [201, 201, 200, 200]
    assert [each.json()["workflow_id"] for each in answers] == [first, second, first, second]
    assert len({each.json()["id"] for each in answers}) == 2


def test_one_that_cannot_be_read_holds_up_no_other(own: Api, services: dict[str, str]) -> None:
    """Its zone was renamed, say, in a later version of the IANA database."""
    workflow_id = own.publish(WORK)
    broken, sound = (put(own, workflow_id, name=name, input={"n": 1}).json()["id"] for name in ("broken", "sound"))
    instant = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    execute(services, "UPDATE schedule SET timezone = 'Gone/Away' WHERE id = $1", broken)
    make_due(services, broken, instant)
    make_due(services, sound, instant)

    assert fired(own, sound)["last_run_id"] is not None
    assert own.http.get(f"{SCHEDULES}/{broken}").json()["last_run_id"] is None


def test_what_many_have_missed_is_made_up_for_bit_by_bit(own: Api, services: dict[str, str]) -> None:
    """All at once it would not fit into the time that a statement has, nor into a worker's memory; here into two."""
    workflow_id = own.publish(WORK)
    first = put(own, workflow_id, "* * * * *", overlap="allow", catch_up="all", enabled=False).json()
    execute(
        services,
        """
        INSERT INTO schedule (id, owner_id, workflow_id, name, cron, timezone, input, enabled, overlap, catch_up, jitter,
                              next_fire_at, due_at)
        SELECT gen_random_uuid(), owner_id, workflow_id, 'copy ' || number, cron, timezone, $2::json, true, overlap, catch_up, 0,
               date_trunc('minute', now()) - interval '199 minutes', now() - interval '199 minutes'
        FROM schedule, generate_series(1, 3) AS number WHERE id = $1
        """,
        first["id"], '{"n": "' + "x" * 60_000 + '"}',
    )  # fmt: skip

    def looked_at() -> bool:
        items = own.http.get(SCHEDULES, params={"per_page": 100}).json()["items"]
        return all(each["last_fired_at"] and each["next_fire_at"] > now() for each in items if each["enabled"])

    until(looked_at, "every schedule being looked at", patience=100)
    [(count, keys)] = fetch(
        services, "SELECT count(*), count(DISTINCT idempotency_key) FROM run WHERE workflow_id = $1", workflow_id
    )

    assert 3 * 200 <= count == keys <= 3 * 203, "minutes may have begun meanwhile"


def test_an_instant_that_was_started_before_leaves_the_last_run_as_it_was(own: Api, services: dict[str, str]) -> None:
    """Else there would be a last run that there is not, and what overlaps could not be told."""
    schedule = put(own, own.publish(WAITS)).json()
    instant = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    make_due(services, schedule["id"], instant)
    first = fired(own, schedule["id"])
    own.http.post(f"/api/v1/runs/{first['last_run_id']}/cancel")
    own.finished(first["last_run_id"])
    make_due(services, schedule["id"], instant)
    second = fired(own, schedule["id"])

    assert first["last_run_id"] is not None
    assert second["last_run_id"] == first["last_run_id"]


def test_an_instant_that_is_skipped_is_seen(own: Api, services: dict[str, str]) -> None:
    workflow_id = own.publish(WAITS)
    schedule = put(own, workflow_id).json()
    first, second = (datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=each) for each in (2, 1))
    make_due(services, schedule["id"], first)
    before = fired(own, schedule["id"])
    make_due(services, schedule["id"], second)
    after = fired(own, schedule["id"])

    assert before["last_skipped_at"] is None
    assert (after["last_fired_at"], after["last_run_id"]) == (before["last_fired_at"], before["last_run_id"])
    assert datetime.fromisoformat(after["last_skipped_at"]) == second
