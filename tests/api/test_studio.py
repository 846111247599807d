"""The studio's files, and how its pages come by a token."""

import gzip
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.testing import TestClient

from stack import Api, another_api
from stepwire import studio
from stepwire.api.studio import COOKIE, studio_files
from stepwire.auth.sealed import CODE_SECONDS, seal, sign_in_code, unseal
from stepwire.settings import EMBEDDED_OWNER

NOTHING = {name: Provide(lambda: None, sync_to_thread=False) for name in ("settings", "sign_in")}


@pytest.fixture(scope="module")
def embedded(services: dict[str, str], workplace: Path) -> Iterator[Api]:
    """An API as `stepwire serve` starts it where nothing else says who may sign in."""
    with another_api(services, workplace / "studio-api.log") as api:
        yield api


@pytest.fixture
def browser(embedded: Api) -> Iterator[httpx.Client]:
    """A browser without any token, which keeps cookies."""
    with httpx.Client(base_url=embedded.url, trust_env=False) as client:
        yield client


def test_a_link_signs_in_once_and_its_cookie_brings_tokens_from_then_on(embedded: Api, browser: httpx.Client) -> None:
    code = sign_in_code(embedded.secret, time.time())
    first = browser.post("/studio/sign-in", json={"code": code})
    again = browser.post("/studio/token")
    with httpx.Client(base_url=embedded.url, trust_env=False) as thief:
        replayed = thief.post("/studio/sign-in", json={"code": code})

    assert (first.status_code, again.status_code, replayed.status_code) == (200, 200, 401)
    assert COOKIE not in replayed.cookies
    made = browser.post(
        "/api/v1/workflows", json={"name": "Mine"}, headers={"Authorization": f"Bearer {again.json()['access_token']}"}
    )
    with embedded.client(EMBEDDED_OWNER) as owner:
        assert owner.get(f"/api/v1/workflows/{made.json()['id']}").status_code == 200
    assert 0 < again.json()["expires_in"] <= 900


def test_the_cookie_is_for_the_studio_alone_and_no_script_reads_it(embedded: Api, browser: httpx.Client) -> None:
    answer = browser.post("/studio/sign-in", json={"code": sign_in_code(embedded.secret, time.time())})
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    session = cookie.value
    signed_out = browser.post("/studio/sign-out")

    assert (cookie["path"], cookie["httponly"], cookie["samesite"].lower()) == ("/studio", True, "strict")
    assert browser.get("/api/v1/workflows", headers={"Authorization": f"Bearer {session}"}).status_code == 401
    assert (signed_out.status_code, browser.post("/studio/token").status_code) == (204, 401)


@pytest.mark.parametrize(
    "code",
    ["", "x", "x" * 48, "ä", seal("another secret", "sign-in code", time.time() + 60)],
    ids=["empty", "short", "forged", "not ASCII", "another's"],
)
def test_what_is_no_code_signs_nobody_in(browser: httpx.Client, code: str) -> None:
    answer = browser.post("/studio/sign-in", json={"code": code})

    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
    assert "set-cookie" not in answer.headers


def test_what_is_sealed_is_for_one_purpose_and_until_its_time(embedded: Api, browser: httpx.Client) -> None:
    now = time.time()
    code = sign_in_code(embedded.secret, now)
    found = unseal(embedded.secret, "sign-in code", code, now)
    old = sign_in_code(embedded.secret, now - CODE_SECONDS - 1)
    browser.cookies.set(COOKIE, code, path="/studio")

    assert found is not None
    assert found.expires_at == int(now + CODE_SECONDS)
    assert unseal(embedded.secret, "studio session", code, now) is None
    assert unseal(embedded.secret, "sign-in code", code[:-1] + ("A" if code[-1] != "A" else "B"), now) is None
    assert browser.post("/studio/sign-in", json={"code": old}).status_code == 401
    assert browser.post("/studio/token").status_code == 401, "a code is no session"


@pytest.mark.parametrize("path", ["/studio/sign-in", "/studio/token", "/studio/sign-out"])
def test_pages_of_other_origins_get_nothing(embedded: Api, browser: httpx.Client, path: str) -> None:
    """Those of another port are of the same site: their requests bring the cookie along."""
    browser.post("/studio/sign-in", json={"code": sign_in_code(embedded.secret, time.time())})
    body = {"code": sign_in_code(embedded.secret, time.time())}
    for origin in ("http://localhost:5173", "https://evil.example", "null", "http://["):
        answer = browser.post(path, json=body, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert browser.post(path, content=b"code=x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert browser.post("/studio/token", headers={"Origin": embedded.url}).status_code == 200


def test_a_server_with_keys_of_its_own_takes_no_link(services: dict[str, str], workplace: Path) -> None:
    with another_api(services | {"STEPWIRE_EMBEDDED": ""}, workplace / "studio-api.log") as api:
        config = api.http.get("/studio/config.json").json()
        answer = api.http.post("/studio/sign-in", json={"code": sign_in_code(api.secret, time.time())})

    assert config == {"sign_in": "token", "supabase_url": None, "supabase_key": None}
    assert answer.status_code == 404


def test_with_supabase_the_studio_is_told_where_to_sign_in(services: dict[str, str], workplace: Path) -> None:
    more = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_1"}
    with another_api(services | more | {"STEPWIRE_EMBEDDED": ""}, workplace / "studio-api.log") as api:
        config, page = api.http.get("/studio/config.json"), api.http.get("/studio/")

    assert config.json() == {
        "sign_in": "supabase", "supabase_url": more["SUPABASE_URL"], "supabase_key": more["SUPABASE_PUBLISHABLE_KEY"],
    }  # fmt: skip
    assert "connect-src 'self' https://x.supabase.co;" in page.headers["content-security-policy"]


def test_the_root_leads_to_the_studio_whose_pages_load_nothing_from_elsewhere(server: Api) -> None:
    root, page = server.http.get("/"), server.http.get("/studio/")
    policy = page.headers["content-security-policy"]

    assert (root.status_code, root.headers["location"]) == (302, "/studio/")
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


# Litestar warns of dependencies that it infers from names.
IN_PROCESS = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(studio, "FILES", tmp_path / "dist")
    return tmp_path / "dist"


@IN_PROCESS
def test_where_it_is_not_built_it_says_what_is_missing(files: Path) -> None:
    with TestClient(Litestar([studio_files()], dependencies=NOTHING)) as client:
        answer = client.get("/studio/workflows")

    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (503, "text/html")
    assert "make studio" in answer.text


@IN_PROCESS
def test_every_address_is_the_page_and_what_it_loads_is_kept(files: Path) -> None:
    (files / "assets").mkdir(parents=True)
    (files / "index.html").write_text("<p>The page</p>" * 100)
    (files / "icon.svg").write_text("<svg/>")
    (files / "assets" / "index-abc.js").write_text("let a = 1;" * 1000)
    (files.parent / "private").write_text("for nobody else")
    with TestClient(Litestar([studio_files()], dependencies=NOTHING)) as client:
        pages = [client.get(f"/studio{path}") for path in ("", "/", "/runs/1", f"/workflows/{uuid4()}/triggers")]
        script, icon = client.get("/studio/assets/index-abc.js"), client.get("/studio/icon.svg")
        missing = [client.get(f"/studio/assets/{name}") for name in ("no.js", "..%2f..%2fprivate", "%2e%2e/index.html")]

    assert {(each.status_code, each.text[:15]) for each in pages} == {(200, "<p>The page</p>")}
    assert {each.headers["cache-control"] for each in pages} == {"no-cache"}
    assert (script.headers["content-encoding"], script.text[:10]) == ("gzip", "let a = 1;")
    assert script.headers["vary"] == "Accept-Encoding"
    assert "immutable" in script.headers["cache-control"]
    assert icon.headers["content-type"].startswith("image/svg+xml")
    assert [each.status_code for each in missing] == [404] * 3
    assert not any("for nobody else" in each.text for each in missing)


@IN_PROCESS
def test_what_a_page_loads_is_compressed_once_for_all_who_ask(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "assets").mkdir(parents=True)
    script = files / "assets" / "once.js"
    script.write_text("let a = 1;" * 1000)
    compressions: list[int] = []
    compress = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda content: compressions.append(len(content)) or compress(content))
    with TestClient(Litestar([studio_files()], dependencies=NOTHING)) as client:
        packed = [client.get("/studio/assets/once.js") for _ in range(3)]
        plain = client.get("/studio/assets/once.js", headers={"Accept-Encoding": "identity"})
        script.write_text("let b = 2;" * 1000)
        built_again = client.get("/studio/assets/once.js")

    assert {each.text for each in [*packed, plain]} == {"let a = 1;" * 1000}
    assert "content-encoding" not in plain.headers
    assert built_again.text == "let b = 2;" * 1000
    assert len(compressions) == 2
