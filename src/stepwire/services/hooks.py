"""Hooks: an owner is told when a workflow's runs have ended, and sees what became of it."""

import re
from datetime import UTC, datetime
from uuid import UUID

import httpx

from stepwire.auth.encryption import Keyring
from stepwire.auth.signing import new_secret
from stepwire.db import deliveries, hooks
from stepwire.db.deliveries import DeliveryInfo, Status
from stepwire.db.hooks import HookInfo
from stepwire.db.pool import Pool
from stepwire.definition.secrets import hook_place
from stepwire.errors import DeliveryNotFound, EncryptionKeyMissing, HookNotFound, InvalidHook, WorkflowNotFound
from stepwire.services.limits import check_text
from stepwire.services.paging import Part, Position

_LAST = Position(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=(1 << 128) - 1))


class HookService:
    """Use cases of hooks; each is one statement."""

    def __init__(self, pool: Pool, keyring: Keyring | None) -> None:
        self._pool = pool
        self._keyring = keyring

    async def put(self, owner: UUID, workflow_id: UUID, url: str, events: list[str]) -> tuple[HookInfo, str | None]:
        """Make a workflow's hook, or change it. The hook; and its secret, where it was made just now.

        Raises:
            WorkflowNotFound, InvalidHook, EncryptionKeyMissing.
        """
        secret = new_secret()
        sealed, key_id = self._sealed(workflow_id, secret)
        found = await hooks.put(
            self._pool, owner, workflow_id, _checked(url), sorted(set(events)), secret=sealed, key_id=key_id
        )
        if found is None:
            raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
        return found, secret if found.is_new else None

    async def get(self, owner: UUID, workflow_id: UUID) -> HookInfo:
        """Raises: HookNotFound."""
        found = await hooks.get(self._pool, owner, workflow_id)
        if found is None:
            raise _no_hook(workflow_id)
        return found

    async def delete(self, owner: UUID, workflow_id: UUID) -> None:
        """Send nothing more, what is pending included. Raises: HookNotFound."""
        if not await hooks.delete(self._pool, owner, workflow_id):
            raise _no_hook(workflow_id)

    async def renew_secret(self, owner: UUID, workflow_id: UUID, key: str | None) -> tuple[str, bool]:
        """Sign with a new secret from now on, and for a day with the one before too. The secret, and whether it is new: a
        request that is repeated with its idempotency key gets the same.

        Raises:
            HookNotFound, EncryptionKeyMissing.
        """
        secret, keyring = new_secret(), self._keys()
        sealed, key_id = self._sealed(workflow_id, secret)
        if await hooks.renew_secret(self._pool, owner, workflow_id, secret=sealed, key_id=key_id, key=key):
            return secret, True
        current = await hooks.secret(self._pool, owner, workflow_id)
        if current is None:
            raise _no_hook(workflow_id)
        return keyring.open(current, hook_place(workflow_id)).decode(), False

    async def deliveries(
        self, owner: UUID, workflow_id: UUID, *, status: Status | None, after: Position | None, limit: int
    ) -> Part[DeliveryInfo]:
        """Newest first. Raises: WorkflowNotFound."""
        place = after or _LAST
        found = await deliveries.of_workflow(
            self._pool, owner, workflow_id, status=status, after=(place.created_at, place.id), limit=limit + 1
        )
        if not found and not await hooks.has_workflow(self._pool, owner, workflow_id):
            raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
        items = found[:limit]
        return Part(items, next=Position(items[-1].created_at, items[-1].id) if len(found) > limit else None)

    async def send_again(self, owner: UUID, workflow_id: UUID, delivery_id: UUID) -> DeliveryInfo:
        """Have a delivery sent at once, whatever became of it. Raises: DeliveryNotFound, HookNotFound."""
        await self.get(owner, workflow_id)
        found = await deliveries.send_again(self._pool, owner, workflow_id, delivery_id)
        if found is None:
            raise DeliveryNotFound(f"The workflow has no delivery {delivery_id}.")
        return found

    def _sealed(self, workflow_id: UUID, secret: str) -> tuple[bytes, str]:
        keyring = self._keys()
        return keyring.seal(secret.encode(), hook_place(workflow_id)), keyring.key_id

    def _keys(self) -> Keyring:
        if self._keyring is None:
            raise EncryptionKeyMissing(
                "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
            )
        return self._keyring


def _no_hook(workflow_id: UUID) -> HookNotFound:
    return HookNotFound(f"There is no hook for a workflow {workflow_id}.")


def _checked(text: str) -> str:
    """Whether the address may be reached is seen when it is: names change what they stand for."""
    check_text(text, "url")
    try:
        url = httpx.URL(text)
        host = url.host  # is decoded, which fails for xn-- and what IDNA 2008 does not have
    except (httpx.InvalidURL, ValueError):
        raise InvalidHook("url is not a URL.") from None
    if url.scheme not in ("http", "https") or not host:
        raise InvalidHook("url begins with https:// or http:// and names a host.")
    if re.search(r"\s", text) or not 0 < (url.port or 443) < 65536:
        raise InvalidHook("url holds white space, or a port that there is not.")
    if url.userinfo:
        raise InvalidHook("url holds a user or a password: it is stored as it is; the signature says who sends.")
    return text
