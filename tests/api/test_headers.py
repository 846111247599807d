"""What every answer carries, and how many answers an owner gets."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from factories import chain, node
from stack import OWNER, STRANGER, Api, Process, free_port, until
from stepwire.errors import Misconfigured
from stepwire.settings import load_settings

EVERYWHERE = [
    ("GET", "/api/v1/workflows"),
    ("GET", "/api/v1/workflows/nonsense"),
    ("PATCH", "/api/v1/workflows"),
    ("GET", "/nowhere"),
    ("GET", "/health"),
    ("GET", "/docs"),
    ("OPTIONS", "/api/v1/runs"),
    ("POST", "/api/v1/workflows"),
]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize("origin", [None, "http://localhost:5173", "https://evil.example"])
def test_every_answer_has_its_request_id_and_is_safe_in_a_browser(
    server: Api, method: str, path: str, origin: str | None
) -> None:
    sent = {"X-Request-ID": "mine"} | ({"Origin": origin} if origin else {})
    headers = server.http.request(method, path, headers=sent).headers

    assert headers["x-request-id"] == "mine"
    assert "Origin" in headers["vary"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers.get("access-control-allow-origin") == (origin if origin and "localhost" in origin else None)


def test_what_belongs_to_an_owner_stays_in_no_cache(server: Api) -> None:
    workflow_id = server.create({"nodes": [], "edges": []})["id"]

    assert server.http.get("/api/v1/workflows").headers["cache-control"] == "no-store"
    assert server.http.get(f"/api/v1/workflows/{workflow_id}").headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/health", "/api/v1/workflows", "/nowhere"])
def test_a_head_is_a_get_without_a_body(server: Api, path: str) -> None:
    got, head = server.http.get(path), server.http.head(path)

    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


@pytest.fixture(scope="module")
def moderated(services: dict[str, str], workplace: Path) -> Iterator[list[Api]]:
    """Two API processes that together give each owner 20 answers at once, and one more every 50 s."""
    environments = [services | {"STEPWIRE_PORT": str(free_port()), "STEPWIRE_RATE_LIMIT": "0.02,20"} for _ in range(2)]
    processes = [Process("api", each, workplace / "moderated.log") for each in environments]
    apis = [Api(f"http://127.0.0.1:{each['STEPWIRE_PORT']}", each["SUPABASE_JWT_SECRET"]) for each in environments]
    for api in apis:
        until(api.is_ready, "the API being ready")
    yield apis
    for api, process in zip(apis, processes, strict=True):
        api.http.close()
        assert process.stop() == 0


def test_an_owner_who_asks_too_often_is_told_to_wait(moderated: list[Api]) -> None:
    answers = [moderated[number % 2].http.get("/api/v1/workflows") for number in range(22)]

    assert [each.status_code for each in answers] == [200] * 20 + [429] * 2
    assert [each.headers["ratelimit"].split(";")[1] for each in answers] == [f"r={n}" for n in range(19, -1, -1)] + [
        "r=0",
        "r=0",
    ]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert 40 < int(refused.headers["retry-after"]) <= 50
    assert refused.headers["ratelimit-policy"] == '"owner";q=20;w=1000'
    with moderated[0].client(STRANGER) as client:
        assert client.get("/api/v1/workflows").status_code == 200, "another owner is not held up"
    assert moderated[0].http.get("/health").status_code == 200
    assert "ratelimit" not in moderated[0].http.get("/health").headers
    assert OWNER != STRANGER


def test_webhooks_that_are_verified_count_apart_from_what_their_owner_asks(moderated: list[Api]) -> None:
    owner = uuid4()
    with moderated[0].client(owner) as client:
        drawn = chain(node("hook", "trigger.webhook", {"auth": "token"}))
        workflow_id = client.post("/api/v1/workflows", json={"name": "Hooked", "definition": drawn}).json()["id"]
        client.post(f"/api/v1/workflows/{workflow_id}/publish")
        address = f"/api/v1/triggers/webhook/{workflow_id}"
        secret = client.post(f"{address}/secret").json()["secret"]
        with httpx.Client(trust_env=False) as sender:
            wrong = [sender.post(f"{moderated[0].url}{address}", headers={"x-webhook-token": "no"}) for _ in range(25)]
            right = [
                sender.post(f"{moderated[n % 2].url}{address}", headers={"x-webhook-token": secret}) for n in range(22)
            ]

        assert {each.status_code for each in wrong} == {401}
        assert [each.status_code for each in right] == [202] * 20 + [429] * 2
        assert 40 < int(right[-1].headers["retry-after"]) <= 50
        assert client.get(f"/api/v1/workflows/{workflow_id}").status_code == 200


def test_without_a_limit_nobody_counts(server: Api) -> None:
    assert "ratelimit" not in server.http.get("/api/v1/workflows").headers


@pytest.mark.parametrize(
    ("text", "rate"), [("20", (20.0, 40)), ("0.5", (0.5, 1)), ("2.5", (2.5, 5)), ("20,100", (20.0, 100))]
)
def test_a_limit_says_how_many_a_second_and_how_many_at_once(text: str, rate: tuple[float, int]) -> None:
    assert load_settings({"STEPWIRE_RATE_LIMIT": text}).rate == rate


@pytest.mark.parametrize("text", ["0", "-1", "x", "20,0", "20,", "1e3", "0.0", "20 per second"])
def test_a_limit_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(Misconfigured, match="STEPWIRE_RATE_LIMIT"):
        load_settings({"STEPWIRE_RATE_LIMIT": text})


@pytest.mark.parametrize(
    "text", ["localhost:5173", "https://app.example.com/path", "https://user@app.example.com", "app.example.com"]
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(Misconfigured, match="STEPWIRE_CORS_ORIGINS"):
        load_settings({"STEPWIRE_CORS_ORIGINS": text})


def test_origins_are_taken_as_browsers_send_them() -> None:
    settings = load_settings({"STEPWIRE_CORS_ORIGINS": "https://App.example.com/, http://localhost:5173,*"})

    assert settings.cors_origins == ("https://app.example.com", "http://localhost:5173", "*")
