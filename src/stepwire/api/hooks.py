"""``/workflows/{id}/hook``: who is told when runs have ended; ``/workflows/{id}/deliveries``: what became of it."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED

from stepwire.api.openapi import made, made_before, problems
from stepwire.api.paging import refuse_nulls
from stepwire.api.schemas.hooks import (
    DeliveryPage,
    DeliveryResponse,
    HookInput,
    HookResponse,
    NewSecret,
    delivery_response,
    hook_response,
)
from stepwire.api.workflows import REPLAYED
from stepwire.db.deliveries import Status
from stepwire.services.hooks import HookService
from stepwire.services.paging import decode_cursor

Cursor = Annotated[str, Parameter(query="cursor", max_length=200, description="`next_cursor` of the last part")]
PerPage = Annotated[int, Parameter(query="per_page", ge=1, le=200, description="Items a page")]


class HookController(Controller):
    path = "/workflows/{workflow_id:uuid}"
    tags = ["Hooks"]  # noqa: RUF012 - Litestar's attribute

    @put("/hook", operation_id="putHook", status_code=HTTP_200_OK,
         responses=made(HookResponse) | problems(404, 409, 413, 415, 422))  # fmt: skip
    async def put_hook(
        self, workflow_id: UUID, data: HookInput, hooks: HookService, owner: UUID
    ) -> Response[HookResponse]:
        """Have a URL told when runs of the workflow have ended, or change which; 201, with the secret, when it is new.

        Each end is posted there as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`) until it
        is answered with 2xx, for about a day; it may come twice, with the same `webhook-id`.
        """
        hook, secret = await hooks.put(owner, workflow_id, data.url, list(data.events))
        return Response(hook_response(hook, secret), status_code=HTTP_201_CREATED if hook.is_new else HTTP_200_OK)

    @get("/hook", operation_id="getHook", responses=problems(404))
    async def get_hook(self, workflow_id: UUID, hooks: HookService, owner: UUID) -> HookResponse:
        """Get the workflow's hook."""
        return hook_response(await hooks.get(owner, workflow_id))

    @delete("/hook", operation_id="deleteHook", responses=problems(404))
    async def delete_hook(self, workflow_id: UUID, hooks: HookService, owner: UUID) -> None:
        """Delete the workflow's hook; what was to be sent still is not."""
        await hooks.delete(owner, workflow_id)

    @post(
        "/hook/secret",
        operation_id="renewHookSecret",
        status_code=HTTP_201_CREATED,
        responses=made_before(NewSecret) | problems(404, 409, 415),
    )
    async def renew_hook_secret(
        self, workflow_id: UUID, hooks: HookService, owner: UUID, header_key: str | None
    ) -> Response[NewSecret]:
        """Sign with a new secret; for a day, the one before signs too, so that receivers may change when they like."""
        secret, is_new = await hooks.renew_secret(owner, workflow_id, header_key)
        status, headers = (HTTP_201_CREATED, {}) if is_new else (HTTP_200_OK, REPLAYED)
        return Response(NewSecret(secret), status_code=status, headers=headers)

    @get("/deliveries", operation_id="listDeliveries", responses=problems(404))
    async def list_deliveries(
        self,
        request: Request[Any, Any, Any],
        workflow_id: UUID,
        hooks: HookService,
        owner: UUID,
        status: Status | None = None,
        cursor: Cursor = "",
        per_page: PerPage = 50,
    ) -> DeliveryPage:
        """List what the hook was sent, newest first."""
        refuse_nulls(request)
        part = await hooks.deliveries(owner, workflow_id, status=status, after=decode_cursor(cursor), limit=per_page)
        following = None if part.next is None else part.next.encoded()
        return DeliveryPage([delivery_response(each) for each in part.items], following)

    @post("/deliveries/{delivery_id:uuid}/replay", operation_id="replayDelivery", status_code=HTTP_202_ACCEPTED,
          responses=problems(404, 415))  # fmt: skip
    async def replay_delivery(
        self, workflow_id: UUID, delivery_id: UUID, hooks: HookService, owner: UUID
    ) -> DeliveryResponse:
        """Send a delivery again, at once, whatever became of it; it is tried as often as a new one."""
        return delivery_response(await hooks.send_again(owner, workflow_id, delivery_id))
