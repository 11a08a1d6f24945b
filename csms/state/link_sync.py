"""The link to the store for processes without gevent: workers and the command line."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from csms.errors import ConfigurationError, StoreRefused, StoreUnavailable
from csms.state.link import Argument, Command, Reply, Script, foreign_script

log = logging.getLogger(__name__)


class SyncLink:
    """The Link over redis-py; may be shared by threads. Connects when first used.

    redis-py would send a command again after a lost reply (one INCR ran four times): no retries.
    Replies have the same shapes as those of the multiplexed link: RESP2, nothing converted.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self.dropped_posts = 0
        try:
            self._client = redis.Redis.from_url(
                url,
                protocol=2,
                decode_responses=True,
                encoding_errors="replace",
                retry=Retry(NoBackoff(), 0),
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
            )
        except ValueError as error:
            raise ConfigurationError("REDIS_URL", str(error)) from None
        self._client.response_callbacks.clear()
        self._execute: Callable[..., Reply] = self._client.execute_command

    def call(self, *command: Argument) -> Reply:
        with _our_errors():
            try:
                return self._execute(*command)
            except redis.ResponseError as refusal:
                return self._settle(command, refusal)

    def batch(self, *commands: Command) -> list[Reply]:
        with _our_errors(), self._client.pipeline(transaction=False) as pipeline:
            add: Callable[..., object] = pipeline.execute_command
            for command in commands:
                add(*command)
            replies: list[Reply] = pipeline.execute(raise_on_error=False)
            for index, reply in enumerate(replies):
                if isinstance(reply, redis.RedisError):
                    replies[index] = self._settle(commands[index], reply)
                elif isinstance(reply, list) and commands[index][0] == "EXEC":
                    _raise_first_error(reply)
            return replies

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Reply:
        return self.call(*script.call(keys, arguments))

    def post(self, *command: Argument) -> None:
        try:
            self.call(*command)
        except (StoreUnavailable, StoreRefused) as error:
            self.dropped_posts += 1
            log.warning("post dropped", extra={"command": command[0], "problem": str(error)})

    def close(self) -> None:
        self._client.close()

    def _settle(self, command: Command, refusal: redis.RedisError) -> Reply:
        """NOSCRIPT means not executed: load and run. Raises what it can't settle."""
        script = foreign_script(command, _text(refusal))
        if script is None:
            raise refusal
        self._execute("SCRIPT", "LOAD", script.source)
        return self._execute(*command)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except redis.DataError as error:  # a bool or None as an argument: our own mistake
        raise TypeError(str(error)) from None
    except redis.ResponseError as error:
        raise StoreRefused(_text(error)) from None
    except redis.RedisError as error:
        raise StoreUnavailable(f"The store gave no confirmation: {error}.") from None


def _raise_first_error(replies: Sequence[Reply]) -> None:
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply


def _text(error: redis.RedisError) -> str:
    """The server's own words; redis-py cuts the first one off and keeps it apart."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)
