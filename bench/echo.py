"""Server CPU per echoed WebSocket message: `python bench/echo.py [CONNECTIONS [BYTES [SECONDS]]]`.

Starts tests/transport/echo_app.py pinned to one core and keeps one message outstanding per
connection. CPU time is read from /proc (Linux), so other load on the machine hardly matters;
the client masks with the key 0, which costs it nothing and the server the full price.
"""

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HANDSHAKE = (
    b"GET /CP001 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def masked(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + bytes(4) + payload


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(4096)
    assert b" 101 " in head, head
    return sock


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def exchange(sockets: list[socket.socket], frame: bytes, seconds: float) -> int:
    """How many messages came back."""
    answer_bytes = len(frame) - 4
    by_fd = {sock.fileno(): sock for sock in sockets}
    outstanding = dict.fromkeys(by_fd, answer_bytes)
    poll = select.epoll()
    for sock in sockets:
        poll.register(sock, select.EPOLLIN)
        sock.sendall(frame)
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _ in poll.poll(1):
            outstanding[fd] -= len(by_fd[fd].recv(65_536))
            if not outstanding[fd]:
                count += 1
                outstanding[fd] = answer_bytes
                by_fd[fd].send(frame)
    poll.close()
    return count


def main() -> None:
    connections, size, seconds = (
        int(sys.argv[i]) if len(sys.argv) > i else default
        for i, default in ((1, 500), (2, 200), (3, 5))
    )
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests/transport/echo_app.py"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert server.stdout is not None
    try:
        os.sched_setaffinity(server.pid, {0})
        os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
        port = int(server.stdout.readline())
        before_kib = memory_kib(server.pid)
        sockets = [connect(port) for _ in range(connections)]
        each_kib = (memory_kib(server.pid) - before_kib) / connections
        started_s = cpu_s(server.pid)
        count = exchange(sockets, masked(b"x" * size), seconds)
        used_s = cpu_s(server.pid) - started_s
        print(
            f"{connections} connections, {size} B: {count} messages, "
            f"{used_s / count * 1e6:.1f} µs of server CPU each, {each_kib:.1f} KiB a connection"
        )
        for sock in sockets:
            sock.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
