"""An example of each message of the sockets."""

from typing import Any

import msgspec

from stepwire import errors
from stepwire.api.examples import ADA, DRAWN, ENDED, HELLO, RUN, SNAPSHOT, STARTED, WORKFLOW
from stepwire.api.problems import of_error
from stepwire.api.schemas.live import AuthMessage, ErrorFrame, PingMessage, PongFrame
from stepwire.engine.events import (
    AnyEvent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunQueued,
    RunResumed,
    RunRetried,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetrying,
    StepScheduled,
    StepSkipped,
    StepStarted,
    StepWaiting,
    data_of,
    step_id_of,
)
from stepwire.engine.model import StepError
from stepwire.services.overview import RunsFrame, RunSummary
from stepwire.signals.live import EventFrame


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


_ERROR = StepError("http-status", "The service answered 503, which is not expected.", 1)
_AT: dict[str, Any] = {"at": ENDED}
_STEP: dict[str, Any] = {**_AT, "step_id": "greet"}
_EVENTS: tuple[AnyEvent, ...] = (
    RunQueued(**_AT, workflow_id=WORKFLOW, workflow_version=1, trigger_type="manual", input=ADA),
    RunStarted(**_AT),
    RunPaused(**_AT),
    RunResumed(**_AT),
    RunCompleted(**_AT, output={"greet": HELLO}),
    RunFailed(**_AT, error=_ERROR, failed_step_id="greet"),
    RunCancelled(**_AT),
    RunRetried(**_AT, step_ids=("greet",)),
    StepScheduled(**_STEP, step_type="core.transform", attempt=1),
    StepStarted(**_STEP, attempt=1, input={"values": HELLO}),
    StepRetrying(**_STEP, attempt=1, error=_ERROR, next_attempt_at=ENDED),
    StepWaiting(**_STEP, attempt=1, until=ENDED),
    StepCompleted(**_STEP, attempt=1, output=HELLO),
    StepFailed(**_STEP, attempt=1, error=_ERROR),
    StepSkipped(**_STEP),
    StepCancelled(**_STEP),
)
RUN_EVENTS: dict[str, Any] = {
    event.name: _plain(
        EventFrame(seq, event.name, RUN, step_id_of(event), msgspec.Raw(msgspec.json.encode(data_of(event))), ENDED)
    )
    for seq, event in enumerate(_EVENTS, 1)
}
FRAMES: dict[str, Any] = {
    "snapshot": _plain(SNAPSHOT),
    "runs": _plain(RunsFrame([RunSummary(RUN, WORKFLOW, 1, "running", "manual", 7, DRAWN, STARTED, None)])),
    "pong": _plain(PongFrame()),
    "error": _plain(ErrorFrame(of_error(errors.Unauthenticated("The token has expired."), f"/ws/runs/{RUN}"))),
}
MESSAGES: dict[str, Any] = {
    "ping": _plain(PingMessage()),
    "auth": _plain(AuthMessage("eyJhbGciOi…")),
}
