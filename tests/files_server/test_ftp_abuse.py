"""FTP as nobody means it: to hold connections, to fill the memory, to confuse the server."""

import contextlib
import logging
import socket
import ssl

import pytest
from cast import PEPPER
from certificates import root, server
from ftp_site import PATIENCE_S, Serving, until

from csms.config import CertificateFiles
from csms.domain.file_grant import secret_of
from csms.files_server import connection as connections
from csms.files_server.certificates import ServerTLS


@pytest.fixture
def dial(site):
    """A connection as bytes, that never reads by itself."""
    opened = []

    def dial():
        peer = socket.create_connection(("127.0.0.1", site.port), PATIENCE_S)
        opened.append(peer)
        return peer

    yield dial
    for peer in opened:
        peer.close()


def login_of(grant):
    return f"USER {grant.grant_id}\r\nPASS {secret_of(grant.grant_id, PEPPER)}\r\n".encode()


def all_of(peer):
    """What arrives until the server hangs up."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while chunk := peer.recv(65_536):
            said += chunk
    return said


def is_alone(serving):
    return not [one for one in list(serving.server.connections) if not one._closed]


def push_on(peer, what):
    """Send until nothing is taken any more, because the other end has hung up."""
    with pytest.raises(ConnectionError):  # and no time-out
        while True:
            peer.sendall(what)


def test_replies_that_nobody_reads_do_not_pile_up(serving, dial):
    push_on(dial(), b"HELP\r\n" * 1_000)

    until(lambda: is_alone(serving))


def test_an_endless_command_ends_the_connection_and_is_not_logged(serving, dial, caplog):
    caplog.set_level(logging.INFO)
    peer = dial()
    peer.sendall(b"USER \x1b[31m\nforged line\r\n")

    push_on(peer, b"x" * 10_000)

    assert "forged" not in caplog.text
    assert "too long" not in caplog.text


def test_a_long_command_is_answered_once(serving, dial):
    peer = dial()
    peer.sendall(b"USER " + b"x" * connections.COMMAND_MAX_BYTES)

    assert all_of(peer) == b"220 Ready.\r\n500 Command too long.\r\n"


def test_no_command_at_all_keeps_a_stranger_connected(serving, dial, monkeypatch):
    monkeypatch.setattr(connections, "LOGIN_WITHIN_S", -1)
    peer = dial()
    peer.sendall(b"NONSENSE\r\n")

    assert all_of(peer) == b"220 Ready.\r\n421 Nobody has logged in.\r\n"


def test_who_falls_silent_without_reading_is_let_go_of(serving, dial, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_MAX", 1_000_000)
    monkeypatch.setattr(connections.GrantConnection, "timeout", 0.2)
    dial().sendall(b"HELP\r\n" * 15_000)  # more than fits into the buffers of both ends

    until(lambda: is_alone(serving))


def test_commands_behind_a_quit_are_nothing_to_stumble_over(site, serving, dial, caplog):
    peer = dial()
    peer.sendall(login_of(site.download()) + b"QUIT\r\nCWD /\r\nLIST\r\nRETR firmware.bin\r\n")

    assert all_of(peer).endswith(b"221 Goodbye.\r\n")
    until(lambda: not [task for task in serving.server._active_tasks if task.is_alive()])
    assert not [record for record in caplog.records if record.exc_info]


def test_many_passwords_at_once_are_one_guess(site, serving, dial):
    guess = b"USER " + b"0" * 32 + b"\r\nPASS 1\r\n"
    peer = dial()
    peer.sendall(guess * 50 + login_of(site.download()))
    peer.settimeout(0.3)
    said = b""
    with contextlib.suppress(TimeoutError):
        while chunk := peer.recv(65_536):
            said += chunk

    assert said.count(b"530 ") == 1
    assert b"230 " not in said


ARGUMENTS = (
    *(
        b"",
        b"  ",
        b"../../etc/passwd",
        b"/",
        b"-la",
        b"~",
        b"*",
        b'"',
        b"a\0b",
        b"a\nb",
        b"\xff\xfe",
    ),
    *(b"%s%n{0}{x}", b"a" * 1_900, "é".encode() * 300, b"9" * 30, b"-1", b"1,2,3,4,5,6"),
    *(b"127,0,0,1,0,22", b"127,0,0,1,999,999", b"a,b,c,d,e,f", b"|1|1.2.3.4|5555|", b"|||"),
    *(b"|2|::1|5555|", b"|1|localhost|5555|", b"|1|127.0.0.1|99999|", b"ALL"),
)
NOT_OURS = {"STOU", "APPE", "RNFR", "RNTO", "MKD", "RMD", "DELE", "SITE", "SITE CHMOD 777", "MFMT"}


@pytest.mark.parametrize("kind", ["download", "upload"])
@pytest.mark.parametrize("before", [b"", b"EPSV\r\n"])
def test_no_argument_confuses_a_command(site, serving, dial, caplog, kind, before):
    caplog.set_level(logging.WARNING)
    grant = getattr(site, kind)()
    for command in sorted(connections.TLS_COMMANDS | NOT_OURS - {"QUIT"}):
        peer = dial()
        lines = [before + command.encode() + b" " + argument + b"\r\n" for argument in ARGUMENTS]

        peer.sendall(login_of(grant) + b"".join(lines) + b"QUIT\r\n")

        assert all_of(peer).count(b"230 ") >= 1, command
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not site.is_uploaded(grant)
    assert not [name for name in site.files if name.endswith(".part")]


def test_nobody_in_between_has_a_part_in_what_tls_protects(site, tmp_path):
    """Commands in plain text behind AUTH TLS would be answered within it."""
    authority = root()
    files = CertificateFiles(*server(authority, "ec").write(tmp_path, "server"))
    serving = Serving(site, tls=ServerTLS(files), greeting_pause_s=0.01)
    try:
        with socket.create_connection(("127.0.0.1", site.port), PATIENCE_S) as plain:
            assert plain.recv(100) == b"220 Ready.\r\n"
            plain.sendall(b"AUTH TLS\r\nSYST\r\nNOOP\r\nSTOR ")
            assert plain.recv(100) == b"234 AUTH TLS successful.\r\n"
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as secured:
                secured.sendall(b"PBSZ 0\r\n")

                assert secured.recv(100) == b"200 PBSZ=0 successful.\r\n"
    finally:
        serving.stop()
