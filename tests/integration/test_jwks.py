"""The API with a project's JWKS alone."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from factories import chain, node
from jwks import EcKey, Jwks, RsaKey, token
from stack import OWNER, Process, free_port, until

EC, RSA = EcKey("ec"), RsaKey("rsa")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Jwks]:
    with contextlib.closing(Jwks([EC.jwk, RSA.jwk])) as served:
        yield served


@pytest.fixture(scope="module")
def url(services: dict[str, str], endpoint: Jwks, workplace: Path) -> Iterator[str]:
    """An API that knows no secret."""
    port = free_port()
    environment = services | {"STEPWIRE_PORT": str(port), "SUPABASE_JWT_SECRET": "", "SUPABASE_URL": f"{endpoint.url}/"}
    process = Process("api", environment, workplace / "jwks.log")
    address = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{address}/health/ready", trust_env=False, verify=False).status_code == 200
        return False

    until(is_ready, "the API being ready")
    yield address
    assert process.stop() == 0


def bearer(endpoint: Jwks, key: EcKey | RsaKey) -> str:
    claims = {
        "sub": str(OWNER), "aud": "authenticated", "role": "authenticated", "exp": int(time.time()) + 600,
        "iss": f"{endpoint.url}/auth/v1",
    }  # fmt: skip
    return token({"alg": key.algorithm, "kid": key.key_id, "typ": "JWT"}, claims, key.sign)


@pytest.mark.parametrize("key", [EC, RSA])
def test_tokens_of_the_projects_keys_open_the_api_and_the_socket(url: str, endpoint: Jwks, key: EcKey | RsaKey) -> None:
    headers = {"Authorization": f"Bearer {bearer(endpoint, key)}"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, trust_env=False) as client:
        made = client.post("/workflows", json={"name": "x", "definition": chain(node("a"))}).json()
        client.post(f"/workflows/{made['id']}/publish")
        run = client.post(f"/workflows/{made['id']}/run").json()
    with connect(f"{url.replace('http', 'ws')}/ws/runs/{run['id']}", additional_headers=headers, proxy=None) as socket:
        assert '"type":"snapshot"' in str(socket.recv())


def test_a_stranger_to_the_project_is_refused(url: str, endpoint: Jwks) -> None:
    answer = httpx.get(
        f"{url}/api/v1/workflows",
        headers={"Authorization": f"Bearer {bearer(endpoint, EcKey('ec'))}"},
        trust_env=False,
    )

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_a_socket_is_told_why_it_is_refused(url: str, endpoint: Jwks) -> None:
    forged = {"Authorization": f"Bearer {bearer(endpoint, EcKey('ec'))}"}
    with connect(f"{url.replace('http', 'ws')}/ws/runs/{OWNER}", additional_headers=forged, proxy=None) as socket:
        assert "/problems/invalid-token" in str(socket.recv())
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_a_new_key_is_good_at_once_and_unknown_ones_cost_a_fetch(url: str, endpoint: Jwks) -> None:
    def ask(key: EcKey) -> int:
        headers = {"Authorization": f"Bearer {bearer(endpoint, key)}"}
        return client.get("/api/v1/workflows", headers=headers).status_code

    new = EcKey("new")
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert ask(EC) == 200
        endpoint.keys = [EC.jwk, RSA.jwk, new.jwk]
        assert ask(new) == 200
        asked = endpoint.asked
        assert {ask(EcKey(f"unknown-{number}")) for number in range(30)} == {401}

    assert endpoint.asked <= asked + 1


def test_keys_that_cannot_be_had_are_no_verdict(services: dict[str, str], workplace: Path) -> None:
    port = free_port()
    environment = services | {
        "STEPWIRE_PORT": str(port), "SUPABASE_JWT_SECRET": "", "SUPABASE_URL": f"http://127.0.0.1:{free_port()}",
    }  # fmt: skip
    process = Process("api", environment, workplace / "jwks-away.log")

    def ask() -> httpx.Response | None:
        with contextlib.closing(Jwks()) as nobody, contextlib.suppress(httpx.TransportError):
            header = {"Authorization": f"Bearer {bearer(nobody, EC)}"}
            return httpx.get(f"http://127.0.0.1:{port}/api/v1/workflows", headers=header, trust_env=False, verify=False)
        return None

    answer = until(ask, "an answer")
    with contextlib.closing(Jwks()) as nobody:
        header = {"Authorization": f"Bearer {bearer(nobody, EC)}"}
    address = f"ws://127.0.0.1:{port}/ws/runs/{OWNER}"
    with connect(address, additional_headers=header, proxy=None) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["type"] == "/problems/unavailable"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012, "browsers try again"
    assert process.stop() == 0


def test_an_api_that_could_verify_no_token_does_not_start(services: dict[str, str], workplace: Path) -> None:
    log = workplace / "no-keys.log"
    process = Process("api", services | {"SUPABASE_JWT_SECRET": "", "SUPABASE_URL": ""}, log)

    assert process.popen.wait(30) == 78
    assert "SUPABASE_URL" in log.read_text()


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer {0}"), ("Authorization", "Bearer {0}")],
        [("Authorization", "Bearer {0} {0}")],
        [("Authorization", "Bearer, {0}")],
        [("Authorization", "Basic {0}")],
        [("Authorization", "{0}")],
        [("Authorization", "Bearer")],
        [("X-Authorization", "Bearer {0}")],
        [("Cookie", "access_token={0}")],
    ],
)
def test_a_token_counts_in_its_own_place_alone(url: str, endpoint: Jwks, headers: list[tuple[str, str]]) -> None:
    good = bearer(endpoint, EC)
    sent = [(name, value.format(good)) for name, value in headers]
    with httpx.Client(base_url=url, trust_env=False) as client:
        answer = client.get("/api/v1/workflows", headers=sent, params={"access_token": good, "token": good})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_scheme_is_written_in_any_case(url: str, endpoint: Jwks) -> None:
    header = {"Authorization": f"bEARER {bearer(endpoint, RSA)}"}

    assert httpx.get(f"{url}/api/v1/runs", headers=header, trust_env=False).status_code == 200
