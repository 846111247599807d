"""What the OpenAPI document says is what the API does: schemathesis over every operation."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from factories import chain, node
from stack import Api

CONFIG = Path(__file__).with_name("schemathesis.toml")
# The one that is left out takes for granted that there is something at every address below one that was made: a new
# workflow has no hook.
ALWAYS = [
    "--checks=all", "--exclude-checks=ensure_resource_availability", "--max-examples=3", "--generation-deterministic", "--no-color", "--warnings=off",
]  # fmt: skip
OF_A_RUN = ["startRun", "getRun", "listSteps", "listEvents", "resumeRun", "retryRun", "cancelRun", "createSocketTicket"]


def check_operations(server: Api, folder: Path, *options: str, **parameters: str) -> str:
    """Run schemathesis; what it says. ``parameters`` are taken as they are wherever an operation has one of that name."""
    given = "".join(f'{name} = "{value}"\n' for name, value in parameters.items())
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.read_text() + (f"\n[parameters]\n{given}" if given else ""))
    command = [sys.executable, "-W", "error", "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    header = f"Authorization: Bearer {server.token()}"
    target = f"{server.url}/docs/openapi.json"
    done = subprocess.run(
        [*command, *ALWAYS, *options, "-H", header, target],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4000:]
    return done.stdout


def operation_count(server: Api) -> int:
    document: dict[str, Any] = server.http.get("/docs/openapi.json").json()
    return sum(len(item) for item in document["paths"].values())


def test_every_operation_does_what_the_document_says_and_so_do_those_that_links_lead_to(
    server: Api, tmp_path: Path
) -> None:
    said = check_operations(server, tmp_path, "--phases=examples,coverage,fuzzing,stateful")

    count = operation_count(server)
    assert count >= 21
    assert f"Selected: {count}/{count}" in said
    assert f"Tested: {count}" in said
    assert "✅ Stateful" in said


def test_the_operations_of_a_run_do_what_the_document_says_of_one_that_is_there(server: Api, tmp_path: Path) -> None:
    workflow_id = server.publish(chain(node("a"), node("b")))
    run = server.finished(server.start(workflow_id)["id"])
    only = [f"--include-operation-id={name}" for name in OF_A_RUN]

    said = check_operations(
        server, tmp_path, "--phases=coverage,fuzzing", *only, workflow_id=workflow_id, run_id=run["id"]
    )

    assert f"Tested: {len(OF_A_RUN)}" in said
