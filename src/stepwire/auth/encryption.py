"""Values that are stored encrypted: AES-256-GCM, bound to the place where they are stored.

What is sealed for one place (an owner and a name, say) does not open in another, so that whoever can write to the
database still cannot move a value to where it is read by somebody else.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from stepwire.errors import Misconfigured, StepwireError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12  # random: 2**32 values may be sealed under one key. Source: NIST SP 800-38D, 8.3
_HOW = (
    "STEPWIRE_ENCRYPTION_KEY is 32 random bytes in base64 or hexadecimal, such as `openssl rand -base64 32` prints; "
    "several, with commas between them, to change the key: the first encrypts, all decrypt."
)


class Unreadable(StepwireError):
    """No key opens it: its key is no longer among them, or it was stored for another place, or changed."""

    kind, title = "unreadable", "An encrypted value cannot be read"


class Keyring:
    """The keys that there are: the first one seals, all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys
        self.key_id = hashlib.sha256(b"stepwire key id" + keys[0]).hexdigest()[:16]

    @cached_property
    def _ciphers(self) -> "list[AESGCM]":
        """Made when first needed: the library takes 8 MiB, which a worker without secrets is spared."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        return [AESGCM(key) for key in self._keys]

    def seal(self, value: bytes, place: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._ciphers[0].encrypt(nonce, value, place)

    def renewed(self, sealed: bytes, place: bytes) -> bytes | None:
        """The same under the first key; None where it is already.

        Raises:
            Unreadable: as `open`.
        """
        try:
            Keyring(self._keys[:1]).open(sealed, place)
        except Unreadable:
            return self.seal(self.open(sealed, place), place)
        return None

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The value.

        Raises:
            Unreadable: as above.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        start = len(_FORMAT) + _NONCE_BYTES
        if sealed.startswith(_FORMAT) and len(sealed) > start:
            for cipher in self._ciphers:
                try:
                    return cipher.decrypt(sealed[len(_FORMAT) : start], sealed[start:], place)
                except InvalidTag:
                    continue
        raise Unreadable(
            "It was encrypted with a key that STEPWIRE_ENCRYPTION_KEY does not have, or for another place."
        )


def load_keyring(setting: str | None) -> Keyring | None:
    """The keys in STEPWIRE_ENCRYPTION_KEY, or None where it is not set.

    Raises:
        Misconfigured: one of them is no key. None is quoted: it may be one but for a letter.
    """
    if setting is None:
        return None
    parts = [part.strip() for part in setting.split(",")]
    keys = [_key(part) for part in parts]
    if None in keys:
        which = f"Its key {keys.index(None) + 1} is none" if len(keys) > 1 else "What is set is none"
        raise Misconfigured(f"{_HOW} {which}.")
    return Keyring([key for key in keys if key is not None])


def _key(text: str) -> bytes | None:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text)
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
