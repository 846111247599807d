"""A small file system of its own for one process and its children, to be filled up.

It is mounted where only they see it: with a mount namespace as root, with a user namespace of its own as anybody else.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

MEGABYTE = 1 << 20
_MOUNT = 'mount -t tmpfs -o "size=$1" none "$2" && shift 2 && '


def with_small_disk(folder: Path, megabytes: int) -> Sequence[str]:
    """What to put before a command, to have ``folder`` on a file system of this size while it runs."""
    size, uid, gid = f"{megabytes}m", os.geteuid(), os.getegid()
    if uid == 0 and os.access("/proc/self/mem", os.W_OK) and _may_mount():
        return ["unshare", "--mount", "sh", "-c", _MOUNT + 'exec "$@"', "sh", size, str(folder)]
    back = f'exec unshare --user --map-user={uid} --map-group={gid} "$@"'  # as the user that it was
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT + back, "sh", size, str(folder)]


def _may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN, bit 21."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> 21 & 1)
    return False


class Ballast:
    """A file that takes whatever room there is left in a folder, as the process ``pid`` sees it."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._file = Path(f"/proc/{pid}/root{folder}/ballast")

    def fill(self, leave: int = 0) -> None:
        """Leave ``leave`` bytes."""
        with self._file.open("ab") as file:
            for size in (MEGABYTE, 4096):
                while self._room() > leave:
                    try:
                        os.write(file.fileno(), b"\0" * size)
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        break

    def drop(self) -> None:
        self._file.unlink()

    def _room(self) -> int:
        found = os.statvfs(self._file.parent)
        return found.f_bavail * found.f_frsize
