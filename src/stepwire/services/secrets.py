"""An owner's secrets: set, listed by name, deleted; nobody reads one again but the steps that name it."""

from uuid import UUID

from stepwire.auth.encryption import Keyring, Unreadable
from stepwire.db import secrets
from stepwire.db.pool import Pool
from stepwire.db.secrets import SecretInfo
from stepwire.definition.secrets import MAX_BYTES, MIN_LENGTH, NAME_RULE, SECRET_NAME, hook_place, place, webhook_place
from stepwire.errors import EncryptionKeyMissing, InvalidSecret, SecretNotFound

MOST = 1000  # of an owner


class SecretService:
    """Use cases of secrets; each is one statement."""

    def __init__(self, pool: Pool, keyring: Keyring | None) -> None:
        self._pool = pool
        self._keyring = keyring

    async def set(self, owner: UUID, name: str, value: str) -> SecretInfo:
        """Store a value in place of any that there is; attempts that begin from now on get it.

        Raises:
            InvalidSecret: the name or the value cannot be one.
            EncryptionKeyMissing: nothing is stored in the clear.
        """
        if not SECRET_NAME.fullmatch(name):
            raise InvalidSecret(NAME_RULE)
        keyring, encoded = self._keys(), _encoded(value)
        sealed = keyring.seal(encoded, place(owner, name))
        stored = await secrets.put(self._pool, owner, name, value=sealed, key_id=keyring.key_id, most=MOST)
        if stored is None:
            raise InvalidSecret(f"There are {MOST:,} secrets already, which is the most that an owner may have.")
        return stored

    async def get(self, owner: UUID, name: str) -> SecretInfo:
        """
        Raises:
            SecretNotFound: there is none.
        """
        found = await secrets.one(self._pool, owner, _checked(name))
        if found is None:
            raise SecretNotFound(f"There is no secret {name!r}.")
        return found

    async def delete(self, owner: UUID, name: str) -> None:
        """
        Raises:
            SecretNotFound: there is none.
        """
        if not await secrets.delete(self._pool, owner, _checked(name)):
            raise SecretNotFound(f"There is no secret {name!r}.")

    async def all(self, owner: UUID) -> list[SecretInfo]:
        """What may be said of the owner's secrets, by name."""
        return await secrets.of_owner(self._pool, owner)

    async def rotate(self) -> int:
        """Encrypt every owner's secrets, signing secrets included, with the first key; the other keys may go then. How many were changed.

        Raises:
            Unreadable: a secret's key is not there. Those before it are changed, and rotating again is harmless.
            EncryptionKeyMissing: there is no key at all.
        """
        keyring = self._keys()
        stale = await secrets.not_under(self._pool, keyring.key_id)
        for secret in stale:
            where = place(secret.owner_id, secret.name)
            try:
                value = keyring.open(secret.value, where)
            except Unreadable as error:
                raise Unreadable(f"The secret {secret.name!r} of {secret.owner_id}: {error.detail}") from None
            await secrets.replace(self._pool, secret, value=keyring.seal(value, where), key_id=keyring.key_id)
        return len(stale) + await self._rotate_signing(keyring)

    async def _rotate_signing(self, keyring: Keyring) -> int:
        """The same for what webhooks verify with and hooks sign with. A previous secret that cannot be read is let go."""
        count = 0
        for known in await secrets.signing(self._pool):
            webhook, hook = webhook_place(known.workflow_id), hook_place(known.workflow_id)
            if known.webhook is not None and (value := keyring.renewed(known.webhook, webhook)) is not None:
                await secrets.replace_webhook(
                    self._pool, known, value, _previous(keyring, known.previous_webhook, webhook)
                )
                count += 1
            if known.hook is not None and (value := keyring.renewed(known.hook, hook)) is not None:
                previous = _previous(keyring, known.previous_hook, hook)
                await secrets.replace_hook(self._pool, known, value, previous, keyring.key_id)
                count += 1
        return count

    def _keys(self) -> Keyring:
        if self._keyring is None:
            raise EncryptionKeyMissing(
                "Set STEPWIRE_ENCRYPTION_KEY, for the workers too: secrets are stored encrypted."
            )
        return self._keyring


def _previous(keyring: Keyring, sealed: bytes | None, where: bytes) -> bytes | None:
    try:
        return None if sealed is None else keyring.renewed(sealed, where) or sealed
    except Unreadable:
        return None


def _checked(name: str) -> str:
    """Raises: SecretNotFound: no secret can have this name."""
    if not SECRET_NAME.fullmatch(name):
        raise SecretNotFound(f"There is no secret {name[:100]!r}. {NAME_RULE}")
    return name


def _encoded(value: str) -> bytes:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise InvalidSecret("A secret is a text in valid Unicode.") from None
    if len(value) < MIN_LENGTH:
        raise InvalidSecret(
            f"A secret has {MIN_LENGTH} characters or more: shorter ones could not be hidden in outputs."
        )
    if len(encoded) > MAX_BYTES:
        raise InvalidSecret(f"A secret has at most {MAX_BYTES:,} bytes.")
    return encoded
