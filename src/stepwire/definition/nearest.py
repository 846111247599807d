"""What somebody probably meant who wrote a name that there is not."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

MAX_LENGTH = 40
MAX_KNOWN = 40


def did_you_mean(name: str | None, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` where one letter is wrong, missing, too much or in its neighbour's place; else nothing.

    Costs a few microseconds, so that it may be asked for each of fifty thousand edges. Source: symmetric deletion, as
    in SymSpell: two names are near where they are the same without one letter each.
    """
    if not name or len(name) > MAX_LENGTH:
        return ""
    index = _index(tuple(islice(known, MAX_KNOWN)))
    nearest = next((index[each] for each in _without_one(name) if each in index), None)
    return f" Did you mean {nearest!r}?" if nearest else ""


@lru_cache(maxsize=64)
def _index(known: tuple[str, ...]) -> dict[str, str]:
    return {each: name for name in known if len(name) <= MAX_LENGTH for each in _without_one(name)}


def _without_one(name: str) -> Iterator[str]:
    yield name
    for position in range(len(name)):
        yield name[:position] + name[position + 1 :]
