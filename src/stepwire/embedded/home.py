"""The folder of an embedded installation: one user at a time, and the secrets made on first start."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepwire.auth.sealed import sign_in_code
from stepwire.errors import Misconfigured, StepwireError


class HomeInUse(StepwireError):
    """Another process serves from this folder."""

    kind, title = "home-in-use", "Another stepwire serves from this folder"


class NothingServes(StepwireError):
    """No process serves from this folder."""

    kind, title = "nothing-serves", "Nothing serves from this folder"


@contextmanager
def locked_home(home: Path) -> Iterator[Path]:
    """Make the folder if need be, and hold it. The kernel lets go of the lock however this process ends.

    Raises:
        HomeInUse: somebody else holds it.
        Misconfigured: it cannot be made, or written to.
    """
    _make(home)
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise HomeInUse(
                f"Another `stepwire serve` (process {lock.read().strip() or '?'}) runs in {home}; "
                "stop it, or set STEPWIRE_HOME to another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield home


def is_in_use(home: Path) -> bool:
    """Whether somebody serves from this folder now."""
    try:
        with (home / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def jwt_secret(home: Path) -> str:
    """The HS256 secret of the embedded mode, made when it is first asked for."""
    return _secret(home / "jwt.secret")


def encryption_key(home: Path) -> str:
    """The key for stored secrets of the embedded mode: 32 bytes, base64url."""
    return _secret(home / "encryption.key")


def postgres_password(home: Path) -> str:
    return _secret(home / "postgres.password")


def url_file(home: Path) -> Path:
    """Where the address of the API is told to other commands of the same folder."""
    return home / "url"


def studio_link(home: Path) -> str:
    """Where the studio of the embedded mode is, with a code that signs in once; it is in the fragment, which no server sees.

    Raises:
        NothingServes.
    """
    try:
        url = url_file(home).read_text().strip()
    except FileNotFoundError:
        raise NothingServes(f"Nothing serves from {home}; start it with `stepwire serve`.") from None
    return f"{url}/studio/#code={sign_in_code(jwt_secret(home), time.time())}"


def _secret(path: Path) -> str:
    """Read a secret, or make one: the first of several processes wins, and none ever reads half a file."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    while not path.exists():
        _make(path.parent)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        sync_folder(path.parent)
    return path.read_text().strip()


def _make(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = None if os.access(home, os.W_OK | os.X_OK) else "it cannot be written to"
    except OSError as error:
        reason = error.strerror
    if reason is not None:
        raise Misconfigured(f"STEPWIRE_HOME={str(home)!r} cannot be used: {reason}. Set it to a folder of your own.")


def sync_folder(folder: Path) -> None:
    """Make names durable: what was made or renamed in a folder outlives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
