"""Servers that refuse to run as root: run them as ``nobody``, without opening any folder to others.

``nobody`` cannot reach a data folder or a virtualenv below a private one such as /root. Instead of loosening the
permissions of every parent folder, the server keeps one capability across the change of user: to search and read past
permissions. It can write only what is given to it, its own folders.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from stepwire.embedded.process import ServiceFailed

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522
_IS_LINUX = sys.platform == "linux"


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Set(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def owner_of_servers() -> tuple[int, int] | None:
    """User and group that servers run as; None: as this process."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def give(folder: Path) -> None:
    """Make a folder of the servers' user, closed to everybody else.

    Raises:
        ServiceFailed: this process may not give it away.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        give_open(descriptor, folder)
    finally:
        os.close(descriptor)


def give_open(descriptor: int, folder: Path) -> None:
    """`give` for a folder that is open, so that it cannot be exchanged for another meanwhile."""
    try:
        os.fchmod(descriptor, 0o700)
        if (owner := owner_of_servers()) is not None and os.fstat(descriptor).st_uid != owner[0]:
            os.fchown(descriptor, *owner)
    except OSError as error:
        raise ServiceFailed(
            f"{folder} cannot become the servers' own ({error.strerror}); run as another user."
        ) from error


def before_exec(death_signal: signal.Signals) -> Callable[[], None]:
    """What a server's process does before it becomes the server: change the user, and agree to end with its parent.

    All that it needs is looked up here, since between fork and exec little is safe to do.
    """
    owner, parent = owner_of_servers(), os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if _IS_LINUX else None
    capability = _reading_capability() if owner is not None and _IS_LINUX else None
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Set * 2)()
    if capability is not None:
        sets[0] = _Set(1 << capability, 1 << capability, 1 << capability)

    def prepare() -> None:
        if owner is not None:
            if libc is not None and capability is not None:
                libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setgid(owner[1])
            os.setuid(owner[0])
            if libc is not None and capability is not None:
                libc.capset(ctypes.byref(header), ctypes.byref(sets))
                libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)  # after the change of user, which clears it
            if os.getppid() != parent:
                os._exit(1)  # it was gone before we could say so

    return prepare


def _reading_capability() -> int | None:
    """The weakest capability that reads past permissions, of those that this process has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            permitted = int(line.split()[1], 16)
            return next((each for each in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if permitted >> each & 1), None)
    return None
