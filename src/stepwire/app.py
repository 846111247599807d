"""The API process: plugins, routers, dependencies, lifespan; and the document that these come to. Nothing else."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from stepwire.api.asyncapi import asyncapi_document
from stepwire.api.catalog import CatalogController
from stepwire.api.guards import admit
from stepwire.api.headers import with_headers
from stepwire.api.health import HealthController
from stepwire.api.hooks import HookController
from stepwire.api.live import watch_run, watch_runs
from stepwire.api.openapi import completed, openapi_config, swagger_assets
from stepwire.api.problems import EXCEPTION_HANDLERS
from stepwire.api.runs import RunController
from stepwire.api.schedules import ScheduleController
from stepwire.api.secrets import SecretController
from stepwire.api.studio import lead_to_studio, studio_files
from stepwire.api.webhooks import WebhookController
from stepwire.api.workflows import WorkflowController
from stepwire.auth.tokens import TokenVerifier
from stepwire.settings import Settings
from stepwire.wiring import dependencies, open_services

EXPOSED_HEADERS = [
    "Location",
    "ETag",
    "Link",
    "Idempotency-Replayed",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
]


def create_app(settings: Settings) -> Litestar:
    """The application; it connects to its services when it starts.

    Raises:
        Misconfigured: there is nothing to verify tokens with.
    """
    verifier = TokenVerifier(settings.supabase_jwt_secret, settings.supabase_url)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.verifier = verifier
        async with open_services(settings, verifier) as services:
            app.state.services = services
            yield

    controllers = [
        WorkflowController, RunController, WebhookController, ScheduleController, HookController, SecretController, CatalogController,
    ]  # fmt: skip
    api = Router(path="/api/v1", route_handlers=controllers, guards=[admit])
    app = Litestar(
        route_handlers=[
            api,
            HealthController,
            watch_run,
            watch_runs,
            asyncapi_document,
            swagger_assets(),
            lead_to_studio,
            studio_files(),
        ],
        dependencies=dependencies(),
        lifespan=[lifespan],
        middleware=[_naming_every_method],
        exception_handlers=EXCEPTION_HANDLERS,
        cors_config=_cors(settings),
        openapi_config=openapi_config(),
        logging_config=None,
        request_max_body_size=settings.max_body_bytes + settings.max_definition_bytes // 16,
    )
    app.state.methods = {
        route.path_format: ", ".join(sorted(route.methods)) for route in app.routes if isinstance(route, HTTPRoute)
    }
    app.asgi_handler = with_headers(app.asgi_handler, settings.supabase_url)  # outside of routing, unlike middleware
    return app


def document() -> str:
    """The OpenAPI document, as JSON; nothing has to be there for it."""
    app = create_app(Settings(supabase_jwt_secret="-" * 32))
    return json.dumps(completed(app.openapi_schema.to_schema()))


def _naming_every_method(app: ASGIApp) -> ASGIApp:
    """Litestar's answer to OPTIONS names the methods that a path had when the first of them was registered."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableScopeHeaders.from_message(message)["allow"] = scope["litestar_app"].state.methods[
                    scope["path_template"]
                ]
            await send(message)

        await app(scope, receive, send_allowed if scope.get("method") == "OPTIONS" else send)

    return middleware


def _cors(settings: Settings) -> CORSConfig:
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=[
            "Authorization", "Content-Type", "Idempotency-Key", "X-Idempotency-Key", "If-Match", "If-None-Match", "Prefer",
            "X-Request-ID", "Last-Event-ID",
        ],
        allow_credentials=True,
        expose_headers=EXPOSED_HEADERS,
    )  # fmt: skip
