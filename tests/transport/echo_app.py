"""An echo server on the product's own transport, as a process: `python echo_app.py [LIMIT]`.

Prints its port on the first line; SIGTERM drains it. Autobahn and bench/echo.py talk to it.
"""

import logging
import signal
import sys

import gevent

from csms.transport.listeners import listen
from csms.transport.server import Limits, Server
from csms.transport.upgrade import Admission, Refusal, UpgradeRequest
from csms.transport.websocket import WebSocket
from csms.transport.websocket_codec import encode_binary


def echo(ws: WebSocket) -> None:
    message = ws.receive()
    while message is not None:
        if isinstance(message, str):
            ws.send(message)
        else:
            # OCPP has no binary frames, so WebSocket offers no way to send them.
            ws._write(encode_binary(message))
        message = ws.receive()


def door(request: UpgradeRequest) -> Refusal | Admission:
    return Admission(subprotocol=None, serve=echo)


def not_found(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]


def main() -> None:
    logging.basicConfig(stream=sys.stderr)
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 1_048_576
    server = Server([listen("127.0.0.1", 0)], not_found, door, Limits(max_message_bytes=limit))
    gevent.signal_handler(signal.SIGTERM, server.drain)
    server.start()
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
