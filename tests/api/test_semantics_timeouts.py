"""``data.timeout`` holds for whatever a step does: call, wait, run another workflow, run its items."""

import asyncio
from datetime import datetime, timedelta

import asyncpg
import pytest

from factories import chain, definition, edge, node
from recorder import Recorder
from stack import Api, until

SLOW = node("slow", "core.delay", {"duration": 3600})


def children(server: Api, workflow_id: str) -> list[dict[str, object]]:
    return list(server.http.get("/api/v1/runs", params={"workflow_id": workflow_id}).json()["items"])


@pytest.mark.parametrize("timeout", [0.05, "PT0.05S"])
def test_a_delay_is_cut_off(server: Api, timeout: float | str) -> None:
    run = server.execute(chain(node("slow", "core.delay", {"duration": 3600}, timeout=timeout)))

    assert (run["status"], run["error"]["code"]) == ("failed", "timeout")
    assert run["error"]["message"] == "The step took longer than 0.05 seconds."


def test_a_child_run_that_takes_too_long_is_cancelled_and_another_attempt_starts_another(server: Api) -> None:
    child_id = server.publish(chain(SLOW))
    policy = {"max_attempts": 2, "initial_interval": 0}
    calling = node("child", "core.workflow", {"workflow_id": child_id}, timeout="PT0.2S", retry=policy)

    run = server.execute(chain(calling))

    assert (run["status"], run["error"]["code"], run["error"]["attempt"]) == ("failed", "timeout", 2)
    ended = [server.finished(str(child["id"])) for child in children(server, child_id)]
    assert [child["status"] for child in ended] == ["cancelled", "cancelled"]


def test_a_container_that_takes_too_long_follows_its_error_edge(server: Api) -> None:
    each = node("each", "core.map", {"items": [0.01, 3600]}, timeout=0.3)
    rest = {**node("rest", "core.delay", {"duration": "{{ item }}"}), "parentId": "each"}
    after = node("after", "core.transform", {"values": {"code": "{{ steps.each.error.code }}"}})

    run = server.execute(definition([each, rest, after], [edge("each", "after", "error")]))

    assert (run["status"], run["output"]) == ("completed", {"after": {"code": "timeout"}})


def test_a_container_that_is_taken_up_has_all_its_time_again_and_no_more(server: Api) -> None:
    each = node("each", "core.map", {"items": [0.2, 3600]}, timeout=0.3)
    rest = {**node("rest", "core.delay", {"duration": "{{ item }}"}), "parentId": "each"}
    run_id = server.execute(definition([each, rest]))["id"]

    for _ in range(2):
        taken_up = server.http.post(f"/api/v1/runs/{run_id}/retry", headers={"Prefer": "wait=10"}).json()

        assert (taken_up["status"], taken_up["error"] and taken_up["error"]["code"]) == ("failed", "timeout")
    stretches = [event["at"] for event in server.events(run_id) if event["event"] in ("run.retried", "run.failed")][1:]
    at = [datetime.fromisoformat(each) for each in stretches]
    took = [end - begin for begin, end in zip(at[::2], at[1::2], strict=True)]
    assert all(timedelta(seconds=0.3) <= each < timedelta(seconds=5) for each in took)


def test_a_question_is_over_at_the_earlier_of_its_two_timeouts(server: Api) -> None:
    ask, after = node("ask", "core.approval", {"timeout": "P1D"}, timeout=0.1), node("after")
    run = server.start(server.publish(definition([ask, after], [edge("ask", "after", "timeout")])))

    ended = until(lambda: server.finished(run["id"]), "the end")

    assert (ended["status"], list(ended["output"])) == ("completed", ["after"])


def test_a_run_that_is_taken_up_has_all_its_time_again(
    server: Api, server_environment: dict[str, str], recorder: Recorder
) -> None:
    recorder.answers = [(400, {}, {})]
    run_id = server.execute(chain(node("call", "http.request", {"url": recorder.url})))["id"]
    asyncio.run(age(server_environment["DATABASE_URL"], run_id))

    taken_up = server.http.post(f"/api/v1/runs/{run_id}/retry", headers={"Prefer": "wait=10"})

    assert (taken_up.status_code, taken_up.json()["status"]) == (202, "completed")


def test_a_delay_of_months_does_not_count_and_what_comes_after_it_has_all_its_time(
    server: Api, server_environment: dict[str, str], recorder: Recorder
) -> None:
    call = node("call", "http.request", {"url": recorder.url})
    run_id = server.start(server.publish(chain(node("rest", "core.delay", {"duration": "P75D"}), call)))["id"]
    until(lambda: [each for each in server.events(run_id) if each["event"] == "step.waiting"], "the delay")
    asyncio.run(age(server_environment["DATABASE_URL"], run_id))

    ended = server.finished(run_id)

    assert (ended["status"], list(ended["output"])) == ("completed", ["call"])


async def age(url: str, run_id: str) -> None:
    """Make a run older than a run may be, and whatever it waits for come now."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(
            "UPDATE run SET created_at = created_at - interval '76 days', wake_at = now() WHERE id = $1", run_id
        )
        await connection.execute("UPDATE step_run SET due_at = now() WHERE run_id = $1 AND due_at IS NOT NULL", run_id)
    await connection.close()
