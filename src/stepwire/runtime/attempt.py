"""One attempt of an effect in a task of its own: whatever it does, it ends in time for the run and alone.

A step may hang, swallow its cancellation, ask the process to end, or leave tasks behind; each is the step's own
failure, never the worker's.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar
from weakref import WeakSet

from stepwire.steps.base import StepFailed
from stepwire.steps.outcome import raised

log = logging.getLogger(__name__)
T = TypeVar("T")
GIVE_UP_SECONDS = 3.0  # less than what a worker that is told to end has left after its grace


class Attempt:
    """What belongs to one attempt; ``label`` names its step and run."""

    __slots__ = ("__weakref__", "children", "label")

    def __init__(self, label: str) -> None:
        self.label = label
        self.children: WeakSet[asyncio.Task[Any]] = WeakSet()


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    """The event loop's task factory: tasks that a step starts are known as its own."""
    attempt = _current.get()
    if attempt is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    task = asyncio.Task(contained(coroutine, attempt.label), loop=loop, **options)
    attempt.children.add(task)
    return task


async def carry_out(coroutine: Coroutine[Any, Any, T], label: str, limit: float) -> T:
    """Await an attempt for at most ``limit`` seconds; cancelling this stops it.

    Raises:
        StepFailed: ``timeout``, or it ended itself. Anything else that it raises.
    """
    attempt = Attempt(label)
    context = copy_context()
    context.run(_current.set, attempt)
    task = asyncio.get_running_loop().create_task(contained(coroutine, label), context=context)
    try:
        await asyncio.wait({task}, timeout=limit)
        if not task.done():
            raise StepFailed("timeout", f"The step took longer than {limit:g} seconds.", is_retryable=True)
        if task.cancelled():
            raise StepFailed("step-crashed", "The step cancelled itself.")
        return task.result()
    finally:
        if not task.done():
            await _stop(task, label)
        _end_leftovers(attempt)


async def contained(coroutine: Coroutine[Any, Any, T], label: str) -> T:
    """Await a step's coroutine. Asyncio would pass these two on to the process, and end it."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        log.exception("Step %s asked the process to end", label)
        raise raised(error) from error


async def _stop(task: "asyncio.Task[Any]", label: str) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=GIVE_UP_SECONDS)
    if not task.done():
        log.error("Step %s goes on although it was cancelled; it is left to itself", label)
        _abandoned.add(task)
        task.add_done_callback(_abandoned.discard)
    elif not task.cancelled() and (error := task.exception()) is not None:
        log.debug("Step %s raised when it was cancelled", label, exc_info=error)


_abandoned: set["asyncio.Task[Any]"] = set()


def _end_leftovers(attempt: Attempt) -> None:
    left = [task for task in attempt.children if not task.done()]
    for task in left:
        task.cancel()
    if left:
        log.warning("Step %s left %d tasks behind; they are cancelled", attempt.label, len(left))
