"""How often an owner may ask, over all API processes: a token bucket in Redis, by its clock."""

import logging

import msgspec
from redis.asyncio import Redis

from stepwire.signals.connection import Lost

log = logging.getLogger(__name__)
_PREFIX = "stepwire:rate:"

# One script, so that requests at the same time cannot take the same token. The bucket is stored as the instant at
# which it is full again (the generic cell rate algorithm, ITU-T I.371), which is one number and lapses by itself.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = full_at + interval - now - interval * burst
if wait > 0 then
    return {0, 0, math.ceil(wait)}
end
full_at = full_at + interval
redis.call('SET', KEYS[1], full_at, 'PX', math.ceil(full_at - now) + 1)
return {1, math.floor((interval * burst - (full_at - now)) / interval + 0.001), math.ceil(full_at - now)}
"""


class Taken(msgspec.Struct, frozen=True):
    """Whether there was a token, how many are left, and milliseconds: until the next one, or until all are there."""

    is_allowed: bool
    left: int
    milliseconds: int


class RateLimiter:
    """``per_second`` requests in the long run, up to ``burst`` at once."""

    def __init__(self, redis: Redis, per_second: float, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._take = redis.register_script(_TAKE)

    async def take(self, name: str) -> Taken | None:
        """Take one token; None while Redis is away: then nobody is held up."""
        try:
            is_allowed, left, milliseconds = await self._take(
                keys=[_PREFIX + name], args=[1000 / self.per_second, self.burst]
            )
        except Lost as error:
            log.warning("Nobody counts requests just now: %s", error)
            return None
        return Taken(bool(is_allowed), left, milliseconds)
