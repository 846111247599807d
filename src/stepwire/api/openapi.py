"""The OpenAPI document and Swagger UI, served from local files."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Request, Response
from litestar.exceptions import InternalServerException, NotFoundException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.router import Router
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_404_NOT_FOUND

from stepwire import __version__
from stepwire.api.document import complete
from stepwire.api.guards import PUBLIC
from stepwire.api.problems import PROBLEM_JSON, not_found
from stepwire.api.schemas.common import Problem

ASSETS = "/docs/assets"
DESCRIPTION = """\
Draw, publish, run and watch workflows.

- **Errors** are RFC 9457 problem documents; `type` is stable, `detail` is a sentence to act on, `errors` says each thing
  that is wrong, at its place.
- **Idempotency**: a creating POST with an `X-Idempotency-Key` (or `Idempotency-Key`) makes one resource, however often
  it is sent; repeats answer 200 with `Idempotency-Replayed: true`.
- **Lists** come by page (`?page=&per_page=`, with `total`) or by cursor (`?cursor=`, empty to start), newest first, with
  `Link` headers.
- **Watch** a run on the WebSocket `/ws/runs/{run_id}`: a snapshot first, then every event, once, in order.
"""
_SAYS = {
    400: "The request is malformed",
    401: "No valid token",
    404: "Not found, or another owner's",
    405: "Nothing to be had this way",
    409: "Not possible in the state that the resource is in",
    412: "The resource has changed meanwhile",
    413: "Too large",
    415: "Not JSON",
    422: "Well-formed, but not acceptable",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem documents that a route may answer with; 400 and 401 always."""
    return {
        status: ResponseSpec(Problem, description=_SAYS[status], generate_examples=False, media_type=PROBLEM_JSON)
        for status in sorted({400, 401, *statuses})
    }


def made_before(
    kind: type, description: str = "Made before, by a request with this idempotency key"
) -> dict[int, ResponseSpec]:
    """The 200 of a creating route."""
    return {200: ResponseSpec(kind, description=description, generate_examples=False)}


def made(kind: type) -> dict[int, ResponseSpec]:
    """The 201 of a route that also changes what is there."""
    return {201: ResponseSpec(kind, description="Made", generate_examples=False)}


NOT_MODIFIED = {304: ResponseSpec(None, description="You have it already", generate_examples=False)}


class DocumentPlugin(JsonRenderPlugin):
    """The document, completed."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, completed(openapi_schema))


class SwaggerPlugin(SwaggerRenderPlugin):
    """Swagger UI with the document, completed."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, completed(openapi_schema))


def completed(openapi_schema: dict[str, Any]) -> dict[str, Any]:
    """The one document of an application, completed when it is asked for first."""
    if "headers" not in openapi_schema["components"]:
        complete(openapi_schema)
    return openapi_schema


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Stepwire",
        version=__version__,
        description=DESCRIPTION,
        openapi_router=Router(
            "/docs", route_handlers=[], include_in_schema=False, dto=None, return_dto=None, after_request=_no_html
        ),
        use_handler_docstrings=True,
        security=[{"bearer": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A Supabase access token; in the embedded mode, what `stepwire token` prints",
                )
            }
        ),
        tags=[
            Tag("Workflows", "Draw and publish"),
            Tag("Runs", "Start and follow"),
            Tag("Triggers", "Start runs by the clock, and by what others send"),
            Tag("Hooks", "Tell others when runs have ended"),
            Tag("Secrets", "What steps may read by name"),
            Tag("Catalog", "The step types"),
            Tag("Health", "For operators"),
        ],
        render_plugins=[
            DocumentPlugin(path="/openapi.json"),
            SwaggerPlugin(
                path=["/", "/swagger"],
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" type="image/png" href="{ASSETS}/favicon-32x32.png">',
            ),
        ],
    )


def _no_html(response: Response[Any]) -> Response[Any]:
    """Have what is not there answered like everywhere, with a problem."""
    if response.status_code == HTTP_404_NOT_FOUND:
        raise NotFoundException
    return response


def no_such_file(request: Request[Any, Any, Any], _: Exception) -> Response[Problem]:
    """A name that is too long for the file system, or holds a NUL."""
    return not_found(request)


def swagger_assets() -> Router:
    """Swagger UI's own files, from the package that ships them; the package itself (a Flask blueprint) is not loaded."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise RuntimeError("flask-swagger-ui is not installed")
    return create_static_files_router(
        path=ASSETS, directories=[Path(spec.origin).parent / "dist"], include_in_schema=False, opt={PUBLIC: True},
        exception_handlers={InternalServerException: no_such_file, ValueError: no_such_file},
    )  # fmt: skip
