"""Every setting: name, default, unit; read from the environment once. Nothing else reads `os.environ`."""

import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from stepwire.errors import Misconfigured

EMBEDDED_OWNER = UUID("00000000-0000-4000-8000-000000000001")  # whom the embedded mode's own tokens speak for
RATE = r"^(?=.*[1-9])\d{1,6}(\.\d{1,3})?(,[1-9]\d{0,6})?$"  # "20" or "20,100"
_PREFIXED = "STEPWIRE_"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_BARE = ("database_url", "redis_url", "supabase_url", "supabase_jwt_secret", "supabase_publishable_key")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings; environment names are these in capitals, with ``STEPWIRE_`` before all but the service ones."""

    host: str = "127.0.0.1"  # where the API listens
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    home: Path = Path(".stepwire")  # embedded servers' data, secrets made on first start
    database_url: str | None = None  # unset: embedded PostgreSQL
    database_timeout_seconds: Annotated[float, Meta(ge=1, le=3600)] = 10.0  # of a statement; then it is lost
    redis_url: str | None = None  # unset: embedded Valkey
    supabase_url: str | None = None  # issuer and JWKS
    supabase_jwt_secret: str | None = None  # HS256
    supabase_publishable_key: str | None = None  # the studio signs in with it; the older anon key does as well
    cors_origins: tuple[str, ...] = ("http://localhost:5173",)  # comma-separated; also the sockets' allowed origins
    http_allow: str = ""  # hosts or networks that http.request may reach although private
    encryption_key: str | None = None  # for secrets and webhook signing secrets; several with commas, to change it
    worker_slots: Annotated[int, Meta(ge=1, le=10_000)] = (
        100  # runs of one owner in flight per worker; a tenth more for others
    )
    grace_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10.0  # what is in flight when a worker is told to end
    lease_seconds: Annotated[float, Meta(ge=1, le=3600)] = 15.0  # a dead worker's runs wait this long
    rate_limit: Annotated[str, Meta(pattern=RATE)] | None = None  # requests a second and owner, and how many at once
    socket_stall_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0  # how long a watcher may take nothing
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"  # json when not a terminal
    token: str | None = None  # the access token of `stepwire run`
    die_at: str | None = None  # for tests: a point of `points.py` at which the API or the worker kills itself
    embedded: bool = False  # set by `serve` for its children: the JWT secret is the installation's own
    parent_fd: int | None = None  # set by `serve` for its children: a pipe that closes when it ends
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 1 << 20
    max_input_bytes: Annotated[int, Meta(ge=1024)] = 256 << 10
    max_definition_bytes: Annotated[int, Meta(ge=1024)] = 1 << 20
    # Of a run, from when it was accepted or taken up again, or from the end of its last wait.
    max_run_seconds: Annotated[float, Meta(gt=0, le=3e9)] = 30 * 86400.0
    max_output_bytes: Annotated[int, Meta(ge=1024)] = 1 << 20  # of one step, and what it is given
    max_context_bytes: Annotated[int, Meta(ge=1024)] = 16 << 20  # of the outputs of a run's steps together
    step_timeout_seconds: Annotated[float, Meta(gt=0, le=2_592_000)] = 3600.0  # of an attempt that has no other

    @property
    def makes_jwt_secret(self) -> bool:
        """Whether nothing says who signs tokens, so that the installation does, with a secret of its own making."""
        return self.supabase_jwt_secret is None and self.supabase_url is None

    @property
    def rate(self) -> tuple[float, int] | None:
        """Requests a second, and how many at once: twice as many where the setting says nothing."""
        if self.rate_limit is None:
            return None
        per_second, _, burst = self.rate_limit.partition(",")
        return float(per_second), int(burst) if burst else max(1, math.ceil(2 * float(per_second)))


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        Misconfigured: a value that does not fit, named with its variable.
    """
    values: dict[str, object] = {} if sys.stderr.isatty() else {"log_format": "json"}
    for field in Settings.__struct_fields__:
        name = variable(field)
        if (text := environment.get(name, "").strip()) == "":
            continue
        try:
            value = _origins(text) if field == "cors_origins" else text
            values[field] = getattr(msgspec.convert({field: value}, Settings, strict=False, dec_hook=_path), field)
        except (msgspec.ValidationError, ValueError) as error:
            raise Misconfigured(f"{name}={text!r} cannot be used: {str(error).split(' - at')[0]}.") from None
    return Settings(**values)  # type: ignore[arg-type]


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return field.upper() if field in _BARE else _PREFIXED + field.upper()


def _origins(text: str) -> list[str]:
    """Origins as browsers send them, or ``*``. Raises: ValueError: one that no browser would send."""
    found = [part.strip().lower().removesuffix("/") for part in text.split(",") if part.strip()]
    for each in found:
        if each not in ("*", "null") and not _ORIGIN.fullmatch(each):
            raise ValueError(f"{each!r} is not an origin such as https://app.example.com, without a path")
    return found


def _path(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value)).expanduser()
    raise TypeError(kind)
