"""CPU of this process per store command: the multiplexed link beside redis-py, under gevent.

    python -m bench.store_link [--commands 100000]

Starts an embedded store in a temporary directory. Each row: so many greenlets, each asking for
one key at a time; redis-py with a BlockingConnectionPool of 50 and a tenth of the commands.
Trust the ratios: single runs vary by up to 40 %.
"""

import gevent.monkey

gevent.monkey.patch_all()

import argparse  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
import redis  # noqa: E402

from csms.state.embedded import EmbeddedStore  # noqa: E402
from csms.state.link import MultiplexedLink  # noqa: E402


def measure(name: str, ask: Callable[[], object], greenlets: int, commands: int) -> None:
    each = max(1, commands // greenlets)

    def work() -> None:
        for _ in range(each):
            ask()

    ask()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    gevent.joinall([gevent.spawn(work) for _ in range(greenlets)], raise_error=True)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    asked = each * greenlets
    print(
        f"{name:34} {greenlets:5} greenlets {cpu_s / asked * 1e6:7.1f} µs CPU"
        f" {asked / wall_s:9.0f} a second"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=100_000)
    commands = parser.parse_args().commands
    with tempfile.TemporaryDirectory() as directory, EmbeddedStore(Path(directory)) as store:
        link = MultiplexedLink(store.url)
        pool = redis.BlockingConnectionPool.from_url(store.url, max_connections=50)
        client = redis.Redis(connection_pool=pool)
        link.call("SET", "key", "x" * 100)
        for greenlets in (1, 10, 100, 1000):
            few = commands // 10 if greenlets == 1 else commands
            measure("link, GET", lambda: link.call("GET", "key"), greenlets, few)
        batch = (("GET", "key"), ("INCR", "n"), ("GET", "key"))
        for greenlets in (100, 1000):
            measure("link, batch of 3", lambda: link.batch(*batch), greenlets, commands // 3)
        for greenlets in (1, 100, 1000):
            measure("redis-py, GET", lambda: client.get("key"), greenlets, commands // 10)
        link.close()
        pool.disconnect()


if __name__ == "__main__":
    main()
