"""Whatever authenticates somebody is planted wherever it may be sent, and looked for in all that is kept, streamed and logged."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from redis import Redis
from test_webhooks import HOOKS, github, hooked, secret_of, slack, standard, stripe
from websockets.sync.client import connect

from factories import chain, node
from fleet import Fleet
from recorder import Recorder
from stack import Api, until

ECHO = node(
    "echo", "core.transform", {"values": {"trigger": "{{ trigger }}", "input": "{{ input }}", "run": "{{ run }}"}}
)
VISIBLE = "planted for all to see"
_OWNER = "the owner's token"


class Planted:
    """Who does what with which secret; each secret is told by name."""

    def __init__(self, api: Api, owner: UUID, recorder: Recorder) -> None:
        self.api, self.owner, self.recorder = api, owner, recorder
        self.secrets: dict[str, str] = {_OWNER: api.token(owner)}
        self.runs: list[str] = []
        self.answers: list[str] = []

    def plant(self, name: str, value: str) -> str:
        self.secrets[name] = value
        return value

    def make(self, name: str) -> str:
        return self.plant(name, f"planted-{uuid4().hex}-{len(self.secrets)}")

    def heard(self, answer: httpx.Response) -> httpx.Response:
        """What is answered is looked through, too; but for the one answer that tells a new secret."""
        self.answers.append(answer.text + str(answer.headers))
        return answer

    def started(self, answer: httpx.Response) -> None:
        assert self.heard(answer).status_code in (200, 201, 202), answer.text
        self.runs.append(answer.json()["id"])


@pytest.fixture
def fleet(services: dict[str, str], tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(services, tmp_path, apis=1, workers=1, number=8)
    yield fleet
    fleet.kill()


def test_no_secret_is_to_be_found_anywhere(fleet: Fleet, recorder: Recorder, tmp_path: Path) -> None:
    [api] = fleet.apis
    owner = UUID(int=1)
    planted = Planted(api, owner, recorder)
    _webhooks(planted)
    _steps(planted)
    _hook(planted)
    seen = _watched(planted)
    _refusals(planted)
    until(lambda: all(api.run(each)["status"] in ("completed", "failed") for each in planted.runs), "every run's end")
    until(lambda: any("webhook-signature" in each.headers for each in recorder.requests), "the hook being told")

    asked = [
        api.http.get(path).text
        for run in planted.runs
        for path in (f"/api/v1/runs/{run}", f"/api/v1/runs/{run}/steps", f"/api/v1/runs/{run}/events")
    ] + [
        api.http.get(f"/api/v1/{path}").text
        for path in ("runs?include=context", "workflows?include=definition", "secrets")
    ]
    fleet.close()
    places = {
        "answers": "\n".join([*planted.answers, *asked]),
        "streams": seen,
        "database": asyncio.run(_database(fleet.url)),
        "Valkey": _valkey(fleet.redis),
        "logs": "\n".join(log.read_text() for log in tmp_path.glob("*.log")),
    }

    assert all(_holds(places[each], VISIBLE) for each in ("answers", "streams", "database")), (
        "what is no secret is found"
    )
    found = [
        f"{name} in {place}"
        for name, value in planted.secrets.items()
        for place, text in places.items()
        if _holds(text, value)
    ]
    assert not found


def _webhooks(planted: Planted) -> None:
    """Each way to sign, with credentials in every header that has to do with them."""
    api = planted.api
    noise = {
        "x-visible": VISIBLE,
        "cookie": f"session={planted.make('a cookie')}",
        "proxy-authorization": f"Basic {planted.make('a proxy password')}",
    }
    with httpx.Client(base_url=api.url, trust_env=False) as anybody:

        def send(workflow_id: str, headers: dict[str, str], body: bytes) -> httpx.Response:
            return anybody.post(f"{HOOKS}/{workflow_id}", headers=noise | headers, content=body)

        for auth, sign in {"standard": standard, "github": github, "stripe": stripe, "slack": slack}.items():
            workflow_id = hooked(api, auth, ECHO)
            secret = planted.plant(f"the secret of {auth}", secret_of(api, workflow_id))
            body = json.dumps({"id": f"evt_{auth}", "event_id": f"Ev{auth}"}).encode()
            signed = sign(secret, body)
            for name, value in signed.items():
                if "signature" in name:
                    planted.plant(f"the signature of {auth}", re.sub("^(v[01]|sha256)=", "", value.split(",")[-1]))
            planted.started(send(workflow_id, signed, body))
            rotated = planted.plant(f"the new secret of {auth}", secret_of(api, workflow_id))
            planted.heard(send(workflow_id, sign(rotated, body + b" "), body))
        for config in ({}, {"header": "x-custom-token"}):
            workflow_id = hooked(api, "token", ECHO, **config)
            secret = planted.plant(f"a webhook token {config}", secret_of(api, workflow_id))
            planted.started(send(workflow_id, {config.get("header", "x-webhook-token"): secret}, b"{}"))
        workflow_id = hooked(api, "none", ECHO)
        planted.started(send(workflow_id, {"authorization": f"Bearer {planted.make('a foreign token')}"}, b"{}"))
        planted.started(
            send(hooked(api, "standard", ECHO), {"authorization": f"Bearer {planted.secrets[_OWNER]}"}, b"{}")
        )


def _steps(planted: Planted) -> None:
    """A step that sends a secret to a service which repeats it, and one that would show it."""
    api, recorder = planted.api, planted.recorder
    value = planted.make("a secret of a step")
    answer = api.http.put("/api/v1/secrets/shop", json={"value": value})
    assert planted.heard(answer).status_code in (200, 201)
    recorder.answers.append(
        (200, {"x-seen": value, "content-type": "application/json"}, {"token": value, "again": [value]})
    )
    call = node(
        "call", "http.request",
        {"method": "POST", "url": recorder.url, "headers": {"Authorization": "Bearer {{ secrets.shop }}"}, "json": {"key": "{{ secrets.shop }}"}},
    )  # fmt: skip
    show = node("show", "core.transform", {"values": {"seen": "{{ secrets.shop }}"}})
    planted.started(api.http.post(f"/api/v1/workflows/{api.publish(chain(call, show, ECHO))}/run"))


def _hook(planted: Planted) -> None:
    """Who is told when a run has ended, signed with a secret that is then changed."""
    api = planted.api
    workflow_id = api.publish(chain(ECHO))
    made = api.http.put(f"/api/v1/workflows/{workflow_id}/hook", json={"url": f"{planted.recorder.url}/told"})
    planted.plant("a hook's secret", made.json()["secret"])
    renewed = api.http.post(f"/api/v1/workflows/{workflow_id}/hook/secret")
    planted.plant("a hook's new secret", renewed.json()["secret"])
    planted.started(api.http.post(f"/api/v1/workflows/{workflow_id}/run"))
    planted.heard(api.http.get(f"/api/v1/workflows/{workflow_id}/hook"))


def _watched(planted: Planted) -> str:
    """All that sockets say, opened in each way that there is."""
    api, seen = planted.api, list[str]()
    token = planted.secrets[_OWNER]
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    address = api.url.replace("http", "ws")
    for run in planted.runs:
        ticket = planted.plant(
            f"a ticket of {run}", api.http.post(f"/api/v1/runs/{run}/socket-ticket").json()["ticket"]
        )
        for query, more in (
            (f"&ticket={ticket}", {}),
            ("", {"subprotocols": ["stepwire.v1", f"bearer.{encoded}"]}),
            ("", {"additional_headers": {"Authorization": f"Bearer {token}"}}),
        ):
            with connect(f"{address}/ws/runs/{run}?after=0{query}", **more) as socket:
                seen += [str(frame) for frame in socket]
    return "\n".join(seen)


def _refusals(planted: Planted) -> None:
    """What is wrong is answered without being repeated."""
    api, wrong = planted.api, planted.make("a wrong token")
    forged = f"{planted.secrets[_OWNER]}x"
    planted.plant("a forged token", forged[-40:])
    workflow_id = hooked(api)
    with httpx.Client(base_url=api.url, trust_env=False) as anybody:
        for token in (wrong, forged):
            planted.heard(anybody.get("/api/v1/runs", headers={"Authorization": f"Bearer {token}"}))
            planted.heard(anybody.post(f"{HOOKS}/{workflow_id}", headers={"webhook-signature": f"v1,{token}"}))
        planted.heard(anybody.get(f"{HOOKS}/{workflow_id}", params={"hub.challenge": "1", "hub.verify_token": wrong}))
    planted.heard(api.http.put("/api/v1/secrets/bad name", json={"value": planted.make("the value of a bad name")}))
    planted.heard(api.http.put("/api/v1/secrets/fine", content=f'{{"value": "{planted.make("malformed JSON")}"'))
    planted.heard(api.http.put("/api/v1/secrets/fine", json={"value": planted.make("an unknown field"), "more": wrong}))
    for each in ("short", "with\nbreak"):
        secret = f"{planted.make('an unusable secret')}{each}\x07"
        planted.heard(api.http.post(f"{HOOKS}/{workflow_id}/secret", json={"secret": secret}))
    url = f"https://user:{planted.make('a password in a URL')}@example.com"
    planted.heard(api.http.put(f"/api/v1/workflows/{workflow_id}/hook", json={"url": url}))


async def _database(url: str) -> str:
    """Every row of every table, binary columns as they are and decoded."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows: list[str] = []
        for (table,) in tables:
            for record in await connection.fetch(f"SELECT * FROM {table}"):
                rows += [_text(value) for value in record.values()]
        return "\n".join(rows)
    finally:
        await connection.close()


def _valkey(redis: Redis) -> str:
    kept = [key.decode(errors="replace") for key in redis.scan_iter()]
    return "\n".join([*kept, *(str(redis.dump(key)) for key in kept)])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _holds(text: str, value: str) -> bool:
    """As it is, or as Basic credentials and other base64 would have it."""
    spellings = [value, base64.b64encode(value.encode()).decode()[:-4], value.removeprefix("whsec_")]
    return any(re.search(re.escape(spelling), text) for spelling in spellings)
