"""A link to the store that is cut at one of its commands, in each way in which that can happen."""

from dataclasses import dataclass
from enum import StrEnum

import gevent

from csms.errors import StoreUnavailable
from csms.state.link import SCRIPTS

_READS = frozenset(
    {
        *("EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HLEN", "HMGET", "LLEN", "LRANGE", "MGET"),
        *("SCARD", "SISMEMBER", "SMEMBERS", "SRANDMEMBER", "TIME", "XRANGE", "XREVRANGE", "ZCARD"),
        *("ZCOUNT", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZREVRANGE", "ZSCORE"),
    }
)
_READING_SCRIPTS = frozenset({"alive-processes", "dead-processes"})


class Died(gevent.GreenletExit):
    """The process is no more: nothing of it runs on, and nobody catches that."""


class Way(StrEnum):
    """What happens at the command at which a link is cut."""

    # It is not done: the process dies just before, after what it has said to the charge point.
    DIES = "the process dies"
    # It is done, and nothing after it; the charge point stays away for minutes.
    DIES_AFTER = "the process dies right after"
    # It is done, and its confirmation is lost; the process lives on, and the link is back at once.
    UNCONFIRMED = "no confirmation comes"
    # It is not done, and nobody knows that.
    UNHEARD = "it never arrives"
    # Before it is done another process sweeps: two of them at once.
    TOGETHER = "another process sweeps at once"
    # Before it is done the process stands still for minutes, while others sweep.
    SLEEPS = "the process stands still"
    # Likewise, and its charge point has gone to another process meanwhile.
    LEFT = "the charge point leaves the process that stands still"


def is_write(command):
    if command[0] == "EVALSHA":
        return SCRIPTS[command[1]].name not in _READING_SCRIPTS
    return command[0] not in _READS


def name_of(command):
    """A command as a failed test shows it."""
    if command[0] == "EVALSHA":
        return " ".join([SCRIPTS[command[1]].name, *map(str, command[3:5])])
    return " ".join(map(str, command[:3]))


@dataclass(frozen=True)
class Cut:
    """way: what happens at the number-th, from 1 on, of the commands that count for it."""

    way: Way
    number: int


class CutLink:
    """on_stop: what others do while the process stands still.

    Commands count where they can make a difference: all for a lost confirmation, else the writes.
    """

    def __init__(self, link):
        self._link = link
        self._cut = None
        self._on_stop = None
        self._counted = 0
        self.cut_at = ""
        self.is_dead = False

    @property
    def way(self):
        return self._cut.way if self._cut else None

    def arm(self, cut, on_stop):
        self._cut, self._on_stop, self._counted = cut, on_stop, 0

    def disarm(self):
        self._cut = None

    @property
    def was_cut(self):
        return self.cut_at != ""

    def call(self, *command):
        return self._do(command)

    def run(self, script, keys, arguments):
        return self._do(script.call(keys, arguments))

    def batch(self, *commands):
        """A command at a time while there is a cut to come: it may be in the middle. Where all of
        them read, it makes no difference which one is cut."""
        if self.is_dead or (self._cut is not None and not self.was_cut):
            if any(map(is_write, commands)):
                return [self._do(command) for command in commands]
            self._do(commands[0])
        return self._link.batch(*commands)

    def post(self, *command):
        try:
            self._do(command)
        except StoreUnavailable:
            pass  # lost without an error

    def close(self):
        """It is not ours to close."""

    def kill(self):
        self.is_dead = True

    def _do(self, command):
        if self.is_dead:
            raise Died
        way = self._due(command)
        if way is None:
            return self._link.call(*command)
        self.cut_at = name_of(command)
        match way:
            case Way.DIES:
                self.kill()
                raise Died
            case Way.DIES_AFTER:
                self._link.call(*command)
                self.kill()
                raise Died
            case Way.UNCONFIRMED:
                self._link.call(*command)
                raise StoreUnavailable("The confirmation was lost.")
            case Way.UNHEARD:
                raise StoreUnavailable("It never arrived.")
        self._on_stop(way)
        if self.is_dead:
            raise Died
        return self._link.call(*command)

    def _due(self, command):
        """The way in which to cut at this command, None for not at all."""
        cut = self._cut
        if cut is None or self.was_cut:
            return None
        if not is_write(command) and cut.way is not Way.UNCONFIRMED:
            return None
        self._counted += 1
        return cut.way if self._counted >= cut.number else None
