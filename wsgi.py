"""The web process: a small master and WEB_CONCURRENCY children that share the port."""

import os
import sys

from csms.transport import prefork


def serve(index: int) -> None:
    """In the child only: the master must stay small and unpatched."""
    from gevent import monkey  # noqa: PLC0415

    monkey.patch_all()
    from csms.app import serve_forever  # noqa: PLC0415

    serve_forever(os.environ)


if __name__ == "__main__":
    sys.exit(prefork.main(os.environ, serve))
