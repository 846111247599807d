"""Lookups of names: a silent one keeps nobody else waiting."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from threading import Event

import pytest

from stepwire.steps import lookups
from stepwire.steps.lookups import Lookups


class System:
    """Knows every name but the silent ones, for which it blocks until it is told to fail."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.gives_up = Event()

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked[host] += 1
        if host.startswith("silent"):
            self.gives_up.wait()
            raise OSError("Temporary failure in name resolution")
        return ["1.1.1.1"]


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.gives_up.set()


async def test_silent_names_hold_up_no_other_even_when_nobody_waits_for_them_any_more(system: System) -> None:
    look_up = Lookups(system)
    silent = [asyncio.create_task(look_up(f"silent-{number}", 80)) for number in range(40)]
    await asyncio.wait(silent, timeout=0)
    for task in silent:
        task.cancel()

    async with asyncio.timeout(10):
        found = await look_up("other", 80)

    assert found == ["1.1.1.1"]


async def test_who_asks_for_the_same_name_shares_its_lookup_and_its_failure(system: System) -> None:
    look_up = Lookups(system)
    asking = [asyncio.create_task(look_up("silent", 80)) for _ in range(10)]
    await asyncio.wait(asking, timeout=0)
    asking[0].cancel()
    system.gives_up.set()

    ends = await asyncio.gather(*asking, return_exceptions=True)

    assert system.asked["silent"] == 1
    assert isinstance(ends[0], asyncio.CancelledError)
    assert all(isinstance(end, OSError) for end in ends[1:])


async def test_a_name_is_looked_up_again_once_it_was_answered(system: System) -> None:
    look_up = Lookups(system)

    await look_up("other", 80)
    await look_up("other", 80)

    assert system.asked["other"] == 2


async def test_lookups_have_a_limit(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MAX_LOOKUPS", 1)
    look_up = Lookups(system)
    first = asyncio.create_task(look_up("silent", 80))
    await asyncio.wait([first], timeout=0)

    with pytest.raises(OSError, match="Too many"):
        await look_up("other", 80)

    first.cancel()
