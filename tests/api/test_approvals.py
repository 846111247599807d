"""Runs that wait for a person."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from factories import chain, definition, edge, node
from stack import STRANGER, Api, until

FORM = {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]}
ASKING = chain(
    node("ask", "core.approval", {"message": "Ship {{ input.order }}?", "schema": FORM}),
    node("then", "core.transform", {"values": {"approved": "{{ steps.ask.output.approved }}"}}),
)


def timed(seconds: float, *handles: str) -> dict[str, Any]:
    """An approval that runs out, with a step behind each of these handles."""
    steps = [node(f"on-{handle}", "core.log", {"message": handle}) for handle in handles]
    edges = [edge("ask", f"on-{handle}", handle) for handle in handles]
    return definition([node("ask", "core.approval", {"message": "?", "timeout": seconds}), *steps], edges)


def paused(server: Api, raw: dict[str, Any], value: Any = None) -> str:
    run_id = str(server.start(server.publish(raw), value)["id"])
    until(lambda: server.run(run_id)["status"] == "paused", "the pause")
    return run_id


def resume(server: Api, run_id: str, data: Any, step_id: str = "ask", **options: Any) -> Any:
    return server.http.post(f"/api/v1/runs/{run_id}/resume", json={"step_id": step_id, "data": data}, **options)


def names(server: Api, run_id: str) -> list[str]:
    return [event["event"] for event in server.events(run_id)]


def test_a_run_pauses_for_a_person_and_goes_on_with_the_answer(server: Api) -> None:
    run_id = paused(server, ASKING, {"order": "A1"})
    shown = server.run(run_id)["context"]["steps"]["ask"]
    steps = server.http.get(f"/api/v1/runs/{run_id}/steps").json()["items"]

    answer = resume(server, run_id, {"approved": True}, headers={"Prefer": "wait=30"})

    assert (shown["status"], steps[0]["input"]["message"]) == ("waiting", "Ship A1?")
    assert (answer.status_code, answer.json()["status"]) == (202, "completed")
    assert answer.json()["output"] == {"then": {"approved": True}}
    assert [name for name in names(server, run_id) if name.startswith("run.")] == [
        "run.queued", "run.started", "run.paused", "run.resumed", "run.completed",
    ]  # fmt: skip


def test_an_answer_that_does_not_fit_the_form_is_refused_and_the_step_goes_on_waiting(server: Api) -> None:
    run_id = paused(server, ASKING, {"order": "A1"})

    refused = resume(server, run_id, {"approved": "yes"})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "/data/approved"
    assert server.run(run_id)["status"] == "paused"
    assert resume(server, run_id, {"approved": False}).status_code == 202


def test_the_same_answer_again_changes_nothing_and_another_one_is_refused(server: Api) -> None:
    run_id = paused(server, ASKING, {"order": "A1"})
    resume(server, run_id, {"approved": True})
    server.finished(run_id)
    before = server.events(run_id)

    assert resume(server, run_id, {"approved": True}).status_code == 200
    assert resume(server, run_id, {"approved": False}).status_code == 409
    assert server.events(run_id) == before


@pytest.mark.parametrize(("again", "status"), [(1.0, 200), (True, 409), ("1", 409)])
def test_an_answer_is_the_same_when_it_is_as_json(server: Api, again: Any, status: int) -> None:
    run_id = paused(server, chain(node("ask", "core.approval")))

    assert resume(server, run_id, {"n": 1}).status_code == 202
    assert resume(server, run_id, {"n": again}).status_code == status


def test_of_many_answers_at_once_one_counts(server: Api) -> None:
    raw = chain(node("ask", "core.approval", {"message": "?"}))
    run_id = paused(server, raw)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: resume(server, run_id, {"n": number}).status_code, range(10)))

    assert sorted(answers) == [202] + [409] * 9
    assert names(server, run_id).count("run.resumed") <= 1
    winner = answers.index(202)
    assert server.finished(run_id)["output"] == {"ask": {"n": winner}}


@pytest.mark.parametrize(
    ("handles", "status", "ran"),
    [
        (("timeout", "default"), "completed", {"on-timeout"}),
        (("default",), "failed", set()),
        (("error",), "completed", {"on-error"}),
    ],
)
def test_a_time_to_answer_that_runs_out_takes_its_edge_or_fails_the_step(
    server: Api, handles: tuple[str, ...], status: str, ran: set[str]
) -> None:
    run = server.execute(timed(0.2, *handles))

    assert run["status"] == status
    steps = run["context"]["steps"]
    assert {each for each in steps if each != "ask" and steps[each]["status"] == "completed"} == ran
    assert resume(server, run["id"], {}).status_code == 409


def test_other_branches_go_on_while_one_waits_for_a_person(server: Api) -> None:
    raw = definition(
        [
            node("ask", "core.approval", {"message": "?"}),
            node("delay", "core.delay", {"duration": 0.3}),
            node("after", "core.log", {"message": "x"}),
        ],
        [edge("delay", "after")],
    )
    run_id = paused(server, raw)

    assert server.run(run_id)["context"]["steps"]["after"]["status"] == "completed"
    resume(server, run_id, {"a": 1})
    assert server.finished(run_id)["output"] == {"ask": {"a": 1}, "after": {"message": "x"}}


def test_a_paused_run_is_cancelled(server: Api) -> None:
    run_id = paused(server, ASKING, {"order": "A1"})

    assert server.http.post(f"/api/v1/runs/{run_id}/cancel").status_code == 202
    assert server.finished(run_id)["status"] == "cancelled"
    assert resume(server, run_id, {"approved": True}).status_code == 409
    assert "run.resumed" not in names(server, run_id)


def test_a_step_that_asks_nobody_cannot_be_answered(server: Api) -> None:
    run_id = paused(server, ASKING, {"order": "A1"})

    assert [resume(server, run_id, {}, step).status_code for step in ("then", "nothing", "\u2603")] == [409] * 3
    assert resume(server, run_id, {}, "\x00").status_code == 422


def test_a_stranger_cannot_answer(server: Api) -> None:
    run_id = paused(server, ASKING, {"order": "A1"})
    body = {"step_id": "ask", "data": {"approved": True}}

    with server.client(STRANGER) as client:
        assert client.post(f"/api/v1/runs/{run_id}/resume", json=body).status_code == 404
    assert server.run(run_id)["status"] == "paused"
