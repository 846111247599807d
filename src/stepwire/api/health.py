"""``/health``: for operators and load balancers, without a token."""

from litestar import Controller, Response, get
from litestar.openapi import ResponseSpec

from stepwire import __version__
from stepwire.api.guards import PUBLIC
from stepwire.api.schemas.catalog import Health, Readiness
from stepwire.services.health import HealthService


class HealthController(Controller):
    path = "/health"
    tags = ["Health"]  # noqa: RUF012 - Litestar's attribute
    opt = {PUBLIC: True}  # noqa: RUF012 - Litestar's attribute
    security = []  # noqa: RUF012 - Litestar's attribute

    @get(operation_id="getHealth")
    async def get_health(self) -> Health:
        """Whether the process serves."""
        return Health(status="ok", version=__version__)

    @get(
        "/ready",
        operation_id="getReadiness",
        responses={503: ResponseSpec(Readiness, description="Not ready", generate_examples=False)},
    )
    async def get_readiness(self, health: HealthService) -> Response[Readiness]:
        """Whether the process can do its work, with each dependency's state."""
        checks = await health.checks()
        if all(state == "ok" for state in checks.values()):
            return Response(Readiness("ok", checks))
        return Response(Readiness("unavailable", checks), status_code=503)
