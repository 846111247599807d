"""What sockets say beside events: refusals and answers; and what they are told."""

import msgspec

from stepwire.api.schemas.common import Problem


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error"):
    """Why the socket is closed; the code follows."""

    problem: Problem


class PongFrame(msgspec.Struct, tag_field="type", tag="pong"):
    """The answer to a ping."""


class PingMessage(msgspec.Struct, tag_field="type", tag="ping"):
    """Ask whether the other side is still there."""


class AuthMessage(msgspec.Struct, tag_field="type", tag="auth"):
    """Go on with a fresh token of the same owner."""

    token: str
