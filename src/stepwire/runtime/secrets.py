"""Secrets for the one attempt whose step names them: read and decrypted when it begins, and kept by nobody else."""

from collections.abc import Collection
from uuid import UUID

from stepwire.auth.encryption import Keyring, Unreadable
from stepwire.db import secrets
from stepwire.db.pool import Pool
from stepwire.definition.secrets import place
from stepwire.runtime.patience import patiently
from stepwire.steps.base import StepFailed


class SecretReader:
    """Reads an owner's secrets. Nothing is cached: a read is one short query, and a change is seen at once."""

    def __init__(self, pool: Pool, keyring: Keyring | None) -> None:
        self._pool = pool
        self._keyring = keyring

    async def read(self, owner: UUID, names: Collection[str]) -> dict[str, str]:
        """The values by name. While the database is away this waits: the attempt's timeout bounds it.

        Raises:
            StepFailed: ``secret-missing``, ``secret-unreadable`` or ``encryption-key-missing``, saying which.
        """
        if self._keyring is None:
            wanted = ", ".join(sorted(names))
            message = f"This worker has no STEPWIRE_ENCRYPTION_KEY, so it cannot read what the step names: {wanted}."
            raise StepFailed("encryption-key-missing", message)
        sealed = await self._sealed(owner, names)
        if missing := sorted(set(names) - sealed.keys()):
            names_missing = ", ".join(map(repr, missing))
            raise StepFailed("secret-missing", f"There is no secret {names_missing}: set it, then retry the run.")
        return {name: self._opened(self._keyring, owner, name, sealed[name]) for name in names}

    async def _sealed(self, owner: UUID, names: Collection[str]) -> dict[str, bytes]:
        return await patiently(lambda: secrets.read(self._pool, owner, names))

    def _opened(self, keyring: Keyring, owner: UUID, name: str, sealed: bytes) -> str:
        try:
            return keyring.open(sealed, place(owner, name)).decode()
        except Unreadable as error:
            raise StepFailed("secret-unreadable", f"The secret {name!r} cannot be read. {error.detail}") from None
