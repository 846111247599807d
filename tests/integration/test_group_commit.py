"""Group commit: batches as they come, and one bad item alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from stepwire.db.group_commit import MAX_BATCH_BYTES, GroupCommit, Refused


@asynccontextmanager
async def running(group: GroupCommit[int, int]) -> AsyncIterator[None]:
    task = asyncio.create_task(group.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_comes_while_a_flush_is_under_way_goes_together_with_the_next() -> None:
    batches: list[list[int]] = []
    may_return = asyncio.Event()

    async def write(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        await may_return.wait()
        return [item * 2 for item in items]

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        first = asyncio.create_task(group.submit(1))
        while not batches:
            await asyncio.sleep(0)
        others = [asyncio.create_task(group.submit(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        may_return.set()
        answers = await asyncio.gather(first, *others)

    assert batches == [[1], [2, 3, 4]]
    assert answers == [2, 4, 6, 8]


async def test_an_item_that_is_refused_does_not_hurt_its_neighbours() -> None:
    async def write(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise ValueError("unlucky")
        return list(items)

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        answers = await asyncio.gather(*(group.submit(number) for number in range(30)), return_exceptions=True)

    assert [answer for answer in answers if not isinstance(answer, Refused)] == [n for n in range(30) if n != 13]
    assert isinstance(answers[13], Refused)


async def test_a_passing_fault_is_tried_again_and_nobody_notices() -> None:
    faults: list[Exception] = [ConnectionResetError(), TimeoutError(), OSError("no space")]

    async def write(items: Sequence[int]) -> list[int]:
        if faults:
            raise faults.pop()
        return list(items)

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        assert await group.submit(7) == 7

    assert faults == []


async def test_a_batch_is_bounded_by_its_weight_but_one_item_always_goes() -> None:
    batches: list[int] = []

    async def write(items: Sequence[int]) -> list[int]:
        batches.append(len(items))
        return list(items)

    group = GroupCommit(write, weigh=lambda _: MAX_BATCH_BYTES)
    async with running(group):
        await asyncio.gather(*(group.submit(number) for number in range(4)))

    assert batches == [1, 1, 1, 1]


async def test_who_waits_is_let_go_when_it_ends() -> None:
    async def write(_: Sequence[int]) -> list[int]:
        await asyncio.Event().wait()
        return []

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        waiting = asyncio.create_task(group.submit(1))
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_one_who_no_longer_waits_does_not_keep_the_others_from_their_answers() -> None:
    batches: list[list[int]] = []
    may_return = asyncio.Event()

    async def write(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        await may_return.wait()
        return list(items)

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        first = asyncio.create_task(group.submit(1))
        while not batches:
            await asyncio.sleep(0)
        gone, stays = (asyncio.create_task(group.submit(number)) for number in (2, 3))
        first.cancel()
        await asyncio.sleep(0)
        gone.cancel()
        may_return.set()
        answer = await stays

    assert (answer, first.cancelled(), gone.cancelled()) == (3, True, True)


async def test_who_waits_is_let_go_also_when_it_ends_while_a_refused_batch_is_halved() -> None:
    halved = asyncio.Event()

    async def write(items: Sequence[int]) -> list[int]:
        if len(items) == 4:
            raise ValueError("unlucky")
        halved.set()
        await asyncio.Event().wait()
        return []

    group = GroupCommit(write, weigh=lambda _: 1)
    waiting = [asyncio.create_task(group.submit(number)) for number in range(4)]
    async with running(group):
        await halved.wait()
    _, left = await asyncio.wait(waiting, timeout=5)
    for task in left:
        task.cancel()

    assert left == set()


class UnfitValue(asyncpg.InterfaceError, ValueError):
    """What asyncpg says of a value that it cannot encode; its own class is private."""


async def test_a_value_that_no_column_takes_is_refused_and_not_tried_for_ever() -> None:
    tries: list[list[int]] = []

    async def write(items: Sequence[int]) -> list[int]:
        tries.append(list(items))
        if 13 in items:
            raise UnfitValue("invalid input for query argument $1")
        return list(items)

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        outcomes = await asyncio.gather(*(group.submit(number) for number in (12, 13, 14)), return_exceptions=True)

    assert [isinstance(outcome, Refused) for outcome in outcomes] == [False, True, False]
    assert tries[0] == [12, 13, 14]


async def test_what_keeps_it_from_writing_is_known_until_it_writes_again() -> None:
    seen: list[str | None] = []

    async def write(items: Sequence[int]) -> list[int]:
        seen.append(group.trouble)
        if len(seen) < 3:
            raise asyncpg.DiskFullError("No space left on device")
        return list(items)

    group = GroupCommit(write, weigh=lambda _: 1)
    async with running(group):
        assert await group.submit(1) == 1

    assert seen == [None, "DiskFullError", "DiskFullError"]
    assert group.trouble is None
