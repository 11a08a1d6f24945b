"""File servers for charge points: one of HTTP and one of FTP, each in a thread of its own."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class HttpFiles:
    """entity_tag None: none is said. statuses: what the next requests are answered with instead.

    cut_after: bytes after which the next answer ends too early.
    """

    content: bytes = b""
    entity_tag: str | None = '"one"'
    statuses: list[int] = field(default_factory=list)
    cut_after: int | None = None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def ranges(self) -> list[str | None]:
        return [one.headers.get("Range") for one in self.asked]


def _handler_of(files: HttpFiles) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            files.asked.append(Asked("GET", self.path, dict(self.headers)))
            if files.statuses:
                self._answer(files.statuses.pop(0), b"not now\n")
                return
            wanted = self.headers.get("Range")
            if wanted is None or self.headers.get("If-Range") != files.entity_tag:
                self._answer(200, files.content)
                return
            offset = int(wanted.removeprefix("bytes=").removesuffix("-"))
            size = len(files.content)
            self._answer(
                206, files.content[offset:], {"Content-Range": f"bytes {offset}-{size - 1}/{size}"}
            )

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            files.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            self._answer(files.statuses.pop(0) if files.statuses else 201, b"")

        do_POST = do_PUT

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if files.entity_tag is not None:
                self.send_header("ETag", files.entity_tag)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            cut_after, files.cut_after = files.cut_after, None
            self.wfile.write(body[:cut_after])

    return Handler


@contextlib.contextmanager
def http_files(certificate: tuple[Path, Path] | None = None) -> Iterator[HttpFiles]:
    """certificate: chain and key, of a server of HTTPS."""
    files = HttpFiles()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(files))
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # handshakes that were meant to fail
    scheme = "https" if certificate else "http"
    files.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class FtpFiles:
    """commands: what was sent, such as ("REST", "1000"). url: with its user."""

    directory: Path
    commands: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def said(self, *commands: str) -> list[tuple[str, str]]:
        return [one for one in self.commands if one[0] in commands]


@contextlib.contextmanager
def ftp_files(directory: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[FtpFiles]:
    """For user `CP001` with password `pass/word`; certificate: chain and key, of one of FTPS."""
    files = FtpFiles(directory)
    authorizer = DummyAuthorizer()
    authorizer.add_user("CP001", "pass/word", str(directory), perm="elrw")

    class Handler(TLS_FTPHandler if certificate else FTPHandler):  # type: ignore[misc]
        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            files.commands.append((cmd, arg))
            super().pre_process_command(line, cmd, arg)

    Handler.authorizer = authorizer
    if certificate is not None:
        Handler.certfile, Handler.keyfile = map(str, certificate)
        Handler.tls_control_required = Handler.tls_data_required = True
    server = FTPServer(("127.0.0.1", 0), Handler)
    scheme = "ftps" if certificate else "ftp"
    files.url = f"{scheme}://CP001:pass%2Fword@127.0.0.1:{server.socket.getsockname()[1]}"
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield files
    finally:
        over.set()
        thread.join()
