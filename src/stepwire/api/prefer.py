"""``Prefer: wait=N``: hold the answer until the run rests. Source: RFC 7240."""

import re
from typing import Annotated

from litestar.params import Parameter

MAX_WAIT_SECONDS = 60
_WAIT = re.compile(r"""(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)""", re.IGNORECASE)

PreferHeader = Annotated[
    str | None,
    Parameter(
        header="Prefer",
        description="`wait=N`: answer when the run is finished or paused, after N seconds (60 at most) at the latest",
        schema_extra={"examples": ["wait=5"]},
    ),
]


def provide_wait(prefer: PreferHeader = None) -> int | None:
    """The seconds that the client would wait; None where it says nothing. What cannot be understood is no preference."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), MAX_WAIT_SECONDS) if found else None


def applied(wait: int | None) -> dict[str, str]:
    """The header that says that the preference was honoured."""
    return {} if wait is None else {"Preference-Applied": f"wait={wait}"}
