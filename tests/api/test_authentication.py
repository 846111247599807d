"""Nothing works without a token, and nobody sees what is another's."""

import base64
import json
import re
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from jose import jws

from factories import chain, node
from stack import OWNER, STRANGER, Api

SECRET = "a secret of more than thirty-two characters"
CLAIMS: dict[str, Any] = {"sub": str(OWNER), "aud": "authenticated", "role": "authenticated", "exp": 2_000_000_000}


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def test_no_route_answers_without_a_token(server: Api) -> None:
    document = httpx.get(f"{server.url}/docs/openapi.json", trust_env=False).json()
    routes = [
        (path, method) for path, item in document["paths"].items() for method in item if not path.startswith("/health")
    ]

    assert len(routes) >= 12
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for path, method in routes:
            if "/triggers/webhook/{workflow_id}" in path and not path.endswith("/secret"):
                continue  # who calls these has no token, but signs
            url = re.sub(r"\{\w+_id\}", lambda _: str(uuid4()), path).replace("{name}", "name")
            missing = client.request(method, url)
            wrong = client.request(method, url, headers={"Authorization": "Bearer x.y.z"})
            assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer"), (path, method)
            assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


@pytest.mark.parametrize(
    ("change", "secret", "algorithm"),
    [
        ({"exp": 1_000_000_000}, None, "HS256"),
        ({"nbf": 4_000_000_000}, None, "HS256"),
        ({"aud": "other"}, None, "HS256"),
        ({"role": "anon"}, None, "HS256"),
        ({"role": "service_role"}, None, "HS256"),
        ({"sub": "nobody"}, None, "HS256"),
        ({}, SECRET, "HS256"),
        ({}, None, "HS512"),
        ({}, None, "none"),
    ],
)
def test_the_server_believes_no_forged_or_worn_out_token(
    server: Api, change: dict[str, Any], secret: str | None, algorithm: str
) -> None:
    claims = CLAIMS | {"exp": int(time.time()) + 600} | change
    if algorithm == "none":
        token = unsigned(claims, algorithm)
    else:
        token = str(jws.sign(claims, secret or server.secret, algorithm=algorithm))
    response = httpx.get(
        f"{server.url}/api/v1/workflows", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )

    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert (response.headers["content-type"], response.json()["type"]) == (
        "application/problem+json", "/problems/invalid-token",
    )  # fmt: skip


def test_the_server_believes_the_token_that_the_forged_ones_differ_from(server: Api) -> None:
    token = str(jws.sign(CLAIMS | {"exp": int(time.time()) + 600}, server.secret, algorithm="HS256"))
    response = httpx.get(
        f"{server.url}/api/v1/workflows", headers={"Authorization": f"bearer {token}"}, trust_env=False
    )

    assert response.status_code == 200


def test_health_and_documents_need_none(server: Api) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for path in ("/health", "/health/ready", "/docs", "/docs/openapi.json"):
            assert client.get(path).status_code == 200, path


def test_another_owners_resources_look_exactly_like_missing_ones(server: Api) -> None:
    workflow_id = server.publish(chain(node("a", "core.log", {})))
    run = server.finished(server.start(workflow_id)["id"])
    absent = str(UUID(int=int(time.time())))
    with server.client(STRANGER) as stranger:
        for method, path in (
            ("GET", "/workflows/{w}"), ("PUT", "/workflows/{w}"), ("POST", "/workflows/{w}/publish"),
            ("POST", "/workflows/{w}/validate"), ("POST", "/workflows/{w}/run"), ("GET", "/runs/{r}"),
            ("GET", "/runs/{r}/steps"), ("GET", "/runs/{r}/events"),
        ):  # fmt: skip
            body = {} if method != "GET" else None
            theirs = stranger.request(method, "/api/v1" + path.format(w=workflow_id, r=run["id"]), json=body)
            missing = stranger.request(method, "/api/v1" + path.format(w=absent, r=absent), json=body)
            assert theirs.status_code == missing.status_code == 404, (method, path)
            known = (workflow_id, run["id"])
            said = [text.replace(known[0], absent).replace(known[1], absent) for text in (theirs.text, missing.text)]
            assert said[0] == said[1]
        assert stranger.get(f"/api/v1/runs?workflow_id={workflow_id}").json()["total"] == 0


def test_one_owners_idempotency_key_is_not_anothers(server: Api) -> None:
    body, key = {"name": "Mine"}, {"X-Idempotency-Key": "shared"}
    with server.client(STRANGER) as stranger:
        mine, theirs = (client.post("/api/v1/workflows", json=body, headers=key) for client in (server.http, stranger))

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]
