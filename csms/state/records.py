"""Changes to a record that must exist, or must not, decided where the record is; and new ids."""

from csms.state.link import Script

CREATE = Script(
    "create-record",
    """
    -- KEYS[1] record; ARGV: fields and values. 0 where it is there already.
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HSET', KEYS[1], unpack(ARGV))
    return 1
    """,
)
UPDATE = Script(
    "update-record",
    """
    -- KEYS[1] record; ARGV: fields and values. 0 where it is not there.
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    redis.call('HSET', KEYS[1], unpack(ARGV))
    return 1
    """,
)
ALLOCATE = Script(
    "allocate-ids",
    """
    -- KEYS[1] counter; ARGV: first id of an empty store, how many. Answers the last of the block.
    redis.call('SET', KEYS[1], ARGV[1], 'NX')
    return redis.call('INCRBY', KEYS[1], ARGV[2])
    """,
)
