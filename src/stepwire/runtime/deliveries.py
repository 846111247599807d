"""Sends what hooks are to be told, until it is taken, for about a day; every worker takes part."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

import httpx
import msgspec

from stepwire.auth.encryption import Keyring, Unreadable
from stepwire.auth.signing import signed_headers
from stepwire.db import deliveries
from stepwire.db.deliveries import NOBODY, Attempt, Message
from stepwire.db.pool import Pool
from stepwire.definition.secrets import hook_place
from stepwire.runtime.clock import now
from stepwire.runtime.patience import patiently
from stepwire.steps.guard import AddressRefused

log = logging.getLogger(__name__)
AT_ONCE = 20
AT_ONCE_EACH = 4  # of a workflow's
LOOK_SECONDS = 1.0
TRY_SECONDS = 20.0
LEASE = timedelta(seconds=60)  # longer than a try, and what it takes to note it; then another worker tries
OVERLAP = timedelta(hours=24)  # that a secret goes on signing after it was changed
MAX_OUTPUT_BYTES = 256 << 10
# Seconds to the next try after the first, the second …: a day in all. Source: Standard Webhooks, deliverability.
PAUSES = (5, 60, 300, 1800, 7200, 18000, 28800, 28800)


class Deliverer:
    """The deliveries in this worker's hands."""

    def __init__(self, pool: Pool, http: httpx.AsyncClient, keyring: Keyring | None) -> None:
        self._pool = pool
        self._http = http
        self._keyring = keyring
        self._held: Counter[UUID] = Counter()
        self._tries: set[asyncio.Task[None]] = set()
        self._after = NOBODY  # the workflow that had the last turn

    async def run(self) -> None:
        """Send what is due until cancelled; what is under way then is sent again by another worker."""
        try:
            while True:
                try:
                    is_more = await self._begin()
                except Exception:
                    log.exception("Deliveries could not be looked for, trying again")
                    is_more = False
                if not is_more:
                    await self._pause()
        finally:
            for each in self._tries:
                each.cancel()
            await asyncio.gather(*self._tries, return_exceptions=True)

    async def _begin(self) -> bool:
        """Begin as many tries as there is room for; whether more may be due."""
        room, after = AT_ONCE - len(self._tries), self._after
        claimed = await deliveries.claim(
            self._pool, limit=room, after=after, most=AT_ONCE_EACH, held=self._held, lease=LEASE, overlap=OVERLAP
        )
        for message in claimed:
            self._held[message.workflow_id] += 1
            task = asyncio.create_task(self._try(message))
            self._tries.add(task)
            task.add_done_callback(partial(self._ended, message.workflow_id))
        is_full = len(claimed) == room
        self._after = max((each.workflow_id for each in claimed), default=after) if is_full else NOBODY
        return len(self._tries) < AT_ONCE and (is_full or after != NOBODY)

    async def _pause(self) -> None:
        """Until it is time to look again, or a try has ended."""
        if self._tries:
            await asyncio.wait(self._tries, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(LOOK_SECONDS)

    def _ended(self, workflow_id: UUID, task: "asyncio.Task[None]") -> None:
        self._tries.discard(task)
        self._held[workflow_id] -= 1
        if not self._held[workflow_id]:
            del self._held[workflow_id]

    async def _try(self, message: Message) -> None:
        at, began = now(), time.monotonic()
        status, error, wants = await self._send(message)
        attempt = Attempt(at, round((time.monotonic() - began) * 1000), status, error)
        outcome, pause = verdict(message.tries, status, wants)
        again = None if pause is None else timedelta(seconds=pause)
        try:
            await patiently(lambda: deliveries.record(self._pool, message, outcome, attempt, again_in=again))
        except Exception:
            log.exception("What came of delivery %s could not be noted; it is sent again", message.id)

    async def _send(self, message: Message) -> tuple[int | None, str | None, float | None]:
        """The answer's status, or why there is none; and in how many seconds the receiver wants the next try."""
        body = payload(message)
        try:
            keys = self._keys(message)
            headers = signed_headers(keys, f"msg_{message.id.hex}", int(now().timestamp()), body)
            headers["content-type"] = "application/json"
            async with (
                asyncio.timeout(TRY_SECONDS),
                self._http.stream("POST", message.url, content=body, headers=headers) as response,
            ):
                error = None if response.is_success else f"The receiver answered {response.status_code}."
                return response.status_code, error, _retry_after(response.headers)
        except Unreadable:
            return None, "The hook's secret cannot be read: its encryption key is not there.", None
        except TimeoutError:
            return None, f"The receiver did not answer within {TRY_SECONDS:.0f} s.", None
        except AddressRefused as refused:
            return None, str(refused), None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return None, f"The receiver could not be reached: {type(error).__name__}.", None

    def _keys(self, message: Message) -> list[str]:
        if self._keyring is None:
            raise Unreadable
        place, sealed = hook_place(message.workflow_id), (message.secret, message.previous_secret)
        return [self._keyring.open(each, place).decode() for each in sealed if each is not None]


def verdict(
    tries: int, status: int | None, wants: float | None
) -> tuple[Literal["pending", "delivered", "failed"], float | None]:
    """What a delivery is after so many tries, and in how many seconds the next one is.

    2xx is taken; 410 is never asked again; anything else is tried again, later than planned where the receiver wants that.
    """
    if status is not None and 200 <= status < 300:
        return "delivered", None
    if status == 410 or tries > len(PAUSES):
        return "failed", None
    return "pending", max(PAUSES[tries - 1], min(wants or 0.0, PAUSES[-1]))


def payload(message: Message) -> bytes:
    """What is sent: the same bytes at every try, and no secret, since none is in the journal."""
    told: dict[str, Any] = msgspec.json.decode(message.data)
    output = told.get("output")
    is_too_large = output is not None and len(message.data) > MAX_OUTPUT_BYTES
    data = {
        "run_id": message.run_id, "workflow_id": message.workflow_id, "workflow_version": message.workflow_version,
        "status": message.event.removeprefix("run."), "trigger_type": message.trigger_type,
        "parent_run_id": message.parent_run_id, "output": None if is_too_large else output,
        "is_output_left_out": is_too_large, "error": told.get("error"), "created_at": message.created_at,
        "started_at": message.started_at, "ended_at": message.at,
    }  # fmt: skip
    return msgspec.json.encode({"type": message.event, "timestamp": message.at, "data": data})


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None
