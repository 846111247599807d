"""Where the embedded servers listen: sockets in a folder that is nobody else's."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from stepwire.embedded.process import ServiceFailed
from stepwire.embedded.unprivileged import give, give_open, owner_of_servers

LONGEST_PATH = 107 - len("/.s.PGSQL.5432.lock")  # sun_path, see unix(7)


def socket_folder(home: Path) -> Path:
    """The folder for sockets: in the home, or, where that path cannot be a socket's, below the temporary folder.

    Raises:
        ServiceFailed: somebody else owns the folder below the temporary one.
    """
    if _is_suitable(folder := home / "run"):
        give(folder)
        return folder
    name = f"stepwire-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    folder = next(filter(_is_suitable, (Path(tempfile.gettempdir()) / name, Path("/tmp") / name)))  # noqa: S108
    _take(folder)
    return folder


def _is_suitable(folder: Path) -> bool:
    """Short enough; and without commas, at which PostgreSQL and its clients would split it."""
    return len(os.fsencode(folder)) <= LONGEST_PATH and "," not in str(folder)


def _take(folder: Path) -> None:
    """Make a folder, or take one that is ours, where everybody can make some.

    It is opened and then judged by what is open, never by its name: a name may lead elsewhere a moment later.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise ServiceFailed(f"{folder} is not ours; set STEPWIRE_HOME to a shorter path.") from error
    try:
        if os.fstat(descriptor).st_uid not in {os.geteuid(), (owner_of_servers() or (os.geteuid(), 0))[0]}:
            raise ServiceFailed(f"{folder} belongs to somebody else; set STEPWIRE_HOME to a shorter path.")
        give_open(descriptor, folder)
    finally:
        os.close(descriptor)
