"""Programs that come in wheels."""

from importlib.util import find_spec
from pathlib import Path

from stepwire.embedded.process import ServiceFailed


def program(package: str, pattern: str) -> Path:
    """A program of an installed package, which is not imported: what it brings for Python would only take memory.

    Raises:
        ServiceFailed: it is not there.
    """
    spec = find_spec(package)
    found = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob(pattern))
    if not found:
        raise ServiceFailed(
            f"The package {package} is not installed, or not for this platform; "
            "set DATABASE_URL and REDIS_URL to use other servers."
        )
    return found[0]
