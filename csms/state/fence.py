"""Writes that only the connection which owns a charge point may make.

Every connection has an epoch, higher than all before it; a process that was asleep while another
took over finds its epoch stale and its writes refused, all or nothing.
"""

from collections.abc import Sequence

from csms.errors import StaleEpoch
from csms.state import keys
from csms.state.link import Argument, Command, Link, Reply, Script

STALE = "STALE"

FENCED = Script(
    "fenced",
    """
    -- KEYS[1] live of the charge point; ARGV: epoch, then each write as its length and its words
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 'STALE' end
    local i = 2
    while i <= #ARGV do
      local n = tonumber(ARGV[i])
      redis.call(unpack(ARGV, i + 1, i + n))
      i = i + n + 1
    end
    return 'OK'
    """,
)


def fenced(charge_point_id: str, epoch: int, *writes: Command) -> Command:
    """One command that makes all the writes (keys of this charge point only), or none."""
    words: list[Argument] = [epoch]
    for write in writes:
        words.append(len(write))
        words.extend(write)
    return FENCED.call([keys.live(charge_point_id)], words)


def write_fenced(
    link: Link, charge_point_id: str, epoch: int, writes: Sequence[Command], *others: Command
) -> None:
    """Make the fenced writes and, in the same trip, others that need no fence.

    Raises StaleEpoch; the others have been made then all the same, so that they must be harmless.
    """
    replies = link.batch(fenced(charge_point_id, epoch, *writes), *others)
    check(replies[0], charge_point_id)


def check(reply: Reply, charge_point_id: str) -> None:
    """Raises StaleEpoch where a fenced script refused."""
    if reply == STALE or (isinstance(reply, list) and reply and reply[0] == STALE):
        raise StaleEpoch(charge_point_id)
