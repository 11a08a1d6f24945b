"""What charge points have told of their configuration, key by key."""

from collections.abc import Iterable

import orjson

from csms.domain.configuration import Configuration, ConfigurationKey, fold_key
from csms.state import keys
from csms.state.link import Argument, Link, Script
from csms.state.pages import pairs

# More than any charge point has, and more than any value says: a bound, so that none can fill the
# store.
KEYS_MAX = 500
VALUE_MAX = 2_000

_RECORD = Script(
    "record-configuration",
    """
    -- KEYS[1] record; ARGV: 1 whether it replaces all, 2 most keys, 3 told at,
    --   4.. folded keys and JSON. What was told since stays: this may come again, and late.
    local at = tonumber(ARGV[3])
    local function is_newer(text) return cjson.decode(text).at_ms > at end
    if ARGV[1] == '1' then
      local before = redis.call('HGETALL', KEYS[1])
      for i = 1, #before, 2 do
        if not is_newer(before[i + 1]) then redis.call('HDEL', KEYS[1], before[i]) end
      end
    end
    for i = 4, #ARGV, 2 do
      local was = redis.call('HGET', KEYS[1], ARGV[i])
      if (was and not is_newer(was))
        or (not was and redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2])) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
      end
    end
    return redis.call('HLEN', KEYS[1])
    """,
)


class Configurations:
    def __init__(self, link: Link) -> None:
        self._link = link

    def find(self, charge_point_id: str) -> Configuration:
        """All that is known; empty where it was never asked."""
        fields = pairs(self._link.call("HGETALL", keys.configuration(charge_point_id)))
        return Configuration(
            {
                folded: ConfigurationKey(**record)
                for folded, text in fields.items()
                if (record := orjson.loads(text))
            }
        )

    def record(
        self, charge_point_id: str, told: Iterable[ConfigurationKey], *, is_all: bool
    ) -> None:
        """Keep what was told at one instant. is_all: it is the whole configuration, so that what is
        missing is not there any more. May be repeated, also after what was told later."""
        words: list[Argument] = []
        at_ms = 0
        for key in told:
            at_ms = key.at_ms
            value = key.value if key.value is None else key.value[:VALUE_MAX]
            words.append(fold_key(key.key))
            words.append(
                orjson.dumps(
                    ConfigurationKey(key.key, value, key.readonly, key.at_ms, key.is_known)
                )
            )
        if words:
            self._link.run(
                _RECORD,
                [keys.configuration(charge_point_id)],
                [int(is_all), KEYS_MAX, at_ms, *words],
            )
