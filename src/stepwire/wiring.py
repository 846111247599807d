"""Who is given what: everything that lives as long as the API process, made in one place."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.datastructures import State
from litestar.di import Provide

from stepwire.api.keys import provide_idempotency_key
from stepwire.api.paging import provide_paging
from stepwire.api.prefer import provide_wait
from stepwire.api.start import provide_start
from stepwire.auth.encryption import load_keyring
from stepwire.auth.tokens import Session, TokenVerifier
from stepwire.db.session import open_database
from stepwire.errors import Misconfigured
from stepwire.runtime.canceller import Canceller
from stepwire.services.control import RunControl
from stepwire.services.feeds import Feeds
from stepwire.services.health import HealthService
from stepwire.services.hooks import HookService
from stepwire.services.intake import open_intake
from stepwire.services.live import RunStream
from stepwire.services.overview import Overviews
from stepwire.services.runs import RunService, Workflows
from stepwire.services.schedules import ScheduleService
from stepwire.services.secrets import SecretService
from stepwire.services.sign_in import SignIn
from stepwire.services.tickets import TicketService
from stepwire.services.webhooks import MAX_WEBHOOK_BYTES, WebhookService
from stepwire.services.workflows import WorkflowService
from stepwire.settings import Settings
from stepwire.signals.connection import open_redis
from stepwire.signals.live import Announcer, LiveHub
from stepwire.signals.nudge import announce_nudges
from stepwire.signals.queue import open_queue
from stepwire.signals.rate import RateLimiter
from stepwire.signals.wake import Waker
from stepwire.steps.registry import load_registry


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers are given by name."""

    workflows: WorkflowService
    runs: RunService
    control: RunControl
    secrets: SecretService
    hooks: HookService
    schedules: ScheduleService
    webhooks: WebhookService
    tickets: TicketService
    sign_in: SignIn
    stream: RunStream
    overviews: Overviews
    health: HealthService
    registry: Any
    limiter: RateLimiter | None
    verifier: TokenVerifier
    settings: Settings


@asynccontextmanager
async def open_services(settings: Settings, verifier: TokenVerifier) -> AsyncIterator[Services]:
    """Make the services and keep their tasks going for as long as the context lasts."""
    if settings.database_url is None or settings.redis_url is None:
        raise Misconfigured("The API needs DATABASE_URL and REDIS_URL; `stepwire serve` brings its own.")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(settings.database_url, timeout=settings.database_timeout_seconds)
        )
        redis = await stack.enter_async_context(open_redis(settings.redis_url))
        registry = load_registry()
        waker = Waker(open_queue(redis))
        keyring = load_keyring(settings.encryption_key)
        announcer = Announcer(redis)
        intake = open_intake(database.pool, waker, announcer)
        hub = LiveHub(redis)
        feeds = Feeds(database.pool, hub)
        workflows = Workflows(database, registry)
        runs = RunService(database, workflows, intake, settings.max_input_bytes)
        overviews = Overviews(database.pool, hub, runs)
        tasks = {
            name: asyncio.create_task(run)
            for name, run in {
                "intake": intake.run(),
                "live": hub.listen(),
                "feeds": feeds.run(),
                "lists": overviews.run(),
            }.items()
        }
        stack.push_async_callback(_cancel, tasks.values())
        canceller = Canceller(database.pool, redis, waker, registry, lease_seconds=settings.lease_seconds)
        yield Services(
            workflows=WorkflowService(database, registry, settings.max_definition_bytes),
            runs=runs,
            control=RunControl(
                database,
                runs,
                feeds,
                canceller.cancel,
                waker.wake,
                partial(announce_nudges, redis),
                announcer,
                settings.max_input_bytes,
            ),
            secrets=SecretService(database.pool, keyring),
            hooks=HookService(database.pool, keyring),
            webhooks=WebhookService(database.pool, workflows, runs, feeds, keyring, MAX_WEBHOOK_BYTES),
            schedules=ScheduleService(database, workflows, settings.max_input_bytes),
            tickets=TicketService(database.pool, redis),
            sign_in=SignIn(redis, settings),
            stream=RunStream(database.pool, feeds, workflows),
            overviews=overviews,
            health=HealthService(database, redis, tasks, intake),
            registry=registry,
            limiter=None if settings.rate is None else RateLimiter(redis, *settings.rate),
            verifier=verifier,
            settings=settings,
        )


def provide_owner(request: Request[Any, Any, Any]) -> UUID:
    """The ``sub`` whose request it is; the guard has verified it."""
    owner: UUID = request.scope["user"].owner
    return owner


def provide_session(request: Request[Any, Any, Any]) -> Session:
    """Whose request it is and until when; the guard has verified it."""
    session: Session = request.scope["user"]
    return session


def dependencies() -> dict[str, Provide]:
    """Handlers' parameters by name: the services, made when the application starts, and what a request says."""
    services = {name: Provide(_service(name), use_cache=True, sync_to_thread=False) for name in Services.__slots__}
    return services | {
        "owner": Provide(provide_owner, sync_to_thread=False),
        "session": Provide(provide_session, sync_to_thread=False),
        "wait": Provide(provide_wait, sync_to_thread=False),
        "paging": Provide(provide_paging, sync_to_thread=False),
        # not the name of a body's field: Litestar takes an error there for one in the dependency, and answers 500
        "header_key": Provide(provide_idempotency_key, sync_to_thread=False),
        "start": Provide(provide_start, sync_to_thread=False),
    }


def _service(name: str) -> Callable[[State], Any]:
    def provide(state: State) -> Any:
        return getattr(state.services, name)

    return provide


async def _cancel(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
