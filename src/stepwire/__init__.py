"""Stepwire: the API, live stream and engine behind a visual workflow editor."""

import sys

__version__ = "0.1.0"

# httpx's command line, which importing httpx loads where it can: 70 modules and 5 MiB in each process, for nobody here.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
