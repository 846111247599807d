"""Webhooks over HTTP: signed as real senders sign, delivered twice, in every form, and by attackers."""

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from factories import chain, node
from fleet import Fleet
from stack import STRANGER, Api

HOOKS = "/api/v1/triggers/webhook"
ECHO = node("echo", "core.transform", {"values": {"input": "{{ input }}", "trigger": "{{ trigger }}"}})
ORDER = b'{"order": 7}'


def hooked(api: Api, auth: str = "standard", *more: dict[str, Any], publish: bool = True, **config: Any) -> str:
    """A workflow with a webhook trigger."""
    drawn = chain(node("hook", "trigger.webhook", {"auth": auth, **config}), *(more or (ECHO,)))
    return api.publish(drawn) if publish else str(api.create(drawn)["id"])


def secret_of(api: Api, workflow_id: str, secret: str | None = None, **headers: str) -> str:
    answer = api.http.post(f"{HOOKS}/{workflow_id}/secret", json={"secret": secret}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["secret"])


def standard(secret: str, body: bytes = ORDER, message_id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    instant = datetime.fromtimestamp(int(at or time.time()), UTC)
    return {
        "webhook-id": message_id, "webhook-timestamp": str(int(instant.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, instant, body.decode()), "content-type": "application/json",
    }  # fmt: skip


def github(secret: str, body: bytes = ORDER) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "x-hub-signature-256": f"sha256={signature}", "x-github-delivery": str(uuid4()), "x-github-event": "push",
        "content-type": "application/json",
    }  # fmt: skip


def stripe(secret: str, body: bytes) -> dict[str, str]:
    now = int(time.time())
    signature = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={now},v1={signature}", "content-type": "application/json"}


def slack(secret: str, body: bytes) -> dict[str, str]:
    now = int(time.time())
    signature = hmac.new(secret.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "x-slack-request-timestamp": str(now),
        "x-slack-signature": f"v0={signature}",
        "content-type": "application/json",
    }


@pytest.fixture
def anybody(server: Api) -> Any:
    """A client without a token."""
    with httpx.Client(base_url=server.url, timeout=90, trust_env=False) as client:
        yield client


def send(client: httpx.Client, workflow_id: str, headers: dict[str, str], body: bytes = ORDER, query: str = "") -> Any:
    return client.post(f"{HOOKS}/{workflow_id}{query}", content=body, headers=headers)


def test_a_signed_request_starts_a_run_that_knows_how_it_was_called(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server)
    secret = secret_of(server, workflow_id)
    headers = standard(secret) | {"x-event": "paid", "cookie": "private"}
    answer = send(anybody, workflow_id, headers, query="?from=shop&from=test")

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/runs/{answer.json()['id']}"
    assert (answer.json()["trigger_type"], answer.json()["input"]) == ("webhook", {"order": 7})
    echoed = server.finished(answer.json()["id"])["output"]["echo"]
    assert echoed["input"] == {"order": 7}
    assert (echoed["trigger"]["type"], echoed["trigger"]["method"]) == ("webhook", "POST")
    assert echoed["trigger"]["query"] == {"from": ["shop", "test"]}
    assert echoed["trigger"]["headers"]["x-event"] == "paid"
    assert {"cookie", "webhook-signature", "authorization"}.isdisjoint(echoed["trigger"]["headers"])


@pytest.mark.parametrize(
    ("auth", "sign", "secret"),
    [("github", github, "It's a Secret to Everybody"), ("stripe", stripe, None), ("slack", slack, None)],
)
def test_each_senders_signature_is_taken_once_and_by_no_other_secret(
    server: Api, anybody: httpx.Client, auth: str, sign: Callable[..., dict[str, str]], secret: str | None
) -> None:
    body = b'{"id": "evt_1", "event_id": "Ev1", "type": "charge.succeeded"}'
    workflow_id = hooked(server, auth)
    known = secret_of(server, workflow_id, secret)
    headers = sign(known, body)
    answers = [send(anybody, workflow_id, headers, body) for _ in range(2)]
    wrong = send(anybody, workflow_id, sign("another secret", body), body)
    changed = send(anybody, workflow_id, headers, body + b" ")

    assert secret in (None, known)
    assert [each.status_code for each in answers] == [202, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert [wrong.status_code, changed.status_code] == [401, 401]


def test_a_token_in_a_header_or_the_owners_own_is_taken_and_is_nowhere_to_be_seen(
    server: Api, anybody: httpx.Client
) -> None:
    workflow_id = hooked(server, "token", header="X-Shop-Token")
    secret = secret_of(server, workflow_id, "token-of-the-shop")
    answers = [
        send(anybody, workflow_id, {"x-shop-token": secret}), send(server.http, workflow_id, {}),
        send(anybody, workflow_id, {"x-shop-token": "another token"}), send(anybody, workflow_id, {}),
    ]  # fmt: skip
    with server.client(STRANGER) as stranger:
        answers.append(send(stranger, workflow_id, {}))

    assert [each.status_code for each in answers] == [202, 202, 401, 401, 401]
    for answer in answers[:2]:
        path = answer.headers["location"]
        server.finished(answer.json()["id"])
        assert not [part for part in ("", "/steps", "/events") if secret in server.http.get(path + part).text]


def test_headers_are_read_whatever_their_case_and_the_space_around_them(server: Api) -> None:
    workflow_id = hooked(server, "github")
    secret_of(server, workflow_id, "It's a Secret to Everybody")
    documented = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"  # of GitHub's own example
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"POST {HOOKS}/{workflow_id} HTTP/1.1\r\nHost: {host}\r\nx-HUB-signature-256:\t{documented} \t\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nHello\r\n8\r\n, World!\r\n0\r\n\r\n".encode()
        )
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 202 "), answer


def test_none_is_the_owners_choice(server: Api, anybody: httpx.Client) -> None:
    assert send(anybody, hooked(server, "none"), {}).status_code == 202


def test_while_a_secret_changes_both_are_taken(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server)
    secrets = [secret_of(server, workflow_id) for _ in range(3)]
    statuses = [send(anybody, workflow_id, standard(each, message_id=each[6:12])).status_code for each in secrets]

    assert len(set(secrets)) == 3
    assert statuses == [401, 202, 202]


def test_the_same_secret_given_again_takes_the_place_of_none(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server, "token")
    for secret in ("the first token", "the second token", "the second token"):
        secret_of(server, workflow_id, secret)
    given = [{"x-webhook-token": f"the {each} token"} for each in ("first", "second", "third")]

    assert [send(anybody, workflow_id, each).status_code for each in given] == [202, 202, 401]


def test_without_a_webhook_trigger_requests_are_signed_as_standard_webhooks_has_it(
    server: Api, anybody: httpx.Client
) -> None:
    published, draft = server.publish(chain(ECHO)), str(server.create(chain(ECHO))["id"])
    unreadable = hooked(server, "semaphore", publish=False)
    signed = [
        send(anybody, each, standard(secret_of(server, each))).status_code for each in (published, draft, unreadable)
    ]

    assert signed == [202, 409, 401]
    assert send(anybody, published, standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).status_code == 401


def test_a_draft_is_verified_as_it_is_drawn_now(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server, "standard", publish=False)
    headers = {"x-webhook-token": secret_of(server, workflow_id)}
    before = send(anybody, workflow_id, headers)
    drawn = chain(node("hook", "trigger.webhook", {"auth": "token"}))
    server.http.put(f"/api/v1/workflows/{workflow_id}", json={"definition": drawn}).raise_for_status()

    assert [before.status_code, send(anybody, workflow_id, headers).status_code] == [401, 409]


def test_of_secrets_that_are_made_at_once_the_last_two_are_good(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server, "token")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: secret_of(server, workflow_id), range(16)))
    statuses = [send(anybody, workflow_id, {"x-webhook-token": each}).status_code for each in made]

    assert sorted(statuses) == [202] * 2 + [401] * 14


def test_a_secret_is_made_once_for_a_key(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server)
    first, again = (secret_of(server, workflow_id, **{"Idempotency-Key": "one"}) for _ in range(2))
    other = secret_of(server, workflow_id, **{"Idempotency-Key": "two"})
    path = f"{HOOKS}/{workflow_id}/secret"
    reused = server.http.post(path, json={"secret": "chosen-by-hand"}, headers={"Idempotency-Key": "two"})

    assert first == again != other
    assert reused.json()["type"] == "/problems/idempotency-key-reused"
    assert send(anybody, workflow_id, standard(first)).status_code == 202


def test_what_is_not_there_answers_as_what_is_wrongly_signed(server: Api, anybody: httpx.Client) -> None:
    workflow_id, without = hooked(server), server.publish(chain(ECHO))
    secret_of(server, workflow_id)
    draft, unsigned = hooked(server, publish=False), hooked(server)
    missing = str(uuid4())
    answers = {
        each: send(anybody, each, standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        for each in (workflow_id, without, draft, unsigned, missing)
    }

    assert {each.status_code for each in answers.values()} == {401}
    assert len({answer.text.replace(each, "") for each, answer in answers.items()}) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers.values()}) == 1


def test_a_verified_call_of_what_is_not_published_is_a_conflict(server: Api, anybody: httpx.Client) -> None:
    draft, archived = hooked(server, publish=False), hooked(server)
    secrets = {each: secret_of(server, each) for each in (draft, archived)}
    assert send(anybody, archived, standard(secrets[archived], message_id="before")).status_code == 202
    server.http.post(f"/api/v1/workflows/{archived}/archive")

    assert {send(anybody, each, standard(secret)).status_code for each, secret in secrets.items()} == {409}


def test_input_that_does_not_fit_is_refused_at_its_place(server: Api, anybody: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"order": {"type": "string"}}}
    drawn = chain(node("hook", "trigger.webhook", {"auth": "none"}), ECHO)
    answer = send(anybody, server.publish(drawn, input_schema=schema), {"content-type": "application/json"})

    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == ["/input/order"]


def test_a_delivery_that_comes_many_times_at_once_starts_one_run(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server)
    headers = standard(secret_of(server, workflow_id))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: send(anybody, workflow_id, headers), range(24)))

    assert sorted(each.status_code for each in answers) == [200] * 23 + [202]
    assert len({each.json()["id"] for each in answers}) == 1


def test_a_delivery_is_the_same_however_its_body_differs_and_a_key_of_the_senders_own_comes_first(
    server: Api, anybody: httpx.Client
) -> None:
    workflow_id = hooked(server)
    secret, other = secret_of(server, workflow_id), b'{"order": 7, "attempt": 2}'
    first = send(anybody, workflow_id, standard(secret))
    again = send(anybody, workflow_id, standard(secret, other), other)
    keyed = [
        send(anybody, workflow_id, standard(secret, message_id=each) | {"X-Idempotency-Key": "own"})
        for each in ("a", "b")
    ]

    assert [first.status_code, again.status_code] == [202, 200]
    assert first.json()["id"] == again.json()["id"]
    assert [each.status_code for each in keyed] == [202, 200]
    assert keyed[0].json()["id"] == keyed[1].json()["id"] != first.json()["id"]


def test_a_key_of_the_senders_own_stands_for_one_request(server: Api, anybody: httpx.Client) -> None:
    workflow_id, key = hooked(server, "none"), {"content-type": "application/json", "x-idempotency-key": "own"}
    answers = [send(anybody, workflow_id, key, body) for body in (ORDER, b'{ "order": 7.0 }', b'{"order": 8}')]
    delivered = send(anybody, workflow_id, {"webhook-id": "own"}, b"other")

    assert [each.status_code for each in answers] == [202, 200, 422]
    assert answers[2].json()["type"] == "/problems/idempotency-key-reused"
    assert (delivered.status_code, delivered.json()["id"]) == (200, answers[0].json()["id"])


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json"}, b"{", 400), ({"content-type": "application/json"}, b"[" * 5000, 400),
        ({"content-type": "application/json"}, b"[" * 70 + b"]" * 70, 422),
        ({"content-type": "application/json"}, b"9" * 5000, 422), ({"content-type": "application/json"}, b"[1e400]", 422),
        ({"content-type": "application/json"}, b'{"a": "\\u0000"}', 422), ({}, b"x" * ((1 << 20) + 1), 413),
        ({"content-encoding": "gzip"}, b"\x1f\x8b", 415), ({"content-encoding": "Identity"}, b"x", 202),
        ({"content-type": "application/json"}, b'\xef\xbb\xbf{"a": 1}', 202), ({"x-idempotency-key": "with a space"}, b"", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--y", 400), ({}, b"\x00\xff" * (1 << 18), 202),
        ({"content-type": "text/plain", "webhook-id": "w\xe4h".encode("latin-1")}, b"x", 202),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(
    server: Api, anybody: httpx.Client, headers: Any, body: bytes, status: int
) -> None:
    answer = send(anybody, hooked(server, "none"), headers, body)

    assert answer.status_code == status, answer.text


def test_a_respond_step_says_what_the_sender_is_answered(server: Api, anybody: httpx.Client) -> None:
    said = {
        "status": 418,
        "headers": {"X-Said": "{{ input.order }}", "Content-Type": "text/x-poem"},
        "body": "short and stout",
    }
    asks = node("ask", "core.approval", {})
    workflow_id = hooked(server, "none", node("say", "webhook.respond", said), asks, respond="when_finished")
    answer = send(anybody, workflow_id, {"content-type": "application/json"}, b'{"order": "7"}')

    assert (answer.status_code, answer.text, answer.headers["x-said"]) == (418, "short and stout", "7")
    assert answer.headers["content-type"].startswith("text/x-poem")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_the_step_says_of_a_header_counts_save_what_is_the_servers(server: Api, anybody: httpx.Client) -> None:
    headers = {
        "location": "https://example.com/", "content-type": "text/plain; charset=utf-8", "Content-Encoding": "gzip",
        "X-Request-ID": "theirs", "X-Frame-Options": "ALLOW", "Set-Cookie": "a=b", "Clear-Site-Data": "*",
        "Content-Security-Policy": "default-src *", "NEL": "{}", "Report-To": "{}", "Alt-Svc": "clear", "X-Sendfile": "/etc/passwd",
        "X-Accel-Redirect": "/internal/",
    }  # fmt: skip
    said = {"status": 302, "headers": headers, "body": "gr\u00fc\u00df"}
    workflow_id = hooked(server, "none", node("say", "webhook.respond", said), respond="when_finished")
    with httpx.Client(base_url=server.url, timeout=90, trust_env=False, follow_redirects=False) as client:
        answer = send(client, workflow_id, {"x-request-id": "ours"})

    assert (answer.status_code, answer.text) == (302, "gr\u00fc\u00df")
    assert answer.headers.get_list("location") == ["https://example.com/"]
    assert answer.headers.get_list("content-type") == ["text/plain; charset=utf-8"]
    assert answer.headers.get_list("x-request-id") == ["ours"]
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    policy = set(answer.headers["content-security-policy"].split("; "))
    assert {"default-src 'none'", "form-action 'none'", "base-uri 'none'", "sandbox"} <= policy, (
        "a page asks for no password"
    )
    assert {"content-encoding", "set-cookie", "clear-site-data", "nel", "report-to", "alt-svc"}.isdisjoint(
        answer.headers
    )
    assert {"x-sendfile", "x-accel-redirect"}.isdisjoint(answer.headers), "a proxy would send what it keeps to itself"


@pytest.mark.parametrize("body", [{"a": [1]}, None, ""])
def test_prefer_wait_has_the_answer_waited_for(server: Api, anybody: httpx.Client, body: Any) -> None:
    workflow_id = hooked(server, "none", node("say", "webhook.respond", {"status": 201, "body": body}))
    answer = send(anybody, workflow_id, {"prefer": "wait=20"})

    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=20"
    assert (answer.json() if body else answer.text) == (body or "")


def test_without_a_respond_step_who_waits_is_answered_the_run(server: Api, anybody: httpx.Client) -> None:
    done = send(anybody, hooked(server, "none"), {"prefer": "wait=20"})
    slow = hooked(server, "none", node("wait", "core.delay", {"duration": 60}))
    waited = send(anybody, slow, {"prefer": "wait=1"})

    assert (done.status_code, done.json()["status"]) == (202, "completed")
    assert "echo" in done.json()["output"]
    assert "context" not in done.json(), "what every step has made is for the owner"
    assert waited.status_code == 202
    assert waited.json()["status"] in ("queued", "running")


def test_providers_that_ask_whether_the_address_is_meant_are_answered(server: Api, anybody: httpx.Client) -> None:
    workflow_id = hooked(server, "slack")
    secret = secret_of(server, workflow_id)
    asked = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a", "token": "old"}).encode()
    slacks = send(anybody, workflow_id, slack(secret, asked), asked)
    forged = send(anybody, workflow_id, slack("another secret", asked), asked)
    path = f"{HOOKS}/{workflow_id}"
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": secret}
    metas = anybody.get(path, params=query)
    wrong = [
        anybody.get(path, params=query | {"hub.verify_token": "no"}),
        anybody.get(f"{HOOKS}/{uuid4()}", params=query),
    ]
    script = anybody.get(path, params=query | {"hub.challenge": "x\n<script>"})

    assert (slacks.status_code, slacks.text, forged.status_code) == (200, "3eZbrw1a", 401)
    assert (metas.status_code, metas.text) == (200, "1158201444")
    assert metas.headers["content-type"].startswith("text/plain")
    assert {each.status_code for each in wrong} == {401}
    assert script.status_code == 400
    assert (anybody.get(path).status_code, anybody.get(path).headers["allow"]) == (405, "POST")
    assert server.http.get("/api/v1/runs", params={"workflow_id": workflow_id}).json()["total"] == 0


@pytest.mark.parametrize("secret", ["short", "x" * 501, "with\nnewline", "with\x00nul-in-it"])
def test_what_cannot_be_a_signing_secret_is_refused(server: Api, secret: str) -> None:
    answer = server.http.post(f"{HOOKS}/{hooked(server)}/secret", json={"secret": secret})

    assert answer.status_code == 422
    assert secret not in answer.text


def test_a_webhook_that_was_accepted_is_stored_whatever_dies_then(
    services: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=7)
    request.addfinalizer(fleet.kill)
    api = fleet.apis[0]
    workflow_id = hooked(api, "none")
    accepted = []
    for number in range(5):
        with httpx.Client(base_url=api.url, trust_env=False, timeout=30) as client:
            answer = send(client, workflow_id, {"webhook-id": f"msg_{number}"})
            fleet.processes["api-0"].kill()
        accepted.append(answer.json()["id"])
        fleet.replace("api-0")
        api.http.close()
        api.http = api.client()
        while not api.is_ready():
            continue

    assert [api.finished(run_id)["status"] for run_id in accepted] == ["completed"] * 5
    fleet.close()
