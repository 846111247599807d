"""Whether a request comes from who has the secret: each way of signing over the raw bytes, compared in constant time.

Sources: Standard Webhooks 1.0.0; GitHub, "Validating webhook deliveries"; Stripe, "Verify webhook signatures manually";
Slack, "Verifying requests from Slack".
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from stepwire.auth.signing import PREFIX

Mode = Literal["standard", "github", "stripe", "slack", "token", "none"]
Headers = Mapping[str, Sequence[str]]  # by name in lower case, each with all its values
TOLERANCE_SECONDS = 300
MAX_SIGNATURES = 10  # of those that a sender may give, while it changes its secret
SIGNATURE_HEADERS = frozenset({
    "authorization", "proxy-authorization", "cookie", "webhook-signature", "x-hub-signature", "x-hub-signature-256",
    "stripe-signature", "x-slack-signature",
})  # fmt: skip
_INSTANT = re.compile(r"[0-9]{1,12}")


def is_genuine(
    mode: Mode, secrets: Sequence[str], headers: Headers, body: bytes, *, now: float, token_header: str = ""
) -> bool:
    """Whether one of the secrets has signed the request, not more than 5 minutes before or after ``now``.

    Every secret is tried, whatever the others say, and the body is read for a token too, so that the time it takes says
    nothing of them.
    """
    if mode == "none":
        return True
    check = {"standard": _standard, "github": _github, "stripe": _stripe, "slack": _slack}.get(mode)
    if check is None:
        _any(_github(secret, headers, body, now) for secret in secrets)
        return _any(_is_token(secret, headers, token_header) for secret in secrets)
    return _any(check(secret, headers, body, now) for secret in secrets)


def is_token(secrets: Sequence[str], given: str) -> bool:
    """Whether a text is one of the secrets."""
    return _any(_same(_raw(given), secret.encode()) for secret in secrets)


def _any(found: Iterable[bool]) -> bool:
    """Whether one of them holds, when all of them were looked at."""
    return True in list(found)


def _standard(secret: str, headers: Headers, body: bytes, now: float) -> bool:
    message_id, instant, given = (_one(headers, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    signed = b".".join([_raw(message_id), _raw(instant), body])
    wanted = b"v1," + base64.b64encode(hmac.digest(_standard_key(secret), signed, hashlib.sha256))
    found = _any(_same(_raw(each), wanted) for each in given.split(" ")[:MAX_SIGNATURES])
    return found and bool(message_id) and _is_recent(instant, now)


def _github(secret: str, headers: Headers, body: bytes, now: float) -> bool:  # noqa: ARG001 - it signs no instant
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return _same(_raw(_one(headers, "x-hub-signature-256")), wanted.encode())


def _stripe(secret: str, headers: Headers, body: bytes, now: float) -> bool:
    parts = [part.strip().partition("=") for part in _one(headers, "stripe-signature").split(",")]
    instants = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == "v1"][:MAX_SIGNATURES]
    instant = instants[0] if len(instants) == 1 else ""
    wanted = hmac.new(secret.encode(), _raw(instant) + b"." + body, hashlib.sha256).hexdigest()
    found = _any(_same(_raw(each), wanted.encode()) for each in given)
    return found and _is_recent(instant, now)


def _slack(secret: str, headers: Headers, body: bytes, now: float) -> bool:
    instant = _one(headers, "x-slack-request-timestamp")
    wanted = "v0=" + hmac.new(secret.encode(), b"v0:" + _raw(instant) + b":" + body, hashlib.sha256).hexdigest()
    return _same(_raw(_one(headers, "x-slack-signature")), wanted.encode()) and _is_recent(instant, now)


def _is_token(secret: str, headers: Headers, header: str) -> bool:
    given = _one(headers, header.lower())
    scheme, _, rest = given.partition(" ")
    return _same(_raw(rest if scheme.lower() == "bearer" else given), secret.encode())


def _one(headers: Headers, name: str) -> str:
    """The header's value; nothing where it is missing, or there more than once: nobody knows which one was meant."""
    values = headers.get(name, ())
    return values[0] if len(values) == 1 else ""


def _standard_key(secret: str) -> bytes:
    """The bytes that ``whsec_…`` stands for; of a secret that is no base64, its own."""
    text = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def _raw(text: str) -> bytes:
    """A header's bytes: ASGI servers give Latin-1."""
    return text.encode("latin-1", "replace")


def _same(given: bytes, wanted: bytes) -> bool:
    return hmac.compare_digest(given, wanted)


def _is_recent(instant: str, now: float) -> bool:
    return bool(_INSTANT.fullmatch(instant)) and abs(now - int(instant)) <= TOLERANCE_SECONDS
