"""Children of the supervisor end with it, however it ends."""

import os
import signal
import stat
import threading
import time

GRACE_SECONDS = 15


def exit_with_parent(descriptor: int | None) -> threading.Event:
    """End this process when its parent is gone: then the pipe behind ``descriptor``, which only it can write, closes.

    Returns:
        What is set when the parent writes that this process may begin; at once where there is no parent.
    """
    may_begin = threading.Event()
    if descriptor is not None and _is_pipe(descriptor):
        threading.Thread(target=_watch, args=(descriptor, may_begin), name="parent", daemon=True).start()
    else:
        may_begin.set()
    return may_begin


def _is_pipe(descriptor: int) -> bool:
    """Not so in a process that inherited the setting, but not the pipe."""
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch(descriptor: int, may_begin: threading.Event) -> None:
    while os.read(descriptor, 1):
        may_begin.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
