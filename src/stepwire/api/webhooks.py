"""``/triggers/webhook/{workflow_id}``: what others send starts runs. It is verified over the raw bytes, before it is read."""

from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED

from stepwire.api.guards import ANY_BODY, PUBLIC, moderate, session_of
from stepwire.api.keys import provide_idempotency_key
from stepwire.api.openapi import made_before, problems
from stepwire.api.prefer import MAX_WAIT_SECONDS, applied
from stepwire.api.schemas.runs import RunResponse, run_response, started_response
from stepwire.api.schemas.webhooks import WebhookSecret, WebhookSecretInput
from stepwire.api.workflows import REPLAYED
from stepwire.auth.tokens import TokenVerifier
from stepwire.errors import Unauthenticated
from stepwire.services.control import RunControl
from stepwire.services.runs import StartedRun
from stepwire.services.webhooks import Accepted, Answer, Call, WebhookService

MAX_BYTES = 1 << 20
_NO_BODY = {204, 205, 304}


class WebhookController(Controller):
    path = "/triggers/webhook/{workflow_id:uuid}"
    tags = ["Triggers"]  # noqa: RUF012 - Litestar's attribute

    @post(
        operation_id="receiveWebhook",
        status_code=HTTP_202_ACCEPTED,
        opt={PUBLIC: True, ANY_BODY: True},
        request_max_body_size=MAX_BYTES,
        responses=made_before(RunResponse, "Delivered before; or what the run answers, where it is waited for")
        | problems(404, 409, 413, 415, 422),
    )
    async def receive_webhook(
        self,
        request: Request[Any, Any, Any],
        workflow_id: UUID,
        webhooks: WebhookService,
        control: RunControl,
        wait: int | None,
    ) -> Response[Any]:
        """Start a run with what a sender posts, signed as the workflow's `trigger.webhook` says; or with the owner's token.

        The run is stored when this answers. A delivery that comes again (`X-Idempotency-Key`, `webhook-id`,
        `X-GitHub-Delivery`, the id of a Stripe or Slack event) answers 200 with the first run; 422 where `X-Idempotency-Key` came with
        another body before. With `Prefer: wait`, or where
        the trigger says so, a `webhook.respond` step says what the sender is answered; else it is the run, without its `context`.
        """
        accepted = await webhooks.receive(workflow_id, await _call(request))
        if isinstance(accepted, str):
            return Response(accepted, status_code=HTTP_200_OK, media_type=MediaType.TEXT)
        return await _answered(accepted, webhooks, control, MAX_WAIT_SECONDS if accepted.waits else wait, wait)

    @get(operation_id="shakeHands", opt={PUBLIC: True}, responses=problems(404, 405), media_type=MediaType.TEXT)
    async def shake_hands(
        self, request: Request[Any, Any, Any], workflow_id: UUID, webhooks: WebhookService
    ) -> Response[str]:
        """Answer a provider that asks whether the address is meant: Meta's `hub.challenge`, with the secret as token."""
        if "hub.challenge" not in request.query_params:
            raise HTTPException(status_code=405, detail="Webhooks are posted.", headers={"Allow": "POST"})
        challenge = await webhooks.shake_hands(workflow_id, dict(request.query_params.multi_items()))
        return Response(challenge, media_type=MediaType.TEXT)

    @post(
        "/secret",
        operation_id="renewWebhookSecret",
        status_code=HTTP_201_CREATED,
        responses=made_before(WebhookSecret) | problems(404, 409, 413, 415, 422),
    )
    async def renew_webhook_secret(
        self,
        workflow_id: UUID,
        webhooks: WebhookService,
        owner: UUID,
        header_key: str | None,
        data: WebhookSecretInput | None = None,
    ) -> Response[WebhookSecret]:
        """Make a new signing secret, or take the one that the sender has fixed; the one before works for another 24 hours."""
        secret, is_new = await webhooks.renew_secret(owner, workflow_id, data.secret if data else None, header_key)
        status, headers = (HTTP_201_CREATED, {}) if is_new else (HTTP_200_OK, REPLAYED)
        return Response(WebhookSecret(secret), status_code=status, headers=headers)


async def _call(request: Request[Any, Any, Any]) -> Call:
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.multi_items():
        headers.setdefault(name.lower(), []).append(value)
    if {each.strip().lower() for each in headers.get("content-encoding", [])} - {"", "identity"}:
        raise HTTPException(status_code=415, detail="Send the body as it is, not compressed.")
    query = list(request.query_params.multi_items())
    owner = partial(_owner, request.app.state.verifier, headers.get("authorization", []))
    admit = partial(_admit, request)
    return Call(request.method, headers, query, await request.body(), owner, admit, provide_idempotency_key(request))


async def _admit(request: Request[Any, Any, Any], owner: UUID) -> None:
    """Those who send have a count of their own, so that they cannot keep the owner out. Raises: TooManyRequests."""
    await moderate(request, f"webhooks of {owner}")


async def _owner(verifier: TokenVerifier, authorization: list[str]) -> UUID | None:
    """Whose access token it is; none is needed, and a sender's own token is no fault."""
    try:
        return (await session_of(verifier, authorization)).owner
    except Unauthenticated:
        return None


async def _answered(
    accepted: Accepted, webhooks: WebhookService, control: RunControl, seconds: int | None, preferred: int | None
) -> Response[Any]:
    run = accepted.run
    is_new = isinstance(run, StartedRun)
    headers = {"Location": f"/api/v1/runs/{run.id}"} | ({} if is_new else REPLAYED) | applied(preferred)
    status = HTTP_202_ACCEPTED if is_new else HTTP_200_OK
    if isinstance(run, StartedRun) and seconds is None:
        return Response(started_response(run), status_code=status, headers=headers)
    if seconds is not None and (answer := await webhooks.answer(accepted, seconds)) is not None:
        return _said(answer, headers)
    settled, _ = await control.settled(accepted.owner, run.id, 0)
    shown = run_response(settled, None)  # what its steps made is the owner's
    return Response(shown, status_code=status, headers=headers)


def _said(answer: Answer, headers: dict[str, str]) -> Response[bytes]:
    """A string as it is, anything else as JSON; a status that has no body has none. What the step says of a header counts."""
    kind: str = MediaType.TEXT if isinstance(answer.body, str | None) else MediaType.JSON
    said = {name.lower(): value for name, value in ({"content-type": kind} | headers | answer.headers).items()}
    if said["content-type"].lower().startswith("text/") and "charset=" not in said["content-type"].lower():
        said["content-type"] += "; charset=utf-8"
    body = b"" if answer.status in _NO_BODY or answer.body is None else _encoded(answer.body)
    return Response(body, status_code=answer.status, headers=said)


def _encoded(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)
