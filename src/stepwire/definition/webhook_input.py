"""What a webhook's request is to its run: the body as input, and the rest as ``trigger``. Pure."""

import base64
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping, Sequence
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from stepwire.errors import Unacceptable

MAX_FIELDS = 1000
MAX_CONTENT_TYPE = 1000  # characters: reading its parameters takes time in proportion to their square
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json|text/json")
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


class UnreadableBody(ValueError):
    """The body is not what its content type says."""


def input_of(content_type: str, body: bytes) -> dict[str, Any]:
    """A JSON object and a form as they are, other JSON and text under ``body``, what is not text as base64 under
    ``body_base64``; no body is an empty input.

    Raises:
        UnreadableBody: JSON or a form that cannot be read, or a content type.
        Unacceptable: JSON with a number that cannot be kept.
    """
    if len(content_type) > MAX_CONTENT_TYPE:
        raise UnreadableBody(f"The Content-Type has more than {MAX_CONTENT_TYPE:,} characters.")
    header = Message()
    header["content-type"] = content_type or "application/octet-stream"
    kind = header.get_content_type()
    if not body:
        return {}
    if _JSON.fullmatch(kind):
        return _json(body)
    if kind == FORM:
        return _form(body)
    if kind == MULTIPART:
        return _multipart(body, str(header.get_param("boundary", "")))
    return _text(body)


def trigger_of(
    method: str, headers: Iterable[tuple[str, str]], query: Sequence[tuple[str, str]], secret_headers: frozenset[str]
) -> dict[str, Any]:
    """What expressions read as ``trigger``; names of headers are in lower case, and those that authenticate are left out."""
    shown = [(name, value) for name, value in headers if name not in secret_headers]
    return {"type": "webhook", "method": method, "headers": _gathered(shown), "query": _gathered(query)}


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if "out of range" in str(error):  # msgspec's word for a number that no type of ours holds
            raise Unacceptable("A number of the body cannot be kept as it is: it is out of range.") from None
        raise UnreadableBody(f"The body is no JSON: {error}.") from None
    return value if isinstance(value, dict) else {"body": value}


def _form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise UnreadableBody(f"The form cannot be read as UTF-8, or has more than {MAX_FIELDS:,} fields.") from None
    return _gathered(pairs)


def _multipart(body: bytes, boundary: str) -> dict[str, Any]:
    """Fields as texts; files as objects with ``filename``, ``content_type`` and ``body_base64``."""
    found: list[tuple[str, Any]] = []
    try:
        with PushMultipartParser(boundary, max_segment_count=MAX_FIELDS) as parser:
            segment, data = None, bytearray()
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    segment, data = event, bytearray()
                elif event is None and segment is not None:
                    found.append((segment.name, _part(segment, bytes(data))))
                elif event is not None:
                    data += event
    except (MultipartError, UnicodeDecodeError, ValueError):
        raise UnreadableBody("The multipart form cannot be read.") from None
    return _gathered(found)


def _part(segment: MultipartSegment, data: bytes) -> Any:
    if segment.filename is None:
        return data.decode()
    encoded = base64.b64encode(data).decode()
    return {"filename": segment.filename, "content_type": segment.content_type, "body_base64": encoded}


def _text(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    return {"body_base64": base64.b64encode(body).decode()} if "\0" in text else {"body": text}


def _gathered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """By name; the values of one that is repeated as a list."""
    gathered: dict[str, list[Any]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in gathered.items()}


def delivery_id(headers: Mapping[str, Sequence[str]], body: Any) -> str | None:
    """What a sender calls this delivery, however often it is sent: a header's value, or the id of the event in the body."""
    for name in ("webhook-id", "x-github-delivery"):
        if values := headers.get(name):
            return values[0]
    field = "id" if "stripe-signature" in headers else "event_id" if "x-slack-signature" in headers else None
    found = body.get(field) if field is not None and isinstance(body, dict) else None
    return found if isinstance(found, str) and found else None
