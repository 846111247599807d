"""Webhooks: who may start a run by one, with what, and what the sender is answered."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from stepwire.auth.encryption import Keyring, Unreadable
from stepwire.auth.signing import new_secret
from stepwire.auth.webhooks import SIGNATURE_HEADERS, Headers, is_genuine, is_token
from stepwire.db import webhooks
from stepwire.db.models import Run
from stepwire.db.pool import Pool
from stepwire.db.webhooks import Target
from stepwire.definition.graph import parse
from stepwire.definition.secrets import webhook_place
from stepwire.definition.webhook_input import UnreadableBody, delivery_id, input_of, trigger_of
from stepwire.errors import (
    EncryptionKeyMissing,
    InvalidDefinition,
    InvalidSecret,
    Malformed,
    Unauthenticated,
    WorkflowNotFound,
)
from stepwire.services.feeds import Feeds
from stepwire.services.idempotency import check_same
from stepwire.services.runs import RunService, StartedRun, Workflows, archived, not_published
from stepwire.steps.triggers import WebhookConfig, webhook_of

MIN_SECRET, MAX_SECRET = 8, 500
MAX_WEBHOOK_BYTES = 2 << 20  # of the input: a body of 1 MiB, as base64 where it is no text
MAX_CHALLENGE = 1000
LOOK_SECONDS = 1.0
KNOWN_DRAFTS = 1000
_NOBODY = UUID(int=0)
_VISIBLE = re.compile(r"[!-~]{1,255}")
_REFUSED = "The request is not signed as the workflow's webhook trigger wants it, or there is no such webhook."


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a webhook: names of headers in lower case, the body's raw bytes; ``owner`` finds out whose access token
    it brings, None where it is none; ``admit`` counts it for the workflow's owner. ``key`` is the idempotency key that it names itself.
    """

    method: str
    headers: Headers
    query: Sequence[tuple[str, str]]
    body: bytes
    owner: Callable[[], Awaitable[UUID | None]]
    admit: Callable[[UUID], Awaitable[None]]
    key: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run that a request started, or that the same delivery had started before, and whether the sender ``waits`` for
    what it answers.
    """

    run: StartedRun | Run
    owner: UUID
    waits: bool


class Answer(msgspec.Struct, frozen=True):
    """What `webhook.respond` says."""

    status: int
    headers: dict[str, str]
    body: Any


class WebhookService:
    """Takes webhooks' requests, and keeps what they are signed with."""

    def __init__(
        self, pool: Pool, workflows: Workflows, runs: RunService, feeds: Feeds, keyring: Keyring | None, max_bytes: int
    ) -> None:
        self._pool = pool
        self._workflows = workflows
        self._runs = runs
        self._feeds = feeds
        self._keyring = keyring
        self._max_bytes = max_bytes
        self._decoy = b"" if keyring is None else keyring.seal(new_secret().encode(), webhook_place(_NOBODY))
        self._drafts: dict[tuple[UUID, int], WebhookConfig | None] = {}  # by id and revision

    async def receive(self, workflow_id: UUID, call: Call) -> Accepted | str:
        """Start a run, once for each delivery; it is stored when this returns. Or give a challenge to send back (Slack's
        ``url_verification``).

        Raises:
            Unauthenticated: also where there is no such workflow; the two cannot be told apart.
            WorkflowNotPublished, Malformed, InvalidInput, TooLarge, TooManyRequests, Unacceptable, Unavailable.
        """
        target = await self._genuine(workflow_id, call)
        await call.admit(target.owner_id)
        if target.status != "published":
            raise not_published(workflow_id) if target.status == "draft" else archived()
        workflow = await self._workflows.get(target.owner_id, workflow_id)
        content_type = next(iter(call.headers.get("content-type", ())), "")
        try:
            value = await asyncio.to_thread(input_of, content_type, call.body)
        except UnreadableBody as error:
            raise Malformed(str(error)) from None
        config = workflow.webhook
        if config is not None and config.auth == "slack" and value.get("type") == "url_verification":
            return _challenge(value.get("challenge"))
        named = call.key or _key(delivery_id(call.headers, value))
        hidden = SIGNATURE_HEADERS | ({config.header.lower()} if config is not None else set())
        shown = ((name, each) for name, values in call.headers.items() for each in values)
        run = await self._runs.start(
            target.owner_id, workflow_id, value, named, trigger_type="webhook", max_bytes=self._max_bytes,
            is_delivery=call.key is None, trigger=trigger_of(call.method, shown, call.query, hidden),
        )  # fmt: skip
        return Accepted(run, target.owner_id, config is not None and config.respond == "when_finished")

    async def shake_hands(self, workflow_id: UUID, query: dict[str, str]) -> str:
        """The challenge to send back to a provider that asks whether the address is meant (Meta: ``hub.challenge``).

        Raises:
            Unauthenticated: ``hub.verify_token`` is not the webhook's secret, or there is no such webhook.
        """
        target = await webhooks.target(self._pool, workflow_id)
        if not is_token(self._secrets(workflow_id, target), query.get("hub.verify_token", "")) or target is None:
            raise Unauthenticated(_REFUSED)
        return _challenge(query.get("hub.challenge"))

    async def answer(self, accepted: Accepted, seconds: float) -> Answer | None:
        """What the run says to the sender, within so many seconds; None where it says nothing by then, or has ended."""
        run_id, loop = accepted.run.id, asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self._feeds.watch(run_id) as feed:
            while True:
                last = feed.last
                run, _ = await self._runs.get(accepted.owner, run_id)
                said = await webhooks.answer(self._pool, run_id)
                left = deadline - loop.time()
                if said is not None:
                    return msgspec.json.decode(said, type=Answer)
                if run.status not in ("queued", "running") or left <= 0:
                    return None
                await feed.changed(min(left, LOOK_SECONDS), since=last)

    async def renew_secret(
        self, owner: UUID, workflow_id: UUID, secret: str | None, key: str | None
    ) -> tuple[str, bool]:
        """Take a signing secret, or make one; the one before works for another day. The secret, and whether it is new:
        a request that is repeated with its idempotency key gets the same.

        Raises:
            WorkflowNotFound, InvalidSecret, EncryptionKeyMissing, IdempotencyKeyReused.
        """
        keyring = self._keyring
        if keyring is None:
            raise EncryptionKeyMissing(
                "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
            )
        place, chosen = webhook_place(workflow_id), new_secret() if secret is None else _checked(secret)
        async with webhooks.held_secret(self._pool, owner, workflow_id) as held:
            if held is None:
                raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
            current = _opened(keyring, held.secret, place)
            if current is not None and key is not None and key == held.key:
                if secret is not None:
                    check_same(current.encode(), secret.encode())
                return current, False
            if current != chosen:  # else nothing is replaced, and the one before has its day still
                await held.replace(keyring.seal(chosen.encode(), place), key)
            return chosen, True

    async def _genuine(self, workflow_id: UUID, call: Call) -> Target:
        """The same work for a workflow that is not there as for one whose signature is wrong."""
        target = await webhooks.target(self._pool, workflow_id)
        config = None if target is None else await self._config(target, workflow_id)
        secrets = self._secrets(workflow_id, target)
        known = config or WebhookConfig()
        is_signed = is_genuine(known.auth, secrets, call.headers, call.body, now=time.time(), token_header=known.header)
        is_trusted = is_signed and config is not None
        owner = None if is_trusted else await call.owner()
        if target is None or not (is_trusted or owner == target.owner_id):
            raise Unauthenticated(_REFUSED)
        return target

    async def _config(self, target: Target, workflow_id: UUID) -> WebhookConfig | None:
        """How the workflow wants requests to be signed; None where that cannot be read. Of a draft, as it is drawn now: read
        once, since it may be large, and it is asked for before anybody has proved who they are.
        """
        if target.status != "draft":
            return (await self._workflows.get(target.owner_id, workflow_id)).webhook
        drawing = (workflow_id, target.revision)
        if drawing in self._drafts:
            return self._drafts[drawing]
        drawn = await webhooks.drawn(self._pool, workflow_id)
        config = None if drawn is None else await asyncio.to_thread(_config_of, drawn)
        if len(self._drafts) >= KNOWN_DRAFTS:
            self._drafts.clear()
        self._drafts[drawing] = config
        return config

    def _secrets(self, workflow_id: UUID, target: Target | None) -> list[str]:
        """Two of them, always, so that as much is decrypted and signed in any case: where there is none, one that nobody knows."""
        if self._keyring is None:
            return []
        place, known = webhook_place(workflow_id), (None, None) if target is None else (target.secret, target.previous)
        decoy = self._keyring.open(self._decoy, webhook_place(_NOBODY)).decode()
        return [_opened(self._keyring, sealed, place) or decoy for sealed in known]


def _opened(keyring: Keyring, sealed: bytes | None, place: bytes) -> str | None:
    try:
        return None if sealed is None else keyring.open(sealed, place).decode()
    except Unreadable:
        return None


def _config_of(drawn: str) -> WebhookConfig | None:
    try:
        return webhook_of(parse(msgspec.json.decode(drawn)))
    except InvalidDefinition:
        return None


def _key(sent: str | None) -> str | None:
    """A sender's name for a delivery as an idempotency key, which has 1 to 255 visible ASCII characters."""
    if sent is None or not sent.strip():
        return None
    return sent if _VISIBLE.fullmatch(sent) else hashlib.sha256(sent.encode("utf-8", "surrogatepass")).hexdigest()


def _challenge(text: Any) -> str:
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or len(text) > MAX_CHALLENGE:
        raise Malformed(f"The challenge is no text of up to {MAX_CHALLENGE:,} printable ASCII characters.")
    return text


def _checked(secret: str) -> str:
    if not MIN_SECRET <= len(secret) <= MAX_SECRET or not secret.isprintable():
        raise InvalidSecret(f"A signing secret has {MIN_SECRET} to {MAX_SECRET} printable characters.")
    return secret
