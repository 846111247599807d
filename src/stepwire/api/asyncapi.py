"""The AsyncAPI 3 document of the sockets, made of the Structs that they send and take."""

from functools import cache
from typing import Any

import msgspec
from litestar import MediaType, Response, get

from stepwire import __version__
from stepwire.api.frames import FRAMES, MESSAGES, RUN_EVENTS
from stepwire.api.guards import PUBLIC
from stepwire.api.schemas.live import AuthMessage, ErrorFrame, PingMessage, PongFrame
from stepwire.engine.events import EVENT_TYPES, data_fields
from stepwire.engine.model import RunStatus
from stepwire.services.live import SnapshotFrame
from stepwire.services.overview import RunsFrame
from stepwire.signals.live import EventFrame

Json = dict[str, Any]
DESCRIPTION = """\
What happens to runs, as it happens.

- **Who**: an access token in the `Authorization` header, or in the sub-protocols `stepwire.v1, bearer.<base64url of the token>`,
  or (one run only) a ticket. `Origin`, where sent, has to be an allowed one.
- **A run**: a snapshot that is true as of event `seq`, then every later event, once, in order, with no gap. With `after` the
  events after that one follow on the snapshot.
- **All runs**: a snapshot of the newest 100 that fit the filters, then every event about a whole run (`run.…`), once and, for
  each run, in order; with `status`, those by which a run comes into that status or leaves it. Connect again for a new
  snapshot; what lies beyond it is read after that, by `GET /api/v1/runs`.
- **The end**: `1000` after a run's last event (taken up again, it goes on: connect with `after`), `1009` a message over 4 KiB,
  `1012` try again; after an `error` frame `4400` what cannot be understood, `4401` no valid token or one that has run out,
  `4403` a foreign origin, `4404` no such run, `4409` an `after` that the run has not reached; without one `4408`, nothing was
  taken for 30 s.
"""
_PREFIX = "#/components/schemas/"
_STRUCTS: dict[str, Any] = {
    "snapshot": SnapshotFrame, "runs": RunsFrame, "error": ErrorFrame, "pong": PongFrame, "ping": PingMessage, "auth": AuthMessage,
}  # fmt: skip
_COMMON, _CLIENTS = ["error", "pong"], ["ping", "auth"]


@get("/docs/asyncapi.json", include_in_schema=False, opt={PUBLIC: True}, media_type=MediaType.JSON)
async def asyncapi_document() -> Response[bytes]:
    """The document."""
    return Response(msgspec.json.encode(document()), media_type=MediaType.JSON)


@cache
def document() -> Json:
    """Channels, operations and messages; each message with an example."""
    run_events = [name for name in EVENT_TYPES if name.startswith("run.")]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Stepwire", "version": __version__, "description": DESCRIPTION},
        "channels": {
            "run": _channel(
                "/ws/runs/{run_id}", "A run", ["snapshot", *EVENT_TYPES],
                {"after": {"type": "integer", "minimum": 0}, "ticket": {"type": "string"}},
            )
            | {"parameters": {"run_id": {"description": "The run's id"}}},
            "runs": _channel(
                "/ws/runs", "All runs of an owner", ["runs", *run_events],
                {
                    "workflow_id": {"type": "string", "format": "uuid"},
                    "status": {"type": "array", "items": {"enum": sorted(RunStatus.__args__)}},  # type: ignore[attr-defined]
                },
            ),
        },
        "operations": {
            f"{action}{channel.capitalize()}": _operation(action, channel, names)
            for channel, sent in (("run", ["snapshot", *EVENT_TYPES]), ("runs", ["runs", *run_events]))
            for action, names in (("send", [*sent, *_COMMON]), ("receive", _CLIENTS))
        },
        "components": {
            "messages": {name: _message(name) for name in (*_STRUCTS, *EVENT_TYPES)},
            "schemas": _schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }  # fmt: skip


def _channel(address: str, title: str, sent: list[str], query: Json) -> Json:
    return {
        "address": address,
        "title": title,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (*sent, *_COMMON, *_CLIENTS)},
        "bindings": {
            "ws": {"method": "GET", "query": {"type": "object", "properties": query}, "bindingVersion": "0.1.0"}
        },
    }


def _operation(action: str, channel: str, names: list[str]) -> Json:
    """As the server sees it: what it sends, what it receives."""
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        "security": [{"$ref": "#/components/securitySchemes/bearer"}],
    }


def _message(name: str) -> Json:
    known = EVENT_TYPES.get(name) or _STRUCTS[name]
    examples = RUN_EVENTS if name in EVENT_TYPES else FRAMES | MESSAGES
    return {
        "name": name,
        "title": name,
        "summary": (known.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "payload": {"$ref": _PREFIX + name},
        "examples": [{"name": name, "payload": examples[name]}],
    }


def _schemas() -> Json:
    data = {name: msgspec.defstruct(name, data_fields(kind)) for name, kind in EVENT_TYPES.items()}
    kinds = [*_STRUCTS.values(), *data.values(), EventFrame]
    _, found = msgspec.json.schema_components(kinds, ref_template=_PREFIX + "{name}")
    event = found.pop(EventFrame.__name__)
    for name, kind in _STRUCTS.items():
        found[name] = _sent_whole(found.pop(kind.__name__))
    for name in EVENT_TYPES:
        found[name] = _event(event, name, found[name])
    decoded: Json = msgspec.json.decode(msgspec.json.encode(found))
    return decoded


def _event(event: Json, name: str, data: Json) -> Json:
    """The frame of one type of event: which it is, of a step or of the whole run, and what its data are."""
    step_id = {"type": "null"} if name.startswith("run.") else {"type": "string"}
    properties = event["properties"] | {"event": {"const": name}, "step_id": step_id, "data": _data(data)}
    return {**event, "title": name, "properties": properties, "required": list(properties)}


def _data(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def _sent_whole(schema: Json) -> Json:
    """What is sent has all of its fields."""
    return {**schema, "required": list(schema["properties"])}
