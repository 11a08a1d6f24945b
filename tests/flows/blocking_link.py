"""A link to the store with nothing around it: a story is cut some thousand times."""

import socket

from hiredis import Reader, ReplyError, pack_command

from csms.errors import StoreRefused
from csms.state.link import SCRIPTS


class BlockingLink:
    def __init__(self, url):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(url.removeprefix("unix://"))
        self._reader = Reader(encoding="utf-8", errors="replace")
        self.batch(*(("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values()))

    def call(self, *command):
        return self.batch(command)[0]

    def run(self, script, keys, arguments):
        return self.call(*script.call(keys, arguments))

    def batch(self, *commands):
        self._socket.sendall(b"".join(map(pack_command, commands)))
        replies = [self._reply() for _ in commands]
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreRefused(str(reply))
        return replies

    def _reply(self):
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65_536))
        return reply

    def post(self, *command):
        self.call(*command)

    def close(self):
        self._socket.close()
