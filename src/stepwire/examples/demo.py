"""``python -m stepwire.examples.demo``: every example, run as a user would run it, against a service of its own.

Brings a server with a home of its own, which is gone afterwards; ``--url`` names another one, on this machine and with
``STEPWIRE_HTTP_ALLOW=127.0.0.1``. ``--service`` gives only the service, for trying the examples by hand.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepwire.client.errors import CouldNotStart
from stepwire.client.local import environment, local_server
from stepwire.examples.service import Service, running_service
from stepwire.settings import Settings, variable

HERE = Path(__file__).parent
SERVICE_PORT = 9009  # the one in the inputs
FAILED = 1
RUN_SECONDS = 120

Environment = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Example:
    """A definition, its input, and the calls it has to make, with the statuses that it gets."""

    name: str
    input: str
    calls: tuple[tuple[str, int], ...]
    about: str


EXAMPLES = (
    Example(
        "order-flow",
        "order-flow",
        (("POST /reservations", 503), ("POST /reservations", 201), ("POST /charges", 200)),
        "an order: validated, reserved at a warehouse that fails at first, charged",
    ),
    Example(
        "github-push-triage",
        "github-push",
        (("POST /chat/messages", 202),),
        "a push to GitHub: sorted by branch, told to the chat",
    ),
    Example(
        "data-pull",
        "data-pull",
        (("GET /measurements", 200), ("POST /summaries", 202)),
        "measurements: fetched, filtered, summed up",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the examples; 0 when each completed and made the calls it should."""
    options = _options(arguments)
    try:
        if options.service:
            return _serve_only()
        with running_service() as service:
            print(f"A small service listens on {service.url}.")
            if options.url is not None:
                return _run_all(service, {}, options.url)
            return _run_with_own_server(service)
    except CouldNotStart as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"demo: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stepwire.examples.demo", description="Run the examples.")
    parser.add_argument(
        "--url",
        default=None,
        help="a server on this machine, with its token in STEPWIRE_TOKEN (default: one is started)",
    )
    parser.add_argument(
        "--service", action="store_true", help=f"only serve what the examples call, on port {SERVICE_PORT}"
    )
    return parser.parse_args(arguments)


def _serve_only() -> int:
    with running_service(SERVICE_PORT) as service:
        print(f"Serving on {service.url}; Ctrl-C ends it.", flush=True)
        seen = 0
        while True:
            for call, status in service.calls[seen:]:
                print(f"  {call} → {status}", flush=True)
                seen += 1
            time.sleep(0.2)


def _run_with_own_server(service: Service) -> int:
    """With none of the user's settings: no database, home or token of theirs is touched."""
    with tempfile.TemporaryDirectory(prefix="stepwire-demo-") as folder:
        home = Path(folder) / "home"
        changes: dict[str, str | None] = {variable(field): None for field in Settings.__struct_fields__}
        changes |= {"STEPWIRE_HOME": str(home), "STEPWIRE_HTTP_ALLOW": "127.0.0.1", "STEPWIRE_LOG_LEVEL": "warning"}
        with local_server(home, print, changes) as server:
            print(f"The API is on {server.url}, its documentation on {server.url}/docs.")
            return _run_all(service, changes, None)


def _run_all(service: Service, changes: Environment, url: str | None) -> int:
    good = [_run(example, service, changes, url) for example in EXAMPLES]
    print(f"\n{sum(good)} of {len(good)} examples completed and made the calls they should.")
    return 0 if all(good) else FAILED


def _run(example: Example, service: Service, changes: Environment, url: str | None) -> bool:
    """Run one; the input on standard input, since it has to name the service's port."""
    value: dict[str, Any] = json.loads((HERE / "inputs" / f"{example.input}.json").read_text(encoding="utf-8"))
    given = json.dumps({**value, "service_url": service.url})
    file = HERE / f"{example.name}.json"
    print(
        f"\n{example.name}: {example.about}\n$ stepwire run {file.name} --input @inputs/{example.input}.json",
        flush=True,
    )
    before = len(service.calls)
    target = [] if url is None else ["--url", url]
    command = [*environment(changes), sys.executable, "-m", "stepwire", "run", str(file), "--input", "-", *target]
    try:
        ended = subprocess.run(command, input=given.encode(), stdout=subprocess.PIPE, check=False, timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"It has not ended after {RUN_SECONDS} s.")
        return False
    _show(ended.stdout)
    calls = tuple(service.calls[before:])
    print("  the service saw: " + (", ".join(f"{call} → {status}" for call, status in calls) or "nothing"))
    if calls != example.calls:
        print("  and should have seen: " + ", ".join(f"{call} → {status}" for call, status in example.calls))
    return ended.returncode == 0 and calls == example.calls


def _show(output: bytes) -> None:
    if output.strip():
        print(
            "\n".join("  " + line for line in json.dumps(json.loads(output), indent=2, ensure_ascii=False).split("\n"))
        )


if __name__ == "__main__":
    sys.exit(main())
