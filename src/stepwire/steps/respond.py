"""``webhook.respond``: what the sender of a webhook is answered."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from stepwire.steps.base import BuiltIn, InlineContext, Outcome

# What is the connection's, what the API says itself, what would change the browser's view of the API's whole origin, and what
# has a proxy in front of it send something else.
_FORBIDDEN = frozenset({
    "accept-ch", "alt-svc", "clear-site-data", "connection", "content-encoding", "content-length", "content-security-policy",
    "date", "keep-alive", "nel", "proxy-authenticate", "proxy-connection", "referrer-policy", "report-to", "server", "set-cookie",
    "strict-transport-security", "te", "trailer", "transfer-encoding", "upgrade", "x-content-type-options", "x-frame-options",
    "x-request-id", "x-sendfile",
})  # fmt: skip
_FORBIDDEN_BEGINNINGS = ("x-accel-",)


class RespondConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status: Annotated[int, Meta(title="Status", ge=200, le=599)] = 200
    headers: Annotated[
        dict[
            Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")],
            Annotated[str, Meta(pattern=r"^[\t\x20-\x7e]{0,2000}$")],
        ],
        Meta(title="Headers", max_length=50),
    ] = {}
    body: Annotated[Any, Meta(title="Body", description="A string is sent as it is, anything else as JSON")] = None


class Respond(BuiltIn):
    """Answer the sender of the webhook that started the run; in other runs it does nothing."""

    type = "webhook.respond"
    kind: ClassVar[Literal["pure"]] = "pure"
    title = "Respond to the webhook"
    description = "Answers the request that started the run, where its sender waits. Output: what it answered."
    category = "Triggers"
    icon = "reply"
    config = RespondConfig
    output_schema: ClassVar = {
        "type": "object",
        "properties": {"status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}},
        "required": ["status", "headers", "body"],
    }
    examples: ClassVar = [{"status": 200, "body": {"id": "{{ run.id }}"}}]

    def evaluate(self, config: RespondConfig, context: InlineContext) -> Outcome:
        headers = {name: value for name, value in config.headers.items() if _may_be_said(name.lower())}
        return Outcome({"status": config.status, "headers": headers, "body": config.body})


def _may_be_said(name: str) -> bool:
    return name not in _FORBIDDEN and not name.startswith(_FORBIDDEN_BEGINNINGS)
