"""Where the embedded servers listen: sockets in a folder that is nobody else's."""

import hashlib
import os
import tempfile
from pathlib import Path

from stepwire.embedded.process import ServiceFailed
from stepwire.embedded.unprivileged import give, owner_of_servers

LONGEST_PATH = 107 - len("/.s.PGSQL.5432.lock")  # sun_path, see unix(7)


def socket_folder(home: Path) -> Path:
    """The folder for sockets: in the home, or, where that path is too long for a socket, below the temporary folder.

    Raises:
        ServiceFailed: somebody else owns the folder below the temporary one.
    """
    folder = home / "run"
    if len(os.fsencode(folder)) > LONGEST_PATH:
        name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"stepwire-{os.geteuid()}-{name}"
        _check_is_ours(folder)
    give(folder)
    return folder


def _check_is_ours(folder: Path) -> None:
    ours = {os.geteuid(), (owner_of_servers() or (os.geteuid(), 0))[0]}
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid not in ours):
        raise ServiceFailed(f"{folder} belongs to somebody else; set STEPWIRE_HOME to a shorter path.")
